"""What persist keeps, on every backend."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millstream.context.context import Context
from millstream.errors import UserCodeError
from millstream.model.accumulator import Accumulator
from millstream.rdd.rdd import RDD


@pytest.fixture
def calls(context: Context) -> Accumulator[int]:
    return context.accumulator(0)


def counting(calls: Accumulator[int]) -> Callable[[int], int]:
    def counted(x: int) -> int:
        calls.add(1)
        return x

    return counted


def test_kept_partitions_are_computed_once(context: Context, calls: Accumulator[int]) -> None:
    rdd = context.range(6, partitions=3).map(counting(calls)).persist()
    assert rdd.is_persisted
    assert calls.value == 0
    derived = rdd.map(lambda x: x * 2)
    assert derived.collect() == [0, 2, 4, 6, 8, 10]
    assert rdd.count() == 6
    assert rdd.sum() == 15
    assert derived.take(2) == [0, 2]
    assert calls.value == 6


def test_unpersist_lets_go(context: Context, calls: Accumulator[int]) -> None:
    rdd = context.range(4).map(counting(calls)).cache()
    assert rdd.count() == 4
    assert rdd.unpersist() is rdd
    assert not rdd.is_persisted
    assert rdd.count() == 4
    assert calls.value == 8
    assert rdd.persist().persist().collect() == [0, 1, 2, 3]
    assert rdd.collect() == [0, 1, 2, 3]
    assert calls.value == 12


def test_a_kept_shuffle_is_not_shuffled_again(context: Context, calls: Accumulator[int]) -> None:
    reduced = (
        context.range(6, partitions=3)
        .map(counting(calls))
        .map(lambda x: (x % 2, x))
        .reduce_by_key(lambda a, b: a + b, 2)
        .persist()
    )
    assert reduced.collect_as_map() == {0: 6, 1: 9}
    assert reduced.map_values(str).collect_as_map() == {0: "6", 1: "9"}
    assert reduced.join(reduced).collect_as_map() == {0: (6, 6), 1: (9, 9)}
    assert reduced.lookup(1) == [9]
    assert calls.value == 6


def test_persist_again_and_again_while_something_goes_wrong(context: Context) -> None:
    bad: RDD[int] = context.parallelize([1, 0]).map(lambda x: 1 // x).persist()
    for _ in range(2):
        with pytest.raises(UserCodeError):
            bad.count()
    assert bad.is_persisted


def test_kept_columns_stay_columns(context: Context) -> None:
    kept = context.from_arrow(context.range(5).to_arrow()).persist()
    assert kept.count() == 5
    assert kept.collect() == [0, 1, 2, 3, 4]
    assert kept.to_arrow().column("value").to_pylist() == [0, 1, 2, 3, 4]

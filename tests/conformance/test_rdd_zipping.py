"""Records side by side, against plain Python, on every backend."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from millstream.context.context import Context
from millstream.errors import ConfigurationError, UserCodeError
from tests.conformance.rdd_strategies import given, numbers, partition_counts, records, slices


@given(records, partition_counts)
def test_zip(context: Context, data: list[Any], parts: int) -> None:
    rdd = context.parallelize(data, parts)
    texts = rdd.map(str)
    assert rdd.zip(texts).glom().collect() == [[(x, str(x)) for x in part] for part in slices(data, parts)]
    assert rdd.zip(rdd.zip_with_index()).collect() == [(x, (x, i)) for i, x in enumerate(data)]


def test_zip_of_unequal_partitions(context: Context) -> None:
    rdd = context.range(6, partitions=3)
    with pytest.raises(ConfigurationError, match="as many partitions") as raised:
        rdd.zip(context.range(6, partitions=2))
    assert "3" in str(raised.value)
    assert "test_rdd_zipping.py" in str(raised.value)
    with pytest.raises(ConfigurationError, match="as many records") as raised:
        rdd.zip(context.range(7, partitions=3)).collect()
    assert "A partition has 2, its counterpart 3" in str(raised.value)
    assert "test_rdd_zipping.py" in str(raised.value)


@given(numbers, partition_counts)
def test_zip_with_index_counts_over_all_partitions(context: Context, data: list[int], parts: int) -> None:
    rdd = context.parallelize(data, parts)
    assert rdd.zip_with_index().collect() == list(zip(data, range(len(data)), strict=True))
    few = rdd.filter(lambda x: x % 3 == 0)
    assert few.zip_with_index().collect() == [(x, i) for i, x in enumerate(x for x in data if x % 3 == 0)]
    assert few.zip_with_index().num_partitions == parts


@given(numbers, partition_counts)
def test_unique_ids(context: Context, data: list[int], parts: int) -> None:
    rdd = context.parallelize(data, parts)
    assert rdd.zip_with_unique_id().collect() == [
        (x, i * parts + p) for p, part in enumerate(slices(data, parts)) for i, x in enumerate(part)
    ]
    twice = rdd.union(rdd).zip_with_unique_id().values().collect()
    assert len(set(twice)) == 2 * len(data)


def test_functions_before_zip_with_index_run_once(context: Context) -> None:
    calls = context.accumulator(0)

    def counted(x: int) -> int:
        calls.add(1)
        return x

    assert context.range(20, partitions=3).map(counted).zip_with_index().count() == 20
    assert calls.value == 20


@given(numbers, records, partition_counts, partition_counts)
def test_cartesian(context: Context, one: list[int], two: list[Any], parts: int, other_parts: int) -> None:
    rdd = context.parallelize(one, parts).cartesian(context.parallelize(two, other_parts))
    assert rdd.glom().collect() == [list(product(a, b)) for a in slices(one, parts) for b in slices(two, other_parts)]
    assert rdd.count() == len(one) * len(two)
    assert rdd.take(3) == rdd.collect()[:3]


def test_cartesian_with_itself_and_with_nothing(context: Context) -> None:
    rdd = context.range(3, partitions=2)
    assert sorted(rdd.cartesian(rdd).collect()) == list(product(range(3), repeat=2))
    assert rdd.cartesian(context.empty_rdd()).collect() == context.empty_rdd().cartesian(rdd).collect() == []
    assert rdd.cartesian(rdd).persist().map(lambda pair: pair[0] * pair[1]).sum() == 9


def test_errors_before_name_their_own_operator(context: Context) -> None:
    rdd = context.parallelize([1, 0], 2)
    broken = rdd.map(lambda x: 1 // x)
    for action in (rdd.zip(broken), broken.zip_with_index(), rdd.cartesian(broken)):
        with pytest.raises(UserCodeError) as raised:
            action.collect()
        assert raised.value.operator == "map"

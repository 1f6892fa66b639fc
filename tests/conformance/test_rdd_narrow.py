"""Narrow operations of RDDs against plain Python, on every backend."""

from __future__ import annotations

import pytest

from millstream.context.context import Context
from millstream.errors import UserCodeError
from tests.conformance.rdd_strategies import given, numbers, pairs, partition_counts, slices


@given(numbers, partition_counts)
def test_map_filter_and_flat_map_chain_in_order(context: Context, data: list[int], partitions: int) -> None:
    rdd = context.parallelize(data, partitions).map(lambda x: x * 2).filter(lambda x: x % 3).flat_map(lambda x: [x, -x])
    assert rdd.collect() == [y for x in data if (x * 2) % 3 for y in (x * 2, -x * 2)]


@given(numbers, partition_counts)
def test_glom_shows_the_slices_of_parallelize(context: Context, data: list[int], partitions: int) -> None:
    assert context.parallelize(data, partitions).glom().collect() == slices(data, partitions)


@given(numbers, partition_counts)
def test_map_partitions_sees_each_partition_once(context: Context, data: list[int], partitions: int) -> None:
    rdd = context.parallelize(data, partitions)
    assert rdd.map_partitions(lambda rows: [sum(rows)]).collect() == [sum(part) for part in slices(data, partitions)]
    assert rdd.map_partitions_with_index(lambda p, rows: [(p, len(list(rows)))]).collect() == [
        (p, len(part)) for p, part in enumerate(slices(data, partitions))
    ]


@given(numbers, partition_counts)
def test_operations_go_on_after_map_partitions(context: Context, data: list[int], partitions: int) -> None:
    rdd = context.parallelize(data, partitions).map(lambda x: x + 1).map_partitions(lambda rows: (x * 2 for x in rows))
    assert rdd.filter(lambda x: x > 0).collect() == [(x + 1) * 2 for x in data if x + 1 > 0]


@given(numbers, partition_counts)
def test_key_by_keys_and_values(context: Context, data: list[int], partitions: int) -> None:
    keyed = context.parallelize(data, partitions).key_by(lambda x: x % 5)
    assert keyed.collect() == [(x % 5, x) for x in data]
    assert keyed.keys().collect() == [x % 5 for x in data]
    assert keyed.values().collect() == data


@given(pairs, partition_counts)
def test_values_change_and_keys_stay(context: Context, data: list[tuple[object, int]], partitions: int) -> None:
    rdd = context.parallelize(data, partitions)
    assert rdd.map_values(lambda v: v + 1).collect() == [(k, v + 1) for k, v in data]
    assert rdd.flat_map_values(lambda v: range(max(v, 0))).collect() == [(k, w) for k, v in data for w in range(v)]


def test_an_rdd_computes_nothing_before_an_action_and_everything_at_each(context: Context) -> None:
    calls = context.accumulator(0)

    def counted(x: int) -> int:
        calls.add(1)
        return x

    rdd = context.range(4).map(counted)
    assert calls.value == 0
    assert rdd.collect() == [0, 1, 2, 3]
    assert rdd.count() == 4
    assert calls.value == 8


def test_a_function_that_raises_names_operator_place_and_record(context: Context) -> None:
    rdd = context.parallelize([1, 2, 0, 4]).map(lambda x: 10 // x)
    with pytest.raises(UserCodeError) as raised:
        rdd.collect()
    assert raised.value.operator == "map"
    assert raised.value.record == "0"
    assert "test_rdd_narrow.py" in str(raised.value.site)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_generators_that_raise_late_are_the_users_error_too(context: Context) -> None:
    def late(x: int) -> object:
        yield x
        raise ValueError("late")

    with pytest.raises(UserCodeError, match="late"):
        context.parallelize([1]).flat_map(late).collect()  # type: ignore[arg-type]

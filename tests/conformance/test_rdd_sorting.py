"""Orders against plain Python, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from millstream.context.context import Context
from millstream.errors import ConfigurationError, InvalidError, UserCodeError
from tests.conformance.rdd_strategies import given, numbers, partition_counts

small = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 99)), max_size=60)


@given(small, partition_counts, partition_counts, st.booleans())
def test_sort_by_is_stable(
    context: Context, data: list[tuple[int, int]], parts: int, new_parts: int, ascending: bool
) -> None:
    rdd = context.parallelize(data, parts).sort_by(lambda pair: pair[0], ascending=ascending, partitions=new_parts)
    assert rdd.collect() == sorted(data, key=lambda pair: pair[0], reverse=not ascending)
    assert rdd.num_partitions == new_parts
    assert rdd.glom().collect() == rdd.glom().collect()


@given(small, partition_counts, partition_counts, st.booleans())
def test_sort_by_key(
    context: Context, data: list[tuple[int, int]], parts: int, new_parts: int, ascending: bool
) -> None:
    rdd = context.parallelize(data, parts)
    assert rdd.sort_by_key(ascending=ascending, partitions=new_parts).collect() == sorted(
        data, key=lambda pair: pair[0], reverse=not ascending
    )
    assert rdd.sort_by_key(ascending=ascending, partitions=new_parts, key=lambda k: -k).collect() == sorted(
        data, key=lambda pair: -pair[0], reverse=not ascending
    )


def test_ranges_hold_about_as_many_records_each(context: Context) -> None:
    data = [(number * 7919) % 10_007 for number in range(10_000)]
    parts = context.parallelize(data, 3).sort_by(lambda x: x, partitions=4).glom().collect()
    assert [x for part in parts for x in part] == sorted(data)
    assert all(1_500 < len(part) < 3_500 for part in parts)


def test_one_frequent_key_does_not_spoil_the_order(context: Context) -> None:
    data = [5] * 500 + list(range(10))
    assert context.parallelize(data, 4).sort_by(lambda x: x, partitions=4).collect() == sorted(data)


def test_functions_before_a_sort_run_once(context: Context) -> None:
    calls = context.accumulator(0)

    def counted(x: int) -> int:
        calls.add(1)
        return x

    ordered = context.range(20, partitions=3).map(counted).sort_by(lambda x: -x, partitions=3)
    assert calls.value == 0
    assert ordered.collect() == list(range(19, -1, -1))
    assert calls.value == 20


@given(small, partition_counts)
def test_what_is_sorted_by_key_is_reduced_where_it_is(
    context: Context, data: list[tuple[int, int]], parts: int
) -> None:
    counted = context.parallelize(data, parts).sort_by_key(partitions=3).map_values(lambda _: 1)
    reduced = counted.reduce_by_key(lambda a, b: a + b)
    keys = [key for key, _ in data]
    assert reduced.collect() == [(key, keys.count(key)) for key in sorted(set(keys))]


@given(numbers, partition_counts, st.integers(0, 50))
def test_take_ordered_and_top(context: Context, data: list[int], parts: int, n: int) -> None:
    rdd = context.parallelize(data, parts)
    assert rdd.take_ordered(n) == sorted(data)[:n]
    assert rdd.top(n) == sorted(data, reverse=True)[:n]
    assert rdd.take_ordered(n, key=lambda x: x % 7) == sorted(data, key=lambda x: x % 7)[:n]
    assert rdd.top(n, key=lambda x: x % 7) == sorted(data, key=lambda x: x % 7, reverse=True)[:n]


@given(numbers, partition_counts)
def test_min_and_max(context: Context, data: list[int], parts: int) -> None:
    rdd = context.parallelize(data, parts)
    if data:
        assert rdd.min() == min(data)
        assert rdd.max() == max(data)
        assert rdd.min(key=lambda x: x % 7) == min(data, key=lambda x: x % 7)
        assert rdd.max(key=lambda x: x % 7) == max(data, key=lambda x: x % 7)
    else:
        for action in (rdd.min, rdd.max):
            with pytest.raises(ConfigurationError, match="at least one record"):
                action()


def test_values_without_an_order_are_refused(context: Context) -> None:
    values: list[Any] = [1, "a", None]
    mixed = context.parallelize(values, 2)
    actions: list[Callable[[], Any]] = [
        lambda: mixed.sort_by(lambda x: x, partitions=2).collect(),
        lambda: mixed.sort_by(lambda x: x, partitions=1).collect(),
        lambda: mixed.map(lambda x: (x, 0)).sort_by_key(partitions=3).collect(),
        lambda: mixed.top(2),
        lambda: mixed.min(),
    ]
    for action in actions:
        with pytest.raises(InvalidError, match="cannot be compared"):
            action()


def test_a_key_function_that_raises_is_the_users_error(context: Context) -> None:
    rdd = context.parallelize([1, 0])
    actions: list[Callable[[], Any]] = [
        lambda: rdd.sort_by(lambda x: 1 // x).collect(),
        lambda: rdd.top(1, key=lambda x: 1 // x),
        lambda: rdd.max(key=lambda x: 1 // x),
    ]
    for action in actions:
        with pytest.raises(UserCodeError) as raised:
            action()
        assert isinstance(raised.value.__cause__, ZeroDivisionError)

"""Groups, folds and sorted partitions against plain Python, on every backend."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import strategies as st

from millstream.context.context import Context
from millstream.errors import ArgumentTypeError, ConfigurationError, InvalidError, UserCodeError
from millstream.rdd.rdd import RDD
from millstream.rdd.trees import rounds
from tests.conformance.rdd_strategies import given, grouped, numbers, pairs, partition_counts, unordered

sortable = st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 99)), max_size=40)


@given(numbers, partition_counts, partition_counts)
def test_group_by(context: Context, data: list[int], parts: int, new_parts: int) -> None:
    rdd = context.parallelize(data, parts).group_by(lambda x: x % 7, new_parts)
    assert rdd.collect_as_map() == grouped((x % 7, x) for x in data)
    assert rdd.num_partitions == new_parts
    assert "merged in place" in rdd.reduce_by_key(add).to_debug_string()


@given(pairs, partition_counts, partition_counts)
def test_fold_by_key_starts_each_key_from_its_own_zero(
    context: Context, data: list[tuple[Any, int]], parts: int, new_parts: int
) -> None:
    zero: list[int] = []

    def extended(values: list[int], more: list[int]) -> list[int]:
        values.extend(more)
        return values

    rdd = context.parallelize(data, parts).map_values(lambda v: [v]).fold_by_key(zero, extended, new_parts)
    assert rdd.collect_as_map() == rdd.collect_as_map() == grouped(data)
    assert zero == []


@given(sortable, partition_counts, partition_counts, st.booleans())
def test_partitions_are_sorted_inside(
    context: Context, data: list[tuple[int, int]], parts: int, new_parts: int, ascending: bool
) -> None:
    rdd = context.parallelize(data, parts)
    for placed, key in (
        (rdd.repartition_and_sort_within_partitions(new_parts, ascending=ascending), lambda k: k),
        (rdd.repartition_and_sort_within_partitions(new_parts, ascending=ascending, key=abs), abs),
        (rdd.partition_by(new_parts).repartition_and_sort_within_partitions(new_parts, ascending=ascending), int),
    ):
        partitions = placed.glom().collect()
        assert partitions == [
            sorted(part, key=lambda pair, key=key: key(pair[0]), reverse=not ascending)  # type: ignore[misc]
            for part in rdd.partition_by(new_parts).glom().collect()
        ]
    by_function = rdd.repartition_and_sort_within_partitions(new_parts, abs)
    assert by_function.glom().collect() == [
        sorted((pair for pair in data if abs(pair[0]) % new_parts == p), key=lambda pair: pair[0])
        for p in range(new_parts)
    ]


def test_errors_of_sorting_inside_partitions(context: Context) -> None:
    mixed = context.parallelize([("a", 1), (2, 1)])
    with pytest.raises(ArgumentTypeError, match="compared"):
        mixed.repartition_and_sort_within_partitions(1).collect()
    with pytest.raises(UserCodeError) as raised:
        mixed.repartition_and_sort_within_partitions(1, key=lambda key: 1 // 0).collect()
    assert raised.value.operator == "repartition_and_sort_within_partitions"
    with pytest.raises(InvalidError, match="pair"):
        context.range(3).repartition_and_sort_within_partitions(1).collect()  # type: ignore[misc]
    with pytest.raises(ArgumentTypeError):
        mixed.group_by(3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError):
        mixed.fold_by_key(0, None)  # type: ignore[arg-type]


@given(st.lists(st.text("ab", max_size=2), max_size=40), st.integers(1, 24), st.integers(1, 4))
def test_trees_keep_the_order(context: Context, data: list[str], parts: int, depth: int) -> None:
    rdd = context.parallelize(data, parts)
    assert rdd.tree_aggregate("", add, add, depth) == "".join(data)
    if data:
        assert rdd.tree_reduce(add, depth) == "".join(data)
    else:
        with pytest.raises(ConfigurationError, match="tree_reduce"):
            rdd.tree_reduce(add, depth)


def test_trees_leave_zero_as_it_is(context: Context) -> None:
    zero: list[int] = []

    def appended(values: list[int], value: int) -> list[int]:
        values.append(value)
        return values

    def extended(left: list[int], right: list[int]) -> list[int]:
        left.extend(right)
        return left

    assert context.range(50, partitions=12).tree_aggregate(zero, appended, extended) == list(range(50))
    assert zero == []


@given(st.integers(0, 5000), st.integers(1, 6))
def test_rounds_shrink_and_end(context: Context, partitions: int, depth: int) -> None:
    left = list(rounds(partitions, depth))
    assert all(a > b >= 1 for a, b in zip([partitions, *left], left, strict=False))
    assert len(left) < max(depth, 13)


def test_errors_of_trees_name_the_operator(context: Context) -> None:
    rdd: RDD[Any] = context.parallelize([1, "x"] * 10, 20)
    for action in (lambda: rdd.tree_reduce(add), lambda: rdd.tree_aggregate(0, add, add)):
        with pytest.raises(UserCodeError) as raised:
            action()
        assert raised.value.operator.startswith("tree_")
    with pytest.raises(ConfigurationError, match="depth"):
        rdd.tree_reduce(add, 0)
    assert context.empty_rdd().tree_aggregate(0, add, add) == 0
    assert reduce(add, range(5)) == context.range(5, partitions=1).tree_reduce(add)
    assert unordered(context.empty_rdd().group_by(str).collect()) == []

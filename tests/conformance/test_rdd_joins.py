"""Joins against plain Python, on every backend and over parents that are spread in every way."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from millstream.context.context import Context
from millstream.rdd.rdd import RDD
from tests.conformance.rdd_strategies import given, grouped, pairs, partition_counts, unordered

Pairs = list[tuple[Any, int]]

spreads = st.one_of(st.none(), partition_counts)
"""How a parent is spread: not by key, or over so many partitions."""


def spread(context: Context, data: Pairs, parts: int, over: int | None) -> RDD[tuple[Any, int]]:
    rdd = context.parallelize(data, parts)
    return rdd if over is None else rdd.partition_by(over)


def joined(left: Pairs, right: Pairs, *, keep_left: bool, keep_right: bool) -> list[Any]:
    lefts, rights = grouped(left), grouped(right)
    rows: list[Any] = []
    for key in {**lefts, **rights}:
        ours: list[Any] = lefts.get(key, [])
        theirs: list[Any] = rights.get(key, [])
        if (ours or keep_right) and (theirs or keep_left):
            rows += [(key, (a, b)) for a in ours or [None] for b in theirs or [None]]
    return [(_plain(key), values) for key, values in rows]


def _plain(key: Any) -> Any:
    """Equal keys in one form: which of 1, 1.0 and True represents a key is not promised."""
    return tuple(map(_plain, key)) if isinstance(key, tuple) else float(key) if isinstance(key, (int, float)) else key


def plain(rows: list[Any]) -> list[str]:
    return unordered((_plain(key), values) for key, values in rows)


@given(pairs, pairs, partition_counts, spreads, spreads, spreads)
def test_joins(
    context: Context,
    left: Pairs,
    right: Pairs,
    parts: int,
    left_over: int | None,
    right_over: int | None,
    result_parts: int | None,
) -> None:
    a, b = spread(context, left, parts, left_over), spread(context, right, 2, right_over)
    inner = a.join(b, result_parts)
    assert plain(inner.collect()) == unordered(joined(left, right, keep_left=False, keep_right=False))
    assert plain(a.left_outer_join(b, result_parts).collect()) == unordered(
        joined(left, right, keep_left=True, keep_right=False)
    )
    assert plain(a.right_outer_join(b, result_parts).collect()) == unordered(
        joined(left, right, keep_left=False, keep_right=True)
    )
    assert plain(a.full_outer_join(b, result_parts).collect()) == unordered(
        joined(left, right, keep_left=True, keep_right=True)
    )
    expected = result_parts or max(filter(None, (left_over, right_over)), default=context.default_partitions)
    assert inner.num_partitions == expected


@given(pairs, pairs, pairs, partition_counts, spreads)
def test_cogroup_lists_the_values_of_every_rdd_in_order(
    context: Context, one: Pairs, two: Pairs, three: Pairs, parts: int, over: int | None
) -> None:
    rdds = [spread(context, one, parts, over), context.parallelize(two, 2), context.parallelize(three, 3)]
    groups = [grouped(one), grouped(two), grouped(three)]
    oracle = {key: tuple(group.get(key, []) for group in groups) for key in {**groups[0], **groups[1], **groups[2]}}
    assert rdds[0].cogroup(rdds[1], rdds[2]).collect_as_map() == oracle
    assert rdds[0].cogroup(rdds[1], rdds[2], partitions=4).collect_as_map() == oracle
    assert rdds[0].cogroup().collect_as_map() == {key: (values,) for key, values in groups[0].items()}


def test_parents_that_are_spread_alike_are_joined_without_a_shuffle(context: Context) -> None:
    left = context.parallelize([("a", 1), ("b", 2)]).partition_by(3).persist()
    right = context.parallelize([("a", 3)]).partition_by(3)
    outline = left.join(right).to_debug_string()
    assert "join at" in outline
    assert "merged in place" in outline
    assert outline.count("shuffled") == 2
    half = left.join(context.parallelize([("a", 3)]))
    assert half.collect() == [("a", (1, 3))]
    assert half.num_partitions == 3


def test_parents_spread_over_numbers_of_their_own_meet_in_the_larger(context: Context) -> None:
    left, right = context.parallelize([("a", 1)]).partition_by(2), context.parallelize([("a", 2)]).partition_by(5)
    joined = left.join(right)
    assert joined.num_partitions == 5
    assert joined.collect() == [("a", (1, 2))]


def test_a_sorted_rdd_does_not_decide_where_the_keys_of_another_go(context: Context) -> None:
    left: list[tuple[Any, str]] = [(1, "x"), (2, "y")]
    right: list[tuple[Any, int]] = [("text", 0), (2, 1)]
    ordered = context.parallelize(left).sort_by_key(partitions=2)
    assert ordered.join(context.parallelize(right)).collect() == [(2, ("y", 1))]


@given(pairs)
def test_an_rdd_joins_itself(context: Context, data: Pairs) -> None:
    rdd = context.parallelize(data, 3)
    assert plain(rdd.join(rdd).collect()) == unordered(joined(data, data, keep_left=False, keep_right=False))

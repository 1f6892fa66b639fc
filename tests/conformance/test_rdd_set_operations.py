"""Which records two RDDs share, against plain Python, on every backend."""

from __future__ import annotations

from typing import Any

import pytest

from millstream.context.context import Context
from millstream.errors import ArgumentTypeError, ConfigurationError, InvalidError
from tests.conformance.rdd_strategies import given, pairs, partition_counts, records, unordered


@given(records, records, partition_counts, partition_counts)
def test_intersection(context: Context, one: list[Any], two: list[Any], parts: int, new_parts: int) -> None:
    rdd = context.parallelize(one, parts).intersection(context.parallelize(two, 3), new_parts)
    assert unordered(rdd.collect()) == unordered(record for record in dict.fromkeys(one) if record in two)
    assert rdd.num_partitions == new_parts


@given(records, records, partition_counts, partition_counts)
def test_subtract_keeps_what_occurs_twice(
    context: Context, one: list[Any], two: list[Any], parts: int, new_parts: int
) -> None:
    rdd = context.parallelize(one, parts).subtract(context.parallelize(two, 3), new_parts)
    oracle = [record for record in one if record not in two]
    assert unordered(rdd.collect()) == unordered(oracle)
    assert rdd.num_partitions == new_parts
    if new_parts == 1:
        assert rdd.collect() == oracle


@given(pairs, pairs, partition_counts, partition_counts)
def test_subtract_by_key(
    context: Context, one: list[tuple[Any, int]], two: list[tuple[Any, int]], parts: int, new_parts: int
) -> None:
    left, right = context.parallelize(one, parts), context.parallelize(two, 2)
    oracle = unordered(pair for pair in one if pair[0] not in dict(two))
    for a in (left, left.partition_by(new_parts)):
        for b in (right, right.partition_by(new_parts)):
            assert unordered(a.subtract_by_key(b, new_parts).collect()) == oracle


def test_what_is_spread_by_key_stays_where_it_is(context: Context) -> None:
    placed = context.parallelize([(key, key) for key in range(20)]).partition_by(4)
    rdd = placed.subtract_by_key(context.parallelize([(3, None)]))
    assert rdd.num_partitions == 4
    assert "merged in place" in rdd.to_debug_string()
    assert rdd.lineage.partitioner == placed.lineage.partitioner


@pytest.mark.parametrize("bad", [[1], {"a": 1}])
def test_records_that_cannot_be_keys_are_refused(context: Context, bad: Any) -> None:
    good, worse = context.parallelize(["a"]), context.parallelize([bad])
    for rdd in (good.intersection(worse), worse.intersection(good), good.subtract(worse), worse.subtract(good)):
        with pytest.raises(InvalidError) as raised:
            rdd.collect()
        assert raised.value.hint
    placed = context.parallelize([("a", 1)])
    with pytest.raises(InvalidError):
        placed.subtract_by_key(context.parallelize([(bad, 1)])).collect()
    with pytest.raises(InvalidError, match="pair"):
        placed.subtract_by_key(context.parallelize(["a"])).collect()  # type: ignore[list-item]


def test_what_is_no_rdd_of_this_context_is_refused(context: Context) -> None:
    rdd = context.parallelize([("a", 1)])
    with Context() as elsewhere:
        foreign = elsewhere.parallelize([("a", 1)])
        for operator in ("intersection", "subtract", "subtract_by_key", "zip", "cartesian"):
            with pytest.raises(ConfigurationError, match=operator):
                getattr(rdd, operator)(foreign)
            with pytest.raises(ArgumentTypeError, match=operator):
                getattr(rdd, operator)([("a", 1)])


def test_empty_sides(context: Context) -> None:
    empty, some = context.empty_rdd(), context.parallelize(["a"])
    assert empty.intersection(some).collect() == some.intersection(empty).collect() == []
    assert empty.subtract(some).collect() == []
    assert some.subtract(empty).collect() == ["a"]

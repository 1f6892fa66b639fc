"""Union, distinct, coalesce and repartition against plain Python, on every backend."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import pytest

from millstream.context.context import Context
from millstream.errors import InvalidError
from tests.conformance.rdd_strategies import given, numbers, partition_counts, records, slices, unordered


@given(numbers, numbers, numbers, partition_counts)
def test_union_is_in_order_and_keeps_what_occurs_twice(
    context: Context, one: list[int], two: list[int], three: list[int], parts: int
) -> None:
    a, b, c = context.parallelize(one, parts), context.parallelize(two, 2), context.parallelize(three)
    assert a.union(b).collect() == one + two
    assert a.union(b, c).collect() == one + two + three
    assert a.union(b).union(c, a).collect() == one + two + three + one
    assert context.union([a, b, c]).collect() == one + two + three
    assert a.union(b).num_partitions == parts + 2


def test_a_union_of_very_many_is_no_deeper_than_one(context: Context) -> None:
    rdds = [context.parallelize([number], 1) for number in range(1500)]
    for united in (reduce(lambda a, b: a.union(b), rdds), reduce(lambda a, b: b.union(a), rdds)):
        assert united.count() == 1500
        assert len(united.to_debug_string().splitlines()) == 1501
        assert repr(united) == "<RDD (1500) union>"


def test_a_kept_union_inside_a_union_stays_kept(context: Context) -> None:
    calls = context.accumulator(0)

    def counted(x: int) -> int:
        calls.add(1)
        return x

    inner = context.range(2).union(context.range(2)).map(counted)
    kept = inner.union(context.range(1)).persist()
    assert kept.union(context.range(1)).collect() == [0, 1, 0, 1, 0, 0]
    assert kept.union(context.range(1)).count() == 6
    assert calls.value == 4


def test_a_union_that_is_kept_later_is_used_by_unions_made_before(context: Context) -> None:
    calls = context.accumulator(0)

    def counted(x: int) -> int:
        calls.add(1)
        return x

    inner = context.range(2).map(counted).union(context.range(1))
    outer = inner.union(context.range(1))
    inner.persist()
    assert outer.count() == outer.count() == 4
    assert calls.value == 2


@given(records, partition_counts, partition_counts)
def test_distinct(context: Context, data: list[Any], parts: int, new_parts: int) -> None:
    distinct = context.parallelize(data, parts).distinct(new_parts)
    oracle = list(dict.fromkeys(data))
    assert unordered(distinct.collect()) == unordered(oracle)
    assert distinct.num_partitions == new_parts
    places = [[oracle.index(record) for record in part] for part in distinct.glom().collect()]
    assert places == [sorted(part) for part in places]


def test_distinct_pairs_are_not_taken_for_counted_keys(context: Context) -> None:
    placed = context.parallelize([("a", 1), ("a", 2), ("a", 1)]).partition_by(2)
    assert unordered(placed.distinct(2).collect()) == unordered([("a", 1), ("a", 2)])
    assert placed.distinct(2).lineage.partitioner is None


def test_distinct_refuses_what_cannot_be_hashed(context: Context) -> None:
    with pytest.raises(InvalidError) as raised:
        context.parallelize([[1], [2]]).distinct().collect()
    assert raised.value.hint


@given(numbers, partition_counts, partition_counts)
def test_coalesce_puts_neighbours_together(context: Context, data: list[int], parts: int, fewer: int) -> None:
    coalesced = context.parallelize(data, parts).map(lambda x: x + 1).coalesce(fewer)
    assert coalesced.collect() == [x + 1 for x in data]
    assert coalesced.num_partitions == min(parts, fewer)
    assert coalesced.count() == len(data)


@given(numbers, partition_counts, partition_counts)
def test_repartition_deals_evenly(context: Context, data: list[int], parts: int, new_parts: int) -> None:
    rdd = context.parallelize(data, parts).repartition(new_parts)
    partitions = rdd.glom().collect()
    assert unordered(x for part in partitions for x in part) == unordered(data)
    assert len(partitions) == new_parts
    sizes = [len(part) for part in partitions]
    assert max(sizes) - min(sizes) <= parts
    assert rdd.glom().collect() == partitions


def test_rdds_without_partitions_have_every_answer(context: Context) -> None:
    empty = context.empty_rdd()
    assert empty.num_partitions == 0
    assert empty.collect() == empty.take(3) == empty.top(1) == empty.map(str).glom().collect() == []
    assert empty.count() == empty.sum() == empty.fold(0, add) == 0
    assert empty.is_empty()
    assert empty.reduce_by_key(add).collect() == empty.group_by_key(3).collect() == []
    assert empty.sort_by(str, partitions=3).collect() == empty.distinct().collect() == []
    assert empty.join(context.parallelize([("a", 1)])).collect() == []
    assert empty.full_outer_join(context.parallelize([("a", 1)])).collect() == [("a", (None, 1))]
    assert empty.repartition(2).glom().collect() == [[], []]
    assert empty.coalesce(2).collect() == empty.union(empty).collect() == []
    assert empty.to_arrow().num_rows == 0
    assert empty.collect_as_map() == empty.count_by_key() == empty.count_by_value() == {}
    assert empty.lookup("a") == []


@given(numbers, partition_counts)
def test_operations_after_a_change_of_layout(context: Context, data: list[int], parts: int) -> None:
    rdd = context.parallelize(data, parts)
    united = rdd.union(rdd.map(lambda x: -x)).coalesce(2).map(lambda x: x * 3)
    assert united.collect() == [x * 3 for x in data + [-x for x in data]]
    assert rdd.coalesce(1).map_partitions_with_index(lambda p, rows: [p]).collect() == [0]
    numbered = rdd.union(rdd).map_partitions_with_index(lambda p, rows: [p])
    assert numbered.collect() == list(range(2 * parts))
    assert sum(map(len, slices(data, parts))) == len(data)

"""Operations by key against plain Python, on every backend."""

from __future__ import annotations

from operator import add
from typing import Any

import pytest

from millstream.context.context import Context
from millstream.errors import ArgumentTypeError, InvalidError, UserCodeError
from tests.conformance.rdd_strategies import given, grouped, pairs, partition_counts, slices, unordered

Pairs = list[tuple[Any, int]]


@given(pairs, partition_counts, partition_counts)
def test_reduce_by_key(context: Context, data: Pairs, parts: int, reduce_parts: int) -> None:
    reduced = context.parallelize(data, parts).reduce_by_key(add, reduce_parts)
    assert reduced.collect_as_map() == {key: sum(values) for key, values in grouped(data).items()}
    assert reduced.num_partitions == reduce_parts
    assert reduced.count() == len(grouped(data))


@given(pairs, partition_counts, partition_counts)
def test_group_by_key_keeps_the_order_of_values(context: Context, data: Pairs, parts: int, reduce_parts: int) -> None:
    assert context.parallelize(data, parts).group_by_key(reduce_parts).collect_as_map() == grouped(data)


@given(pairs, partition_counts, partition_counts)
def test_combine_by_key_makes_merges_and_joins(context: Context, data: Pairs, parts: int, reduce_parts: int) -> None:
    combined = context.parallelize(data, parts).combine_by_key(
        lambda v: [v], lambda c, v: [*c, v], lambda a, b: a + b, reduce_parts
    )
    assert combined.collect_as_map() == grouped(data)


@given(pairs, partition_counts, partition_counts)
def test_aggregate_by_key_starts_each_key_from_its_own_zero(
    context: Context, data: Pairs, parts: int, reduce_parts: int
) -> None:
    zero: list[int] = []

    def appended(values: list[int], value: int) -> list[int]:
        values.append(value)
        return values

    def extended(left: list[int], right: list[int]) -> list[int]:
        left.extend(right)
        return left

    aggregated = context.parallelize(data, parts).aggregate_by_key(zero, appended, extended, reduce_parts)
    assert aggregated.collect_as_map() == grouped(data)
    assert aggregated.collect_as_map() == grouped(data)
    assert zero == []


@given(pairs, partition_counts, partition_counts)
def test_what_is_spread_by_key_is_combined_where_it_is(
    context: Context, data: Pairs, parts: int, reduce_parts: int
) -> None:
    placed = context.parallelize(data, parts).partition_by(reduce_parts)
    oracle = grouped(data)
    assert placed.group_by_key().collect_as_map() == oracle
    assert placed.reduce_by_key(add).collect_as_map() == {key: sum(values) for key, values in oracle.items()}
    texts = placed.combine_by_key(str, lambda s, v: f"{s} {v}", lambda s, t: f"{s} {t}")
    assert texts.collect_as_map() == {key: " ".join(map(str, values)) for key, values in oracle.items()}
    assert "merged in place" in texts.to_debug_string()
    assert texts.num_partitions == reduce_parts


@given(pairs, partition_counts, partition_counts)
def test_partition_by_puts_equal_keys_together(context: Context, data: Pairs, parts: int, new_parts: int) -> None:
    placed = context.parallelize(data, parts).partition_by(new_parts)
    partitions = placed.glom().collect()
    assert len(partitions) == new_parts
    assert unordered(pair for part in partitions for pair in part) == unordered(data)
    where = [{key for key, _ in part} for part in partitions]
    assert sum(map(len, where)) == len(set().union(*where))
    for part in partitions:
        for key, values in grouped(part).items():
            assert values == grouped(data)[key]


@given(pairs, partition_counts, partition_counts)
def test_partition_by_a_function(context: Context, data: Pairs, parts: int, new_parts: int) -> None:
    placed = context.parallelize(data, parts).partition_by(new_parts, lambda key: len(str(key)))
    assert placed.glom().collect() == [
        [pair for pair in data if len(str(pair[0])) % new_parts == p] for p in range(new_parts)
    ]


@given(pairs, partition_counts)
def test_pair_actions(context: Context, data: Pairs, parts: int) -> None:
    rdd = context.parallelize(data, parts)
    assert rdd.collect_as_map() == dict(data)
    assert rdd.count_by_key() == {key: len(values) for key, values in grouped(data).items()}
    for key in [*grouped(data), "absent"]:
        assert rdd.lookup(key) == grouped(data).get(key, [])
        assert rdd.partition_by(3).lookup(key) == grouped(data).get(key, [])


def test_lookup_computes_only_the_partition_of_the_key(context: Context) -> None:
    seen = context.accumulator(0)

    def noted(value: int) -> int:
        seen.add(1)
        return value

    placed = context.parallelize([(key, key) for key in range(100)]).partition_by(4)
    assert placed.map_values(noted).lookup(7) == [7]
    assert seen.value == next(len(part) for part in placed.glom().collect() if (7, 7) in part)


def test_the_partitions_of_the_parent_are_taken_when_nobody_says(context: Context) -> None:
    rdd = context.parallelize([("a", 1), ("b", 2)], 3)
    assert rdd.reduce_by_key(add).num_partitions == context.default_partitions
    assert rdd.partition_by(5).map_values(abs).reduce_by_key(add).num_partitions == 5
    assert rdd.partition_by(5).map(lambda pair: pair).reduce_by_key(add).num_partitions == context.default_partitions


def test_partition_by_what_is_there_already_moves_nothing(context: Context) -> None:
    placed = context.parallelize([("a", 1)]).partition_by(3)
    assert placed.partition_by(3).lineage is placed.lineage


@pytest.mark.parametrize("bad", [["a"], [("a", 1, 2)], ["ab"], [None]])
def test_records_that_are_no_pairs_are_named(context: Context, bad: list[Any]) -> None:
    with pytest.raises(InvalidError, match="pair"):
        context.parallelize(bad).reduce_by_key(add).collect()
    with pytest.raises(InvalidError, match="pair"):
        context.parallelize(bad).group_by_key().collect()
    with pytest.raises(InvalidError, match="pair"):
        context.parallelize(bad).collect_as_map()
    with pytest.raises(InvalidError, match="pair"):
        context.parallelize(bad).lookup("a")


@pytest.mark.parametrize("key", [["list"], {"dict": 1}, float("nan"), ("a", float("nan")), (1, [2])])
def test_keys_that_cannot_be_keys_are_refused(context: Context, key: Any) -> None:
    rdd = context.parallelize([(key, 1)])
    for action in (lambda: rdd.reduce_by_key(add), rdd.group_by_key, lambda: rdd.partition_by(2)):
        with pytest.raises(InvalidError) as raised:
            action().collect()
        assert isinstance(raised.value, (ArgumentTypeError, ValueError))
        assert raised.value.hint


def test_errors_while_merging_across_partitions_name_the_operator(context: Context) -> None:
    rdd = context.parallelize([("a", 1), ("a", "x")], 2)
    with pytest.raises(UserCodeError) as raised:
        rdd.reduce_by_key(add, 2).collect()
    assert raised.value.operator == "reduce_by_key"
    assert "test_rdd_pairs.py" in str(raised.value.site)
    with pytest.raises(UserCodeError) as raised:
        rdd.partition_by(2).reduce_by_key(add).collect()
    assert raised.value.operator == "reduce_by_key"


def test_a_partition_function_that_fails_is_the_users_error(context: Context) -> None:
    rdd = context.parallelize([("a", 1)])
    with pytest.raises(UserCodeError, match="partition_by"):
        rdd.partition_by(2, lambda key: 1 // 0).collect()
    with pytest.raises(ArgumentTypeError, match="must return an int"):
        rdd.partition_by(2, lambda key: "x").collect()  # type: ignore[arg-type,return-value]


@given(pairs, partition_counts)
def test_parallelized_slices_are_the_oracle_of_the_order(context: Context, data: Pairs, parts: int) -> None:
    assert context.parallelize(data, parts).glom().collect() == slices(data, parts)

"""Actions against plain Python, on every backend."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from operator import add
from typing import Any

import pytest
from hypothesis import strategies as st

from millstream.context.context import Context
from millstream.errors import ConfigurationError, LifecycleError, ShippingError, UserCodeError
from tests.conformance.rdd_strategies import given, numbers, partition_counts, records


@given(numbers, partition_counts, st.integers(0, 50))
def test_collect_count_take_first_and_is_empty(context: Context, data: list[int], parts: int, n: int) -> None:
    rdd = context.parallelize(data, parts)
    assert rdd.collect() == data
    assert rdd.count() == rdd.map(str).count() == len(data)
    assert rdd.take(n) == data[:n]
    assert rdd.filter(lambda x: x % 2).take(n) == [x for x in data if x % 2][:n]
    assert rdd.is_empty() == (not data)
    if data:
        assert rdd.first() == data[0]
    else:
        with pytest.raises(ConfigurationError, match="first needs at least one record"):
            rdd.first()


@given(records, partition_counts)
def test_count_by_value(context: Context, data: list[Any], parts: int) -> None:
    assert context.parallelize(data, parts).count_by_value() == Counter(data)


def test_what_collect_gives_is_the_callers_own(context: Context) -> None:
    rdd = context.parallelize([1, 2])
    rdd.collect().append(3)
    rdd.take(2).append(3)
    assert rdd.collect() == [1, 2]


def test_take_computes_no_more_partitions_than_it_needs(context: Context) -> None:
    calls = context.accumulator(0)

    def counted(x: int) -> int:
        calls.add(1)
        return x

    rdd = context.range(100, partitions=10).map(counted)
    assert rdd.take(3) == [0, 1, 2]
    assert calls.value <= 10
    assert rdd.first() == 0
    assert calls.value <= 20
    assert rdd.take(11) == list(range(11))


def test_take_runs_the_stages_before_a_shuffle_once(context: Context) -> None:
    calls = context.accumulator(0)

    def counted(x: int) -> tuple[int, int]:
        calls.add(1)
        return x, x

    grouped = context.range(20, partitions=2).map(counted).group_by_key(8)
    assert len(grouped.take(20)) == 20
    assert calls.value == 20


@given(numbers, partition_counts)
def test_reduce_fold_and_aggregate(context: Context, data: list[int], parts: int) -> None:
    texts = context.parallelize([str(x) for x in data], parts)
    if data:
        assert texts.reduce(add) == "".join(map(str, data))
    else:
        with pytest.raises(ConfigurationError, match="reduce needs at least one record"):
            texts.reduce(add)
    assert texts.fold("", add) == "".join(map(str, data))
    assert texts.aggregate(0, lambda total, text: total + len(text), add) == sum(len(str(x)) for x in data)


@given(numbers, partition_counts)
def test_a_zero_that_can_change_is_not_changed(context: Context, data: list[int], parts: int) -> None:
    def appended(total: list[int], x: int) -> list[int]:
        total.append(x)
        return total

    def extended(left: list[int], right: list[int]) -> list[int]:
        left.extend(right)
        return left

    zero: list[int] = []
    rdd = context.parallelize(data, parts)
    assert rdd.aggregate(zero, appended, extended) == data
    assert rdd.map(lambda x: [x]).fold(zero, extended) == data
    assert zero == []


@given(st.lists(st.floats(-1e6, 1e6), max_size=40), partition_counts)
def test_sum_mean_and_stats(context: Context, data: list[float], parts: int) -> None:
    rdd = context.parallelize(data, parts)
    stats = rdd.stats()
    assert rdd.sum() == pytest.approx(sum(data), abs=1e-6)
    assert stats.count == len(data)
    if data:
        assert rdd.mean() == pytest.approx(statistics.fmean(data), abs=1e-6)
        assert stats.mean == pytest.approx(statistics.fmean(data), abs=1e-6)
        assert stats.variance == pytest.approx(statistics.pvariance(data), rel=1e-6, abs=1e-6)
        assert (stats.min, stats.max) == (min(data), max(data))
        assert stats.sum == pytest.approx(math.fsum(data), abs=1e-6)
    else:
        assert math.isnan(stats.mean)
        with pytest.raises(ConfigurationError, match="mean needs at least one record"):
            rdd.mean()


@given(numbers, partition_counts)
def test_foreach_reaches_every_record_and_partition_once(context: Context, data: list[int], parts: int) -> None:
    total, partitions = context.accumulator(0), context.accumulator(0)
    rdd = context.parallelize(data, parts)
    rdd.foreach(total.add)

    def noted(rows: Any) -> str:
        partitions.add(1)
        total.add(len(list(rows)))
        return "what it returns does not matter"

    rdd.foreach_partition(noted)
    assert total.value == sum(data) + len(data)
    assert partitions.value == parts


def test_additions_of_a_task_that_failed_are_forgotten(context: Context) -> None:
    seen = context.accumulator(0)

    def noted(x: int) -> int:
        seen.add(1)
        return 10 // x

    with pytest.raises(UserCodeError):
        context.parallelize([1, 1, 0], 1).foreach(noted)
    assert seen.value == 0


def test_accumulators_of_any_type(context: Context) -> None:
    words = context.accumulator(frozenset[str](), lambda a, b: a | b)
    longest = context.accumulator(0, max)

    def noted(word: str) -> None:
        words.add(frozenset([word]))
        longest.add(len(word))

    context.parallelize(["a", "bb", "a"], 2).foreach(noted)
    assert words.value == {"a", "bb"}
    assert longest.value == 2


def test_the_value_of_an_accumulator_is_not_for_tasks(context: Context) -> None:
    total = context.accumulator(0)
    with pytest.raises(UserCodeError, match="value of an accumulator"):
        context.range(1).map(lambda x: total.value).collect()
    with pytest.raises(UserCodeError, match="value of an accumulator"):
        context.range(2, partitions=1).reduce(lambda a, b: total.value)


def test_broadcasts_reach_tasks_until_they_are_destroyed(context: Context) -> None:
    names = context.broadcast({0: "zero", 1: "one"})
    rdd = context.range(2).map(lambda x: names.value[x])
    assert rdd.collect() == ["zero", "one"]
    names.unpersist()
    assert rdd.collect() == ["zero", "one"]
    names.destroy()
    with pytest.raises((LifecycleError, UserCodeError), match="destroyed"):
        rdd.collect()
    with pytest.raises(LifecycleError, match="destroyed"):
        _ = names.value


@pytest.mark.parametrize(
    ("action", "operator"),
    [
        (lambda rdd: rdd.reduce(lambda a, b: a // b), "reduce"),
        (lambda rdd: rdd.fold(1, lambda a, b: a // b), "fold"),
        (lambda rdd: rdd.aggregate(1, lambda a, b: a // b, add), "aggregate"),
        (lambda rdd: rdd.foreach(lambda x: 1 // x), "foreach"),
        (lambda rdd: rdd.foreach_partition(lambda rows: 1 // min(rows)), "foreach_partition"),
        (lambda rdd: rdd.map(str).sum(), "sum"),
        (lambda rdd: rdd.map(lambda x: "x").stats(), "stats"),
    ],
)
def test_functions_that_raise_in_an_action_are_named(context: Context, action: Any, operator: str) -> None:
    with pytest.raises(UserCodeError) as raised:
        action(context.parallelize([1, 0, 2], 1))
    assert raised.value.operator == operator
    assert "test_rdd_actions.py" in str(raised.value.site)
    assert raised.value.__cause__ is not None


def test_an_rdd_inside_a_task_is_refused(context: Context) -> None:
    inner, outer = context.range(3), context.range(2)
    with pytest.raises((ShippingError, UserCodeError), match=r"RDD cannot be sent|inside a task"):
        outer.map(lambda x: inner.count()).collect()
    assert outer.count() == 2

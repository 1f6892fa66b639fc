"""Samples, on every backend: repeatable, honest about their fraction, and nothing that was not there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from millstream.context.context import Context
from millstream.context.streaming_context import StreamingContext
from millstream.environment.environment import Environment
from millstream.errors import ArgumentTypeError, ConfigurationError, InvalidError
from millstream.execution.scheduler import Scheduler
from millstream.model.batch import Batch
from millstream.rdd.draws import draws, draws_for_mean, poisson
from millstream.rdd.rdd import RDD
from millstream.stream.dstream import DStream
from millstream.testing import run_batches
from tests.conformance.rdd_strategies import given, numbers, partition_counts, unordered

seeds = st.one_of(st.integers(), st.text(max_size=3))
fractions = st.floats(0, 1)


def sampled(data: list[Any], fraction: float, seed: int | str) -> list[Any]:
    return [x for x, number in zip(data, draws(seed, 0, len(data)), strict=True) if number < fraction]


def sampled_again(data: list[Any], mean: float, seed: int | str) -> list[Any]:
    each = draws_for_mean(mean)
    drawn = list(draws(seed, 0, len(data), each))
    return [x for i, x in enumerate(data) for _ in range(poisson(mean, drawn[i * each : (i + 1) * each]))]


@given(numbers, partition_counts, fractions, seeds)
def test_sample_depends_on_the_seed_and_the_position_alone(
    context: Context, data: list[int], parts: int, fraction: float, seed: int | str
) -> None:
    rdd = context.parallelize(data, parts).sample(fraction, seed=seed)
    assert rdd.collect() == sampled(data, fraction, seed)
    assert rdd.num_partitions == parts


@given(numbers, partition_counts, st.floats(0, 50), seeds)
def test_sample_with_replacement(context: Context, data: list[int], parts: int, mean: float, seed: int | str) -> None:
    rdd = context.parallelize(data, parts).sample(mean, with_replacement=True, seed=seed)
    assert rdd.collect() == sampled_again(data, mean, seed)


@given(numbers, partition_counts, fractions, fractions, seeds, st.booleans())
def test_sample_by_key(
    context: Context, data: list[int], parts: int, odd: float, even: float, seed: int | str, again: bool
) -> None:
    pairs = [(x % 2, x) for x in data]
    rdd = context.parallelize(pairs, parts).sample_by_key({0: even, 1: odd}, with_replacement=again, seed=seed)
    choose = sampled_again if again else sampled
    oracle = {key: choose(pairs, fraction, seed) for key, fraction in ((0, even), (1, odd))}
    assert [pair for pair in rdd.collect() if pair[0]] == [pair for pair in oracle[1] if pair[0]]
    assert [pair for pair in rdd.collect() if not pair[0]] == [pair for pair in oracle[0] if not pair[0]]


@given(numbers, partition_counts, partition_counts, st.integers(0, 50), seeds, st.booleans())
def test_take_sample(
    context: Context, data: list[int], parts: int, other_parts: int, n: int, seed: int | str, again: bool
) -> None:
    taken = context.parallelize(data, parts).take_sample(n, with_replacement=again, seed=seed)
    assert taken == context.parallelize(data, other_parts).take_sample(n, with_replacement=again, seed=seed)
    if again:
        assert len(taken) == (n if data else 0)
        assert set(taken) <= set(data)
    else:
        assert len(taken) == min(n, len(data))
        rest = list(data)
        for record in taken:
            rest.remove(record)


def test_samples_have_about_the_size_that_was_asked_for(context: Context) -> None:
    n = 20_000
    rdd = context.range(n, partitions=3)
    for fraction in (0.01, 0.5, 0.99):
        spread = 5 * math.sqrt(n * fraction * (1 - fraction))
        assert abs(rdd.sample(fraction, seed=1).count() - n * fraction) < spread
    for mean in (0.1, 2.5, 40.0):
        assert abs(rdd.sample(mean, with_replacement=True, seed=1).count() - n * mean) < 5 * math.sqrt(n * mean)
    assert rdd.sample(0, seed=1).is_empty()
    assert rdd.sample(1, seed=1).count() == n
    firsts = [rdd.take_sample(1, seed=seed)[0] for seed in range(40)]
    assert min(firsts) < n * 0.25
    assert max(firsts) > n * 0.75


def test_every_record_is_as_likely_as_another() -> None:
    counts = [0] * 50
    for seed in range(2_000):
        for position in sampled(list(range(50)), 0.3, seed):
            counts[position] += 1
    assert all(abs(count - 600) < 5 * math.sqrt(2_000 * 0.3 * 0.7) for count in counts)


def test_functions_before_a_sample_run_once(context: Context) -> None:
    calls = context.accumulator(0)

    def counted(x: int) -> int:
        calls.add(1)
        return x

    rdd = context.range(20, partitions=3).map(counted)
    assert rdd.sample(1.0).count() == 20
    assert len(rdd.take_sample(5)) == 5
    assert calls.value == 40


def test_without_a_seed_chance_is_that_of_the_environment(context: Context) -> None:
    def taken(seed: int | None) -> list[list[int]]:
        with Context(environment=Environment(seed=seed)) as own:
            rdd = own.range(1000).sample(0.5)
            assert rdd.collect() == rdd.collect()
            return [rdd.collect(), own.range(1000).sample(0.5).collect(), own.range(1000).take_sample(5)]

    assert taken(3) == taken(3)
    assert taken(3) != taken(4)
    first, second, _ = taken(3)
    assert first != second
    assert context.range(1000).sample(0.5).collect() != context.range(1000).sample(0.5).collect()


def test_a_repeated_batch_takes_the_same_sample(context: Context) -> None:
    def taken(batch_ms: int, attempt: int) -> list[int]:
        rdd: RDD[int] = RDD(context.range(100).lineage, Scheduler(context.backend, Batch(batch_ms, attempt)))
        return rdd.sample(0.5).union(rdd.sample(0.5)).collect()

    assert taken(1_000, 0) == taken(1_000, 1)
    assert taken(1_000, 0) != taken(2_000, 0)


def test_streams_sample_each_batch_anew_and_every_run_alike() -> None:
    def halves(ssc: StreamingContext, stream: DStream[int]) -> DStream[int]:
        return stream.transform(lambda rdd: rdd.sample(0.5))

    batches = [list(range(100)), list(range(100))]
    first, second = run_batches(halves, batches)
    assert first != second
    assert run_batches(halves, batches) == [first, second]


def test_a_sample_of_what_is_spread_by_key_stays_so(context: Context) -> None:
    placed = context.parallelize([(key, key) for key in range(50)]).partition_by(3)
    assert "merged in place" in placed.sample(0.5, seed=1).group_by_key().to_debug_string()
    kept = placed.sample(0.5, seed=1)
    assert unordered(kept.join(placed).keys().collect()) == unordered(kept.keys().collect())


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda rdd: rdd.sample(-0.1), ConfigurationError),
        (lambda rdd: rdd.sample(1.1), ConfigurationError),
        (lambda rdd: rdd.sample(math.nan), ConfigurationError),
        (lambda rdd: rdd.sample(math.inf, with_replacement=True), ConfigurationError),
        (lambda rdd: rdd.sample(False), ArgumentTypeError),
        (lambda rdd: rdd.sample("0.1"), ArgumentTypeError),
        (lambda rdd: rdd.sample(0.1, seed=0.5), ArgumentTypeError),
        (lambda rdd: rdd.sample_by_key([0.1]), ArgumentTypeError),
        (lambda rdd: rdd.sample_by_key({"a": -1}), ConfigurationError),
        (lambda rdd: rdd.take_sample(-1), ConfigurationError),
        (lambda rdd: rdd.take_sample(0.5), ArgumentTypeError),
    ],
)
def test_arguments_that_cannot_work(
    context: Context, call: Callable[[RDD[Any]], object], kind: type[InvalidError]
) -> None:
    with pytest.raises(kind) as raised:
        call(context.range(3))
    assert raised.value.hint


def test_a_key_without_a_fraction_is_named(context: Context) -> None:
    pairs = context.parallelize([("a", 1), ("b", 2)], 2)
    with pytest.raises(ConfigurationError, match="without a fraction") as raised:
        pairs.sample_by_key({"a": 0.5}).collect()
    assert "'b'" in str(raised.value)
    assert pairs.sample_by_key({"a": 1, "b": 0}).collect() == [("a", 1)]

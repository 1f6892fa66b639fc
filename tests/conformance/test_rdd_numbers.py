"""Spread and histograms against plain Python, on every backend."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import strategies as st

from millstream.context.context import Context
from millstream.errors import ArgumentTypeError, ConfigurationError, UserCodeError
from tests.conformance.rdd_strategies import given, partition_counts

floats = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=30)
bounds = st.lists(st.integers(-50, 50), min_size=2, max_size=8, unique=True).map(sorted)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=40), partition_counts)
def test_variance_and_stdev(context: Context, data: list[int], parts: int) -> None:
    rdd = context.parallelize(data, parts)
    assert rdd.variance() == pytest.approx(statistics.pvariance(data), abs=1e-6)
    assert rdd.stdev() == pytest.approx(statistics.pstdev(data), abs=1e-6)


def counted(data: list[Any], edges: list[float]) -> list[int]:
    return [sum(low <= x < high or (high == edges[-1] and x == high) for x in data) for low, high in pairwise(edges)]


@given(st.lists(st.one_of(st.integers(-60, 60), st.just(math.nan)), max_size=40), partition_counts, bounds)
def test_histogram_of_bounds(context: Context, data: list[float], parts: int, edges: list[int]) -> None:
    given_back, counts = context.parallelize(data, parts).histogram(edges)
    assert given_back == edges
    assert counts == counted(data, given_back)


@given(floats, partition_counts, st.integers(1, 9))
def test_histogram_of_a_number_of_buckets(context: Context, data: list[float], parts: int, buckets: int) -> None:
    edges, counts = context.parallelize(data, parts).histogram(buckets)
    assert (edges[0], edges[-1]) == (min(data), max(data))
    assert edges == sorted(edges)
    assert sum(counts) == len(data)
    assert len(counts) == len(edges) - 1 == (buckets if min(data) < max(data) else 1)
    if len(set(edges)) == len(edges):
        assert counts == counted(data, edges)


def test_functions_before_a_histogram_run_once(context: Context) -> None:
    calls = context.accumulator(0)

    def seen(x: int) -> int:
        calls.add(1)
        return x

    assert context.range(20, partitions=3).map(seen).histogram(2)[1] == [10, 10]
    assert calls.value == 20


def test_histograms_of_extreme_spans(context: Context) -> None:
    edges, counts = context.parallelize([-1.7e308, 0.0, 1.7e308]).histogram(2)
    assert edges == [-1.7e308, 0.0, 1.7e308]
    assert counts == [1, 2]
    assert context.parallelize([5, 5]).histogram(3) == ([5.0, 5.0], [2])
    assert context.parallelize([1, math.inf]).histogram([0, math.inf])[1] == [2]
    assert context.empty_rdd().histogram([0, 1]) == ([0.0, 1.0], [0])


def test_what_has_no_histogram(context: Context) -> None:
    rdd = context.range(3)
    for bad in ([1], [], [2, 1], [1, 1], [0, math.nan], 0):
        with pytest.raises(ConfigurationError, match="histogram"):
            rdd.histogram(bad)
    for wrong in ("12", 1.5, ["a", "b"], None, True):
        with pytest.raises(ArgumentTypeError, match="histogram"):
            rdd.histogram(wrong)  # type: ignore[arg-type]
    for data in ([1.0, math.nan], [1.0, math.inf]):
        with pytest.raises(ConfigurationError, match="infinite span"):
            context.parallelize(data).histogram(2)
    with pytest.raises(UserCodeError, match="histogram"):
        context.parallelize(["x"]).histogram([0, 1])  # type: ignore[misc]


def test_the_spread_of_nothing_is_refused(context: Context) -> None:
    empty = context.empty_rdd()
    for action in (empty.variance, empty.stdev, lambda: empty.histogram(2)):
        with pytest.raises(ConfigurationError, match="at least one record"):
            action()

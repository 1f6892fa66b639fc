from __future__ import annotations

import math
import statistics
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.rdd.statistics import Statistics

values = st.lists(st.floats(-1e9, 1e9), max_size=30)


@given(st.lists(values, max_size=6))
def test_merged_parts_equal_the_whole(parts: list[list[float]]) -> None:
    whole = [value for part in parts for value in part]
    merged = reduce(Statistics.merge, map(Statistics.of, parts), Statistics.of([]))
    assert merged.count == len(whole)
    assert merged.sum == pytest.approx(math.fsum(whole), abs=1e-3)
    if whole:
        assert merged.mean == pytest.approx(statistics.fmean(whole), rel=1e-9, abs=1e-6)
        assert merged.variance == pytest.approx(statistics.pvariance(whole), rel=1e-6, abs=1e-3)
        assert merged.stdev == pytest.approx(statistics.pstdev(whole), rel=1e-6, abs=1e-3)
        assert (merged.min, merged.max) == (min(whole), max(whole))
    if len(whole) > 1:
        assert merged.sample_variance == pytest.approx(statistics.variance(whole), rel=1e-6, abs=1e-3)


def test_a_small_spread_far_from_zero_is_not_lost() -> None:
    left, right = Statistics.of([1e9 + 1, 1e9 + 2]), Statistics.of([1e9 + 3, 1e9 + 4])
    assert left.merge(right).variance == pytest.approx(1.25, rel=1e-9)


def test_no_numbers_have_no_mean() -> None:
    nothing = Statistics.of([])
    assert (nothing.count, nothing.sum) == (0, 0.0)
    undefined = (nothing.mean, nothing.variance, nothing.stdev, nothing.min, nothing.max, nothing.sample_stdev)
    assert all(map(math.isnan, undefined))
    assert math.isnan(Statistics.of([1]).sample_variance)
    assert Statistics.of([1]).variance == 0.0


def test_nan_and_infinities_do_not_hide() -> None:
    merged = Statistics.of([1.0]).merge(Statistics.of([math.nan, 2.0]))
    assert math.isnan(merged.min)
    assert math.isnan(merged.max)
    assert math.isnan(merged.mean)
    assert merged.count == 3
    assert Statistics.of([math.inf, 1]).mean == math.inf
    assert math.isnan(Statistics.of([math.inf, -math.inf]).mean)
    assert Statistics.of([1e308, 1e308]).sum == math.inf


def test_whatever_has_a_float_is_a_number() -> None:
    from decimal import Decimal
    from fractions import Fraction

    assert Statistics.of([1, Decimal("0.5"), Fraction(1, 2), True]).mean == 0.75

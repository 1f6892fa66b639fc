"""Histograms: the bounds of buckets, and how many numbers fall between them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import SupportsFloat

from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.rdd.statistics import Statistics


def bounds_checked(bounds: Sequence[SupportsFloat]) -> list[float]:
    """Check bounds that a user gave.

    Raises:
        ArgumentTypeError: one is no number.
        ConfigurationError: fewer than two, or not in ascending order.

    Example:
        >>> bounds_checked([0, 1, 2.5])
        [0.0, 1.0, 2.5]
    """
    try:
        numbers = [float(bound) for bound in bounds]
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            "histogram needs numbers as bounds.",
            detail=f"buckets={shown(bounds)}: {error}",
            hint="Give a number of buckets, or bounds such as [0, 10, 100].",
        ) from error
    if len(numbers) < 2 or not all(low < high for low, high in pairwise(numbers)):
        raise ConfigurationError(
            "histogram needs at least two bounds in ascending order.",
            detail=f"buckets={shown(bounds)}.",
            hint="Give them sorted and without repetition, such as [0, 10, 100].",
        )
    return numbers


def even_bounds(statistics: Statistics, buckets: int) -> list[float]:
    """Cut the span of some numbers into buckets of equal width; one bucket where all are equal.

    Raises:
        ConfigurationError: one of the numbers is NaN or infinite.

    Example:
        >>> even_bounds(Statistics.of([0, 3, 10]), 4)
        [0.0, 2.5, 5.0, 7.5, 10.0]
    """
    low, high = statistics.min, statistics.max
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigurationError(
            "histogram cannot cut an infinite span into buckets.",
            detail=f"The smallest number is {low}, the largest {high}.",
            hint="Give the bounds of the buckets, or filter out NaN and infinities first.",
        )
    if low == high:
        return [low, high]
    # Halves, so that the span of the largest floats does not overflow.
    half = high / 2 - low / 2
    return [low + half * (2 * place / buckets) for place in range(buckets)] + [high]


@dataclass(frozen=True, slots=True)
class CountInBuckets:
    """Counts numbers by bucket.

    Args:
        bounds: ascending, at least two.

    Example:
        >>> CountInBuckets([0.0, 1.0, 2.0])([0, 0.5, 1, 2, 3, float("nan")])
        [2, 2]
    """

    bounds: list[float]

    def __call__(self, numbers: Sequence[SupportsFloat]) -> list[int]:
        bounds = self.bounds
        low, high, last = bounds[0], bounds[-1], len(bounds) - 2
        counts = [0] * (last + 1)
        for number in numbers:
            value = float(number)
            if low <= value <= high:
                counts[min(bisect_right(bounds, value) - 1, last)] += 1
        return counts

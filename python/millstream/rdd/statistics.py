"""Statistics of numbers, put together partition by partition."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import SupportsFloat


@dataclass(frozen=True, slots=True)
class Statistics:
    """Count, mean, spread, extremes and sum of numbers.

    Without numbers `count` is 0, `sum` is 0.0 and everything else is NaN.

    Attributes:
        count: how many numbers.
        mean: their arithmetic mean.
        squares: the sum of the squared distances from the mean.
        min: the smallest; NaN when one of them is NaN.
        max: the largest; NaN when one of them is NaN.
        sum: their sum.

    Source:
        Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979, for
        the merge; Spark's StatCounter has the same figures.

    Example:
        >>> left, right = Statistics.of([1, 2]), Statistics.of([3, 6])
        >>> both = left.merge(right)
        >>> both.count, both.mean, both.variance, both.max
        (4, 3.0, 3.5, 6.0)
    """

    count: int
    mean: float
    squares: float
    min: float
    max: float
    sum: float

    @classmethod
    def of(cls, numbers: Iterable[SupportsFloat]) -> Statistics:
        """Compute the statistics of some numbers; sums are correctly rounded where they are finite."""
        values = [float(number) for number in numbers]
        if not values:
            return cls(0, math.nan, math.nan, math.nan, math.nan, 0.0)
        total = _sum(values)
        mean = total / len(values)
        squares = _sum([(value - mean) * (value - mean) for value in values])
        if any(map(math.isnan, values)):
            return cls(len(values), mean, squares, math.nan, math.nan, total)
        return cls(len(values), mean, squares, min(values), max(values), total)

    @property
    def variance(self) -> float:
        """The mean squared distance from the mean, as of a whole population; NaN without numbers."""
        return self.squares / self.count if self.count else math.nan

    @property
    def stdev(self) -> float:
        """The square root of `variance`."""
        return math.sqrt(self.variance)

    @property
    def sample_variance(self) -> float:
        """The variance estimated from a sample (divisor `count - 1`); NaN with fewer than two numbers."""
        return self.squares / (self.count - 1) if self.count > 1 else math.nan

    @property
    def sample_stdev(self) -> float:
        """The square root of `sample_variance`."""
        return math.sqrt(self.sample_variance)

    def merge(self, other: Statistics) -> Statistics:
        """Give the statistics of both together; neither is changed."""
        if not other.count:
            return self
        if not self.count:
            return other
        count = self.count + other.count
        distance = other.mean - self.mean
        nan = math.isnan(self.min) or math.isnan(other.min)
        return Statistics(
            count,
            self.mean + distance * other.count / count,
            self.squares + other.squares + distance * distance * self.count * other.count / count,
            math.nan if nan else min(self.min, other.min),
            math.nan if nan else max(self.max, other.max),
            self.sum + other.sum,
        )


def _sum(values: list[float]) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # Infinities of both signs, or a sum beyond the largest float.
        return sum(values)

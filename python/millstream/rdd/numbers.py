"""RDD methods on numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, Protocol, SupportsFloat, TypeVar

from millstream.model.label import Label
from millstream.rdd.arguments import whole_number
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.empty import refuse_empty
from millstream.rdd.failures import function_failed
from millstream.rdd.histogram import CountInBuckets, bounds_checked, even_bounds
from millstream.rdd.lineage import Held
from millstream.rdd.operations import Apply
from millstream.rdd.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable


class Addable(Protocol):
    """What `sum` can add: it starts from 0."""

    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...


N = TypeVar("N", bound=Addable)


class NumberActions(RDDCore[T_co]):
    """Actions on numbers."""

    __slots__ = ()

    def sum(self: RDDCore[N]) -> N | Literal[0]:
        """Add up the records; 0 when there is none.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([1, 2, 3.5]).sum()
            6.5
        """
        adding = _OfNumbers(sum, label("sum"))
        total: N | Literal[0] = adding(self.runner.run(self.lineage, Apply(adding)))
        return total

    def mean(self: RDDCore[SupportsFloat]) -> float:
        """Give the arithmetic mean.

        Raises:
            ConfigurationError: the RDD is empty.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([1, 2, 6]).mean()
            3.0
        """
        at = label("mean")
        statistics = _statistics(self, at)
        return refuse_empty([statistics.mean] if statistics.count else [], at)

    def stats(self: RDDCore[SupportsFloat]) -> Statistics:
        """Give count, mean, variance, extremes and sum in one pass.

        Example:
            >>> import millstream as ms
            >>> stats = ms.Context().parallelize([1, 2, 6]).stats()
            >>> stats.count, stats.mean, stats.max, stats.sum
            (3, 3.0, 6.0, 9.0)
        """
        return _statistics(self, label("stats"))

    def variance(self: RDDCore[SupportsFloat]) -> float:
        """Give the mean squared distance from the mean, as of a whole population.

        `stats()` has it beside the variance estimated from a sample.

        Raises:
            ConfigurationError: the RDD is empty.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([1, 2, 3, 6]).variance()
            3.5
        """
        at = label("variance")
        statistics = _statistics(self, at)
        return refuse_empty([statistics.variance] if statistics.count else [], at)

    def stdev(self: RDDCore[SupportsFloat]) -> float:
        """Give the standard deviation, as of a whole population: the square root of `variance`.

        Raises:
            ConfigurationError: the RDD is empty.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([1, 3]).stdev()
            1.0
        """
        at = label("stdev")
        statistics = _statistics(self, at)
        return refuse_empty([statistics.stdev] if statistics.count else [], at)

    def histogram(
        self: RDDCore[SupportsFloat], buckets: int | Sequence[SupportsFloat]
    ) -> tuple[list[float], list[int]]:
        """Count the numbers that fall into each of several buckets.

        A bucket holds its lower bound and not its upper one, the last holds both. Asked for a number of buckets, the
        RDD is computed once and kept while its extremes and then the counts are found.

        Args:
            buckets: how many of equal width between the smallest and the largest number, at least 1 (one comes when
                all numbers are equal); or their bounds, at least two in ascending order. Numbers outside of these,
                and NaN, are not counted.

        Returns:
            The bounds, and for each bucket how many numbers are in it: one entry fewer.

        Raises:
            ConfigurationError: the bounds are not in order; or, asked for a number of buckets, the RDD is empty or
                holds NaN or an infinity.

        Example:
            >>> import millstream as ms
            >>> numbers = ms.Context().range(51)
            >>> numbers.histogram(2)
            ([0.0, 25.0, 50.0], [25, 26])
            >>> numbers.histogram([0, 5, 25, 50])
            ([0.0, 5.0, 25.0, 50.0], [5, 20, 26])
        """
        at, lineage = label("histogram"), self.lineage
        if isinstance(buckets, Sequence) and not isinstance(buckets, (str, bytes)):
            bounds = bounds_checked(buckets)
        else:
            count = whole_number(buckets, "histogram", "buckets", least=1)
            lineage = Held(self.runner.keep(lineage))
            statistics = _statistics(self.derive(lineage), at)
            bounds = refuse_empty([even_bounds(statistics, count)] if statistics.count else [], at)
        counts = self.runner.run(lineage, Apply(_OfNumbers(CountInBuckets(bounds), at)))
        return bounds, [sum(of_bucket) for of_bucket in zip(*counts, strict=True)] or [0] * (len(bounds) - 1)


@dataclass(frozen=True, slots=True)
class _OfNumbers:
    """Computes something of a list of numbers."""

    f: Callable[[Any], Any]
    label: Label

    def __call__(self, numbers: list[Any]) -> Any:
        try:
            return self.f(numbers)
        except Exception as error:
            raise function_failed(self.label, error, "adding", numbers[:3]) from error


def _statistics(rdd: RDDCore[Any], at: Label) -> Statistics:
    parts = rdd.runner.run(rdd.lineage, Apply(_OfNumbers(Statistics.of, at)))
    return reduce(Statistics.merge, parts, Statistics.of([]))

"""RDD methods on numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, Protocol, SupportsFloat, TypeVar

from millstream.model.label import Label
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.empty import refuse_empty
from millstream.rdd.failures import function_failed
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

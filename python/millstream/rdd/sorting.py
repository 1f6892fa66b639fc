"""RDD methods that order records: whole RDDs, and the first few of an order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from millstream.errors import MillstreamError
from millstream.model.label import Label
from millstream.rdd.arguments import check_function, whole_number
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.empty import refuse_empty
from millstream.rdd.exchange import SortByKey
from millstream.rdd.failures import function_failed, not_comparable
from millstream.rdd.lineage import Shuffled
from millstream.rdd.operations import Apply, KeyBy, Values
from millstream.rdd.partitioner import ByRange, partitions_checked

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison, SupportsRichComparisonT

    from millstream.rdd.rdd import RDD

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class SortMethods(RDDCore[T_co]):
    """Methods that compare records, or what a `key` function gives for them."""

    __slots__ = ()

    def sort_by(
        self, f: Callable[[T_co], SupportsRichComparison], *, ascending: bool = True, partitions: int | None = None
    ) -> RDD[T_co]:
        """Sort by `f(record)`; records for which it gives equal values keep their order.

        With more than one partition, the RDD before the sort is computed first and a sample of it decides which
        range of values goes to which partition: the same records always give the same partitions.

        Args:
            f: gives what is compared.
            ascending: False puts the largest first.
            partitions: how many partitions the result has; None: the default of the context.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize(["bb", "a", "dd", "c"]).sort_by(len).collect()
            ['a', 'c', 'bb', 'dd']
        """
        check_function(f, "sort_by")
        at = label("sort_by")
        return _sorted(self.narrow(KeyBy(f, at)), ascending, partitions, at).narrow(Values(at))

    def sort_by_key(
        self: RDDCore[tuple[K, V]],
        *,
        ascending: bool = True,
        partitions: int | None = None,
        key: Callable[[K], SupportsRichComparison] | None = None,
    ) -> RDD[tuple[K, V]]:
        """Sort pairs by their key; pairs of equal keys keep their order.

        Args:
            ascending: False puts the largest key first.
            partitions: how many partitions the result has; None: the default of the context.
            key: gives what is compared in place of the key itself.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([("b", 1), ("a", 2)]).sort_by_key().collect()
            [('a', 2), ('b', 1)]
        """
        at = label("sort_by_key")
        if key is None:
            return _sorted(self, ascending, partitions, at)
        check_function(key, "sort_by_key", "key")
        return _sorted(self.narrow(KeyBy(_OfKey(key), at)), ascending, partitions, at).narrow(Values(at))

    @overload
    def take_ordered(self: RDDCore[SupportsRichComparisonT], n: int) -> list[SupportsRichComparisonT]: ...
    @overload
    def take_ordered(self: RDDCore[T], n: int, key: Callable[[T], SupportsRichComparison]) -> list[T]: ...
    def take_ordered(self: RDDCore[Any], n: int, key: Callable[[Any], Any] | None = None) -> list[Any]:
        """Give the `n` smallest records in ascending order, without sorting the rest.

        Args:
            n: how many, at least 0.
            key: gives what is compared in place of the record itself.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([5, 1, 4, 2]).take_ordered(2)
            [1, 2]
        """
        return _extremes(self, "take_ordered", heapq.nsmallest, n, key)

    @overload
    def top(self: RDDCore[SupportsRichComparisonT], n: int) -> list[SupportsRichComparisonT]: ...
    @overload
    def top(self: RDDCore[T], n: int, key: Callable[[T], SupportsRichComparison]) -> list[T]: ...
    def top(self: RDDCore[Any], n: int, key: Callable[[Any], Any] | None = None) -> list[Any]:
        """Give the `n` largest records in descending order, without sorting the rest.

        Args:
            n: how many, at least 0.
            key: gives what is compared in place of the record itself.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([("a", 2), ("b", 7)]).top(1, key=lambda pair: pair[1])
            [('b', 7)]
        """
        return _extremes(self, "top", heapq.nlargest, n, key)

    @overload
    def min(self: RDDCore[SupportsRichComparisonT]) -> SupportsRichComparisonT: ...
    @overload
    def min(self: RDDCore[T], key: Callable[[T], SupportsRichComparison]) -> T: ...
    def min(self: RDDCore[Any], key: Callable[[Any], Any] | None = None) -> Any:
        """Give the smallest record, the first one of equals.

        Args:
            key: gives what is compared in place of the record itself.

        Raises:
            ConfigurationError: the RDD is empty.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([3, 1, 2]).min()
            1
        """
        return refuse_empty(_extremes(self, "min", heapq.nsmallest, 1, key), label("min"))

    @overload
    def max(self: RDDCore[SupportsRichComparisonT]) -> SupportsRichComparisonT: ...
    @overload
    def max(self: RDDCore[T], key: Callable[[T], SupportsRichComparison]) -> T: ...
    def max(self: RDDCore[Any], key: Callable[[Any], Any] | None = None) -> Any:
        """Give the largest record, the first one of equals.

        Args:
            key: gives what is compared in place of the record itself.

        Raises:
            ConfigurationError: the RDD is empty.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize(["a", "ccc", "bb"]).max(key=len)
            'ccc'
        """
        return refuse_empty(_extremes(self, "max", heapq.nlargest, 1, key), label("max"))


@dataclass(frozen=True, slots=True)
class _OfKey:
    """Applies a function to the key of a pair."""

    f: Callable[[Any], Any]

    def __call__(self, pair: Any) -> Any:
        return self.f(pair[0])


_Choose = Callable[..., list[Any]]


@dataclass(frozen=True, slots=True)
class _Extremes:
    """Chooses the first few records of an order: in a task those of a partition, on the driver those of all."""

    choose: _Choose
    n: int
    key: Callable[[Any], Any] | None
    label: Label

    def __call__(self, rows: Iterable[Any]) -> list[Any]:
        try:
            return self.choose(self.n, rows, None if self.key is None else self._key)
        except MillstreamError:
            raise
        except Exception as error:
            raise not_comparable(self.label, error) from error

    def _key(self, record: Any) -> Any:
        assert self.key is not None
        try:
            return self.key(record)
        except Exception as error:
            raise function_failed(self.label, error, "ordering", record) from error


def _extremes(rdd: RDDCore[Any], operator: str, choose: _Choose, n: int, key: Callable[[Any], Any] | None) -> list[Any]:
    whole_number(n, operator, "n", least=0)
    if key is not None:
        check_function(key, operator, "key")
    if n == 0:
        return []
    extremes = _Extremes(choose, n, key, label(operator))
    parts = rdd.runner.run(rdd.lineage, Apply(extremes))
    return extremes([record for part in parts for record in part])


def _sorted(pairs: RDDCore[Any], ascending: bool, partitions: int | None, at: Label) -> RDD[Any]:
    count = partitions_checked(partitions, pairs.runner.default_partitions)
    return pairs.derive(Shuffled([pairs.lineage], SortByKey(ByRange(count, ascending=ascending), at)))

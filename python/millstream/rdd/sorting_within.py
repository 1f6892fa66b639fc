"""Sorting inside partitions that a key chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from millstream.errors import MillstreamError
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.rdd.arguments import check_function
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.exchange import ByKey, Piece, pairs_of
from millstream.rdd.failures import function_failed, not_comparable
from millstream.rdd.partitioner import ByFunction, KeyGroups, Partitioner, key_of, partitions_checked
from millstream.rdd.shuffle import shuffle

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison, SupportsRichComparisonT

    from millstream.rdd.rdd import RDD

K = TypeVar("K")
V = TypeVar("V")


class SortWithinMethods(RDDCore[T_co]):
    """Methods that leave an order inside partitions, and none across them."""

    __slots__ = ()

    @overload
    def repartition_and_sort_within_partitions(
        self: RDDCore[tuple[SupportsRichComparisonT, V]],
        partitions: int | None = None,
        f: Callable[[SupportsRichComparisonT], int] | None = None,
        *,
        ascending: bool = True,
    ) -> RDD[tuple[SupportsRichComparisonT, V]]: ...
    @overload
    def repartition_and_sort_within_partitions(
        self: RDDCore[tuple[K, V]],
        partitions: int | None = None,
        f: Callable[[K], int] | None = None,
        *,
        ascending: bool = True,
        key: Callable[[K], SupportsRichComparison],
    ) -> RDD[tuple[K, V]]: ...
    def repartition_and_sort_within_partitions(
        self: RDDCore[tuple[Any, Any]],
        partitions: int | None = None,
        f: Callable[[Any], int] | None = None,
        *,
        ascending: bool = True,
        key: Callable[[Any], Any] | None = None,
    ) -> RDD[tuple[Any, Any]]:
        """Move each pair to the partition of its key, and sort the pairs of each partition by key.

        Pairs of equal keys keep their order. One stage does both, so that `map_partitions` behind it can walk through
        the pairs of one key after the other without holding them all.

        Args:
            partitions: how many partitions, 1 to 1,024; None: the default of the context.
            f: gives an int for a key, which is taken modulo `partitions`, as for `partition_by`; None: the stable
                hash of the key.
            ascending: False puts the largest key first.
            key: gives what is compared in place of the key itself.

        Example:
            >>> import millstream as ms
            >>> pairs = ms.Context().parallelize([(4, "d"), (1, "a"), (2, "b"), (3, "c")])
            >>> pairs.repartition_and_sort_within_partitions(2, lambda key: key).glom().collect()
            [[(2, 'b'), (4, 'd')], [(1, 'a'), (3, 'c')]]
        """
        operator = "repartition_and_sort_within_partitions"
        count = partitions_checked(partitions, self.runner.default_partitions)
        partitioner: Partitioner = KeyGroups(count)
        if f is not None:
            check_function(f, operator)
            partitioner = ByFunction(count, f)
        if key is not None:
            check_function(key, operator, "key")
        exchange = SortWithin(partitioner, ascending, key, label(operator))
        return self.derive(shuffle([self.lineage], exchange))


class SortWithin(ByKey):
    """Pairs moved by key and sorted by it inside each partition.

    Args:
        partitioner: where a key belongs.
        ascending: the smallest key first.
        key: gives what is compared, or None for the key itself.
        label: the operator.
    """

    __slots__ = ("ascending", "key")

    def __init__(
        self, partitioner: Partitioner, ascending: bool, key: Callable[[Any], Any] | None, label: Label
    ) -> None:
        super().__init__(partitioner, label)
        self.ascending = ascending
        self.key = key

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Sort the pairs; equal keys keep the order of the map partitions."""
        rows = [pair for piece in sides[0] for pair in pairs_of(piece)]
        try:
            rows.sort(key=key_of if self.key is None else self._compared, reverse=not self.ascending)
        except MillstreamError:
            raise
        except TypeError as error:
            raise not_comparable(self.label, error) from error
        return rows

    def _compared(self, pair: Any) -> Any:
        assert self.key is not None
        key = key_of(pair)
        try:
            return self.key(key)
        except Exception as error:
            raise function_failed(self.label, error, "ordering", key) from error

"""RDD methods that put records side by side: with those of another RDD, or with numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from millstream.errors import ConfigurationError, InternalError
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.rdd.arguments import common_runner
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.exchange import Exchange, Piece
from millstream.rdd.lineage import Held, Merged, Shuffled
from millstream.rdd.operations import Collect, MapPartitions
from millstream.rdd.positions import at_positions

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

U = TypeVar("U")


class ZipMethods(RDDCore[T_co]):
    """Methods that pair records by place rather than by key."""

    __slots__ = ()

    def zip(self, other: RDDCore[U]) -> RDD[tuple[T_co, U]]:
        """Pair the first record with the first of the other RDD, the second with the second, and so on.

        Both must have as many partitions and as many records in each of them, which holds when one was made of the
        other by `map`. Nothing is shuffled.

        Args:
            other: an RDD of the same context.

        Raises:
            ConfigurationError: at the call, the numbers of partitions differ; from an action, the numbers of records
                in a partition.

        Example:
            >>> import millstream as ms
            >>> numbers = ms.Context().range(3)
            >>> numbers.zip(numbers.map(lambda x: x * x)).collect()
            [(0, 0), (1, 1), (2, 4)]
        """
        from millstream.rdd.rdd import RDD

        runner = common_runner("zip", [self, other])
        left, right, at = self.lineage, other.lineage, label("zip")
        if left.partitions != right.partitions:
            raise ConfigurationError(
                "zip needs two RDDs with as many partitions.",
                detail=f"One has {left.partitions}, the other {right.partitions}. The call is at {at.site}.",
                hint=_JOIN_INSTEAD,
            )
        return RDD(Merged([[left], [right]], Zipped(left.partitions, at)), runner)

    def zip_with_index(self) -> RDD[tuple[T_co, int]]:
        """Pair each record with its position in the RDD, counted from 0 over all partitions.

        With more than one partition this is a stage of its own, in which what comes before runs once.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize("abc", partitions=2).zip_with_index().collect()
            [('a', 0), ('b', 1), ('c', 2)]
        """
        return at_positions(self, _numbered, label("zip_with_index"))

    def zip_with_unique_id(self) -> RDD[tuple[T_co, int]]:
        """Pair each record with a number that no other record has; cheaper than `zip_with_index`.

        Of n partitions, the records of partition k get k, k + n, k + 2 n and so on: there may be gaps, and the
        numbers depend on the number of partitions.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize("abc", partitions=2).zip_with_unique_id().collect()
            [('a', 0), ('b', 1), ('c', 3)]
        """
        numbering = _EveryNth(self.lineage.partitions)
        return self.narrow(MapPartitions(numbering, True, label("zip_with_unique_id")))

    def cartesian(self, other: RDDCore[U]) -> RDD[tuple[T_co, U]]:
        """Pair each record with each record of the other RDD.

        The result has a partition for each pair of partitions; each partition goes to all that need it, and the
        pairs are made one by one as they are asked for, so a `filter` behind it holds none of the others.

        Args:
            other: an RDD of the same context.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> context.parallelize([1, 2]).cartesian(context.parallelize("ab")).collect()
            [(1, 'a'), (1, 'b'), (2, 'a'), (2, 'b')]
        """
        from millstream.rdd.rdd import RDD

        runner = common_runner("cartesian", [self, other])
        at = label("cartesian")
        n, m = self.lineage.partitions, other.lineage.partitions
        if n * m == 0:
            return RDD(Held([]), runner)
        left = Shuffled([self.lineage], Repeated([place // m for place in range(n * m)], at))
        right = Shuffled([other.lineage], Repeated([place % m for place in range(n * m)], at))
        return RDD(Merged([[left], [right]], Crossed(n * m, at)), runner)


class _Sideways(Exchange):
    """Partitions of two parents put together where they are: nothing is ever split."""

    __slots__ = ()

    def __init__(self, partitions: int, label: Label) -> None:
        super().__init__(partitions, None, Collect(), label)

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Never asked for: nothing moves."""
        raise InternalError("An exchange that merges in place was asked to split.")


class Zipped(_Sideways):
    """Row by row the pairs of two partitions of equal length."""

    __slots__ = ()

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Pair the rows."""
        (left,), (right,) = sides
        if len(left) != len(right):
            raise ConfigurationError(
                "zip needs as many records in each partition of the one RDD as in that of the other.",
                detail=f"A partition has {len(left)}, its counterpart {len(right)}. zip is at {self.label.site}.",
                hint=_JOIN_INSTEAD,
            )
        return list(zip(left, right, strict=True))


class Crossed(_Sideways):
    """Every pair of the rows of two partitions."""

    __slots__ = ()

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Hand over the rows of both; pairs are made when they are iterated."""
        (left,), (right,) = sides
        return CrossedRows(left, right)


class Repeated(Exchange):
    """Whole partitions sent to several places each.

    Args:
        wanted: for each place the partition that goes there.
        label: the operator.
    """

    __slots__ = ("wanted",)

    def __init__(self, wanted: Sequence[int], label: Label) -> None:
        super().__init__(len(wanted), None, Collect(), label)
        self.wanted = wanted

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Give the rows to every place that wants this partition."""
        return [result if wanted == index else () for wanted in self.wanted]

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Take the one partition that came."""
        return next((piece for piece in sides[0] if len(piece)), ())


class CrossedRows:
    """The pairs of two lots of rows, made as they are iterated.

    Example:
        >>> rows = CrossedRows([1, 2], "ab")
        >>> len(rows), list(rows)
        (4, [(1, 'a'), (1, 'b'), (2, 'a'), (2, 'b')])
    """

    __slots__ = ("_left", "_right")

    def __init__(self, left: Rows, right: Rows) -> None:
        self._left = left
        self._right = right

    def __len__(self) -> int:
        return len(self._left) * len(self._right)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        right = self._right
        return ((a, b) for a in self._left for b in right)


_JOIN_INSTEAD = "To pair by position all the same, key both by zip_with_index() and join them."


def _numbered(rows: Rows, start: int) -> Rows:
    return list(zip(rows, range(start, start + len(rows)), strict=True))


@dataclass(frozen=True, slots=True)
class _EveryNth:
    """Numbers the rows of a partition so that no two of all partitions get the same number."""

    partitions: int

    def __call__(self, index: int, rows: Iterator[Any]) -> Iterator[tuple[Any, int]]:
        return zip(rows, count(index, self.partitions), strict=False)

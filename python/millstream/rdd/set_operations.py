"""RDD methods that compare the records of two RDDs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.rdd.arguments import common_runner
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.exchange import ByKey, Distinct, Piece, pairs_of
from millstream.rdd.failures import key_refused
from millstream.rdd.lineage import Lineage, Narrow
from millstream.rdd.operations import Keys, Map
from millstream.rdd.partitioner import KeyGroups, key_of, partitioner_for, partitions_checked
from millstream.rdd.shuffle import shuffle

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

K = TypeVar("K")
V = TypeVar("V")


class SetMethods(RDDCore[T_co]):
    """Methods that ask which records, or which keys, another RDD has too.

    Records are equal when Python says so, and must be what can be a key: strings, numbers, tuples of these. All of
    them shuffle; `partitions` says how many partitions the result has, from 1 to 1,024, and without it the default
    of the context.
    """

    __slots__ = ()

    def intersection(self, other: RDDCore[Any], partitions: int | None = None) -> RDD[T_co]:
        """Give the records that both RDDs have, each once.

        Args:
            other: an RDD of the same context.
            partitions: how many partitions the result has.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> context.parallelize([3, 1, 3, 2]).intersection(context.parallelize([3, 2, 5])).collect()
            [3, 2]
        """
        from millstream.rdd.rdd import RDD

        runner = common_runner("intersection", [self, other])
        spread = KeyGroups(partitions_checked(partitions, runner.default_partitions))
        return RDD(shuffle([self.lineage, other.lineage], Intersection(spread, label("intersection"))), runner)

    def subtract(self, other: RDDCore[Any], partitions: int | None = None) -> RDD[T_co]:
        """Give the records that the other RDD has not got; those that occur twice stay.

        Args:
            other: an RDD of the same context.
            partitions: how many partitions the result has.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> context.parallelize([3, 1, 3, 2]).subtract(context.parallelize([2, 5])).collect()
            [3, 1, 3]
        """
        at = label("subtract")
        common_runner("subtract", [self, other])
        sides = [Narrow(self.lineage, Map(_alone, at)), Narrow(other.lineage, Map(_alone, at))]
        return _without(self, other, sides, partitions, at).narrow(Keys(at))

    def subtract_by_key(
        self: RDDCore[tuple[K, V]], other: RDDCore[tuple[Any, Any]], partitions: int | None = None
    ) -> RDD[tuple[K, V]]:
        """Give the pairs whose key the other RDD has not got.

        An RDD that is spread by key already stays where it is; see `partition_by`.

        Args:
            other: an RDD of pairs of the same context.
            partitions: how many partitions the result has.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> users = context.parallelize([("ann", 30), ("bo", 41), ("ann", 31)])
            >>> users.subtract_by_key(context.parallelize([("bo", "banned")])).collect()
            [('ann', 30), ('ann', 31)]
        """
        common_runner("subtract_by_key", [self, other])
        return _without(self, other, [self.lineage, other.lineage], partitions, label("subtract_by_key"))


class Intersection(Distinct):
    """The records that every parent has, each once, where it appeared first in the first parent."""

    __slots__ = ()

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Keep what is in all sides."""
        found: dict[Any, None] = {}
        for piece in sides[0]:
            found.update(dict.fromkeys(piece.keys()))
        for side in sides[1:]:
            there = set[Any]().union(*(piece.keys() for piece in side))
            found = {record: None for record in found if record in there}
        return list(found)


class SubtractByKey(ByKey):
    """The pairs of the first parent whose key the second has not got, in their order."""

    __slots__ = ()

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Leave out the pairs whose key is on the second side."""
        kept, gone = sides
        key: Any = None
        try:
            there = {key := key_of(pair) for piece in gone for pair in pairs_of(piece)}
            return [pair for piece in kept for pair in pairs_of(piece) if (key := key_of(pair)) not in there]
        except TypeError as error:
            raise key_refused(self.label, error, key) from error


def _alone(record: Any) -> tuple[Any, None]:
    return record, None


def _without(
    rdd: RDDCore[Any], other: RDDCore[Any], sides: Sequence[Lineage], partitions: int | None, at: Label
) -> RDD[Any]:
    from millstream.rdd.rdd import RDD

    runner = common_runner(at.operator, [rdd, other])
    partitioner = partitioner_for(sides, partitions, runner.default_partitions)
    return RDD(shuffle(sides, SubtractByKey(partitioner, at)), runner)

"""RDD methods that bring several RDDs of pairs together by key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from millstream.model.label import Label
from millstream.rdd.arguments import common_runner
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.exchange import Cogroup
from millstream.rdd.joins import Sides, inner_pairs, left_pairs, outer_pairs, right_pairs
from millstream.rdd.lineage import Lineage, Narrow
from millstream.rdd.operations import FlatMapValues
from millstream.rdd.partitioner import partitioner_for
from millstream.rdd.shuffle import shuffle

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

K = TypeVar("K")
V = TypeVar("V")
W = TypeVar("W")
X = TypeVar("X")


class JoinMethods(RDDCore[T_co]):
    """Joins and what they are made of.

    An RDD that is spread by key already stays where it is, and the others are moved to it; see `partition_by`.
    """

    __slots__ = ()

    @overload
    def cogroup(
        self: RDDCore[tuple[K, V]], other: RDDCore[tuple[K, W]], /, *, partitions: int | None = None
    ) -> RDD[tuple[K, tuple[list[V], list[W]]]]: ...
    @overload
    def cogroup(
        self: RDDCore[tuple[K, V]],
        other: RDDCore[tuple[K, W]],
        another: RDDCore[tuple[K, X]],
        /,
        *,
        partitions: int | None = None,
    ) -> RDD[tuple[K, tuple[list[V], list[W], list[X]]]]: ...
    @overload
    def cogroup(
        self: RDDCore[tuple[K, V]], *others: RDDCore[tuple[K, Any]], partitions: int | None = None
    ) -> RDD[tuple[K, tuple[list[Any], ...]]]: ...
    def cogroup(self: RDDCore[Any], *others: RDDCore[Any], partitions: int | None = None) -> RDD[Any]:
        """For each key of any RDD give one list of its values for each RDD, empty where it has none.

        Args:
            others: RDDs of pairs of the same context.
            partitions: how many partitions the result has.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> ages, towns = context.parallelize([("ann", 30)]), context.parallelize([("ann", "Ulm"), ("bo", "Ems")])
            >>> ages.cogroup(towns).collect_as_map()
            {'ann': ([30], ['Ulm']), 'bo': ([], ['Ems'])}
        """
        return _cogrouped([self, *others], partitions, label("cogroup"), None)

    def join(
        self: RDDCore[tuple[K, V]], other: RDDCore[tuple[K, W]], partitions: int | None = None
    ) -> RDD[tuple[K, tuple[V, W]]]:
        """Pair each value with each value of the same key in the other RDD.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> left, right = context.parallelize([("a", 1), ("b", 2)]), context.parallelize([("a", 10), ("a", 11)])
            >>> left.join(right).collect()
            [('a', (1, 10)), ('a', (1, 11))]
        """
        return _cogrouped([self, other], partitions, label("join"), inner_pairs)

    def left_outer_join(
        self: RDDCore[tuple[K, V]], other: RDDCore[tuple[K, W]], partitions: int | None = None
    ) -> RDD[tuple[K, tuple[V, W | None]]]:
        """Join, and keep the keys that only this RDD has, with None for the other's value.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> context.parallelize([("a", 1)]).left_outer_join(context.parallelize([("b", 2)])).collect()
            [('a', (1, None))]
        """
        return _cogrouped([self, other], partitions, label("left_outer_join"), left_pairs)

    def right_outer_join(
        self: RDDCore[tuple[K, V]], other: RDDCore[tuple[K, W]], partitions: int | None = None
    ) -> RDD[tuple[K, tuple[V | None, W]]]:
        """Join, and keep the keys that only the other RDD has, with None for this one's value.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> context.parallelize([("a", 1)]).right_outer_join(context.parallelize([("b", 2)])).collect()
            [('b', (None, 2))]
        """
        return _cogrouped([self, other], partitions, label("right_outer_join"), right_pairs)

    def full_outer_join(
        self: RDDCore[tuple[K, V]], other: RDDCore[tuple[K, W]], partitions: int | None = None
    ) -> RDD[tuple[K, tuple[V | None, W | None]]]:
        """Join, and keep the keys that only one of the RDDs has, with None for the missing value.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> context.parallelize([("a", 1)]).full_outer_join(context.parallelize([("b", 2)])).collect_as_map()
            {'a': (1, None), 'b': (None, 2)}
        """
        return _cogrouped([self, other], partitions, label("full_outer_join"), outer_pairs)


def _cogrouped(
    rdds: list[RDDCore[Any]],
    partitions: int | None,
    at: Label,
    pairs: Callable[[Sides], Iterable[tuple[Any, Any]]] | None,
) -> RDD[Any]:
    from millstream.rdd.rdd import RDD

    runner = common_runner(at.operator, rdds)
    parents = [rdd.lineage for rdd in rdds]
    partitioner = partitioner_for(parents, partitions, runner.default_partitions)
    lineage: Lineage = shuffle(parents, Cogroup(partitioner, at))
    if pairs is not None:
        lineage = Narrow(lineage, FlatMapValues(pairs, at))
    return RDD(lineage, runner)

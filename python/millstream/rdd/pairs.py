"""RDD methods on (key, value) pairs that give RDDs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from millstream.encoding.copies import copied
from millstream.model.label import Label
from millstream.rdd.arguments import check_function
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.exchange import ByKey, CombineByKey, Exchange, GroupByKey
from millstream.rdd.operations import FlatMapValues, Keys, MapValues, Values
from millstream.rdd.partitioner import ByFunction, KeyGroups, Partitioner, partitioner_for, partitions_checked
from millstream.rdd.shuffle import shuffle

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

K = TypeVar("K")
V = TypeVar("V")
W = TypeVar("W")
C = TypeVar("C")


class PairMethods(RDDCore[T_co]):
    """Methods on pairs.

    Those that bring the values of a key together shuffle, unless their pairs are spread by key already. They take
    `partitions`: how many the result has, from 1 to 1,024. Without it the result has those of this RDD where that
    is spread by key, else the default of the context.
    """

    __slots__ = ()

    def map_values(self: RDDCore[tuple[K, V]], f: Callable[[V], W]) -> RDD[tuple[K, W]]:
        """Replace the value of each pair by `f(value)`; keys and partitions stay.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([("a", 1), ("b", 2)]).map_values(lambda v: v * 10).collect()
            [('a', 10), ('b', 20)]
        """
        check_function(f, "map_values")
        return self.narrow(MapValues(f, label("map_values")))

    def flat_map_values(self: RDDCore[tuple[K, V]], f: Callable[[V], Iterable[W]]) -> RDD[tuple[K, W]]:
        """Make a pair of the key with each of `f(value)`; keys and partitions stay.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([("a", 2), ("b", 0)]).flat_map_values(range).collect()
            [('a', 0), ('a', 1)]
        """
        check_function(f, "flat_map_values")
        return self.narrow(FlatMapValues(f, label("flat_map_values")))

    def keys(self: RDDCore[tuple[K, V]]) -> RDD[K]:
        """Keep the key of each pair.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([("a", 1), ("b", 2)]).keys().collect()
            ['a', 'b']
        """
        return self.narrow(Keys(label("keys")))

    def values(self: RDDCore[tuple[K, V]]) -> RDD[V]:
        """Keep the value of each pair.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([("a", 1), ("b", 2)]).values().collect()
            [1, 2]
        """
        return self.narrow(Values(label("values")))

    def reduce_by_key(
        self: RDDCore[tuple[K, V]], f: Callable[[V, V], V], partitions: int | None = None
    ) -> RDD[tuple[K, V]]:
        """Combine the values of each key by `f`, first inside each partition, then across them.

        Args:
            f: takes two values and gives one; must be associative. Values of a key come in the order of the RDD.
            partitions: how many partitions the result has.

        Example:
            >>> import millstream as ms
            >>> from operator import add
            >>> ms.Context().parallelize([("a", 1), ("b", 1), ("a", 1)]).reduce_by_key(add).collect_as_map()
            {'a': 2, 'b': 1}
        """
        check_function(f, "reduce_by_key")
        exchange = CombineByKey(_partitioner(self, partitions), None, f, f, label("reduce_by_key"))
        return _exchanged(self, exchange)

    def aggregate_by_key(
        self: RDDCore[tuple[K, V]],
        zero: C,
        merge_value: Callable[[C, V], C],
        merge_combiners: Callable[[C, C], C],
        partitions: int | None = None,
    ) -> RDD[tuple[K, C]]:
        """Gather the values of each key in an accumulator that starts from `zero`.

        Args:
            zero: where each key starts; every use gets a copy, so that the functions may change it in place.
            merge_value: takes an accumulator and a value, gives the accumulator.
            merge_combiners: takes two accumulators of a key, gives one.
            partitions: how many partitions the result has.

        Example:
            >>> import millstream as ms
            >>> pairs = ms.Context().parallelize([("a", 1), ("b", 2), ("a", 3)])
            >>> pairs.aggregate_by_key((0, 0), lambda s, v: (s[0] + v, s[1] + 1),
            ...                        lambda s, t: (s[0] + t[0], s[1] + t[1])).collect_as_map()
            {'a': (4, 2), 'b': (2, 1)}
        """
        check_function(merge_value, "aggregate_by_key", "merge_value")
        check_function(merge_combiners, "aggregate_by_key", "merge_combiners")
        create = _StartFrom(copied(zero), merge_value)
        return _combined(self, create, merge_value, merge_combiners, partitions, label("aggregate_by_key"))

    def fold_by_key(
        self: RDDCore[tuple[K, V]], zero: V, f: Callable[[V, V], V], partitions: int | None = None
    ) -> RDD[tuple[K, V]]:
        """Combine the values of each key by `f`, starting in each partition from `zero`.

        Args:
            zero: must be neutral: `f(zero, v)` equals `v`. Every use gets a copy, so that `f` may change it in place.
            f: takes two values and gives one; must be associative. Values of a key come in the order of the RDD.
            partitions: how many partitions the result has.

        Example:
            >>> import millstream as ms
            >>> pairs = ms.Context().parallelize([("a", [1]), ("b", [2]), ("a", [3])])
            >>> pairs.fold_by_key([], lambda values, more: values + more).collect_as_map()
            {'a': [1, 3], 'b': [2]}
        """
        check_function(f, "fold_by_key")
        return _combined(self, _StartFrom(copied(zero), f), f, f, partitions, label("fold_by_key"))

    def combine_by_key(
        self: RDDCore[tuple[K, V]],
        create: Callable[[V], C],
        merge_value: Callable[[C, V], C],
        merge_combiners: Callable[[C, C], C],
        partitions: int | None = None,
    ) -> RDD[tuple[K, C]]:
        """Gather the values of each key in a combiner that the first value makes.

        Args:
            create: makes a combiner of the first value of a key in a partition.
            merge_value: takes a combiner and a value, gives the combiner.
            merge_combiners: takes two combiners of a key, gives one.
            partitions: how many partitions the result has.

        Example:
            >>> import millstream as ms
            >>> pairs = ms.Context().parallelize([("a", 1), ("b", 2), ("a", 3)])
            >>> pairs.combine_by_key(str, lambda s, v: f"{s},{v}", lambda s, t: f"{s},{t}").collect_as_map()
            {'a': '1,3', 'b': '2'}
        """
        check_function(create, "combine_by_key", "create")
        check_function(merge_value, "combine_by_key", "merge_value")
        check_function(merge_combiners, "combine_by_key", "merge_combiners")
        return _combined(self, create, merge_value, merge_combiners, partitions, label("combine_by_key"))

    def group_by_key(self: RDDCore[tuple[K, V]], partitions: int | None = None) -> RDD[tuple[K, list[V]]]:
        """Put all values of each key into one list, in the order of the RDD.

        All values move and stay in memory; a sum or a count is far cheaper by `reduce_by_key`.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([("a", 1), ("b", 2), ("a", 3)]).group_by_key().collect_as_map()
            {'a': [1, 3], 'b': [2]}
        """
        return _exchanged(self, GroupByKey(_partitioner(self, partitions), label("group_by_key")))

    def partition_by(
        self: RDDCore[tuple[K, V]], partitions: int | None = None, f: Callable[[K], int] | None = None
    ) -> RDD[tuple[K, V]]:
        """Move each pair to the partition of its key.

        Operations by key on the result need no shuffle, so it pays for an RDD that is joined more than once.

        Args:
            partitions: how many partitions, 1 to 1,024; None: the default of the context.
            f: gives an int for a key, which is taken modulo `partitions`; the same for equal keys, in every
                process (Python's `hash` of a string is not). None: the stable hash of the key.

        Example:
            >>> import millstream as ms
            >>> pairs = ms.Context().parallelize([(3, "c"), (2, "b"), (1, "a")])
            >>> pairs.partition_by(2, lambda key: key).glom().collect()
            [[(2, 'b')], [(3, 'c'), (1, 'a')]]
        """
        at = label("partition_by")
        count = partitions_checked(partitions, self.runner.default_partitions)
        partitioner: Partitioner = KeyGroups(count)
        if f is not None:
            check_function(f, "partition_by")
            partitioner = ByFunction(count, f, at)
        if self.lineage.partitioner == partitioner:
            return self.derive(self.lineage)
        return _exchanged(self, ByKey(partitioner, at))


@dataclass(frozen=True, slots=True)
class _StartFrom:
    """Makes the accumulator of a first value."""

    zero: Any
    merge_value: Callable[[Any, Any], Any]

    def __call__(self, value: Any) -> Any:
        return self.merge_value(copied(self.zero), value)


def _partitioner(rdd: RDDCore[Any], partitions: int | None) -> Partitioner:
    return partitioner_for([rdd.lineage], partitions, rdd.runner.default_partitions)


def _exchanged(rdd: RDDCore[Any], exchange: Exchange) -> RDD[Any]:
    return rdd.derive(shuffle([rdd.lineage], exchange))


def _combined(
    rdd: RDDCore[Any],
    create: Callable[[Any], Any],
    merge_value: Callable[[Any, Any], Any],
    merge_combiners: Callable[[Any, Any], Any],
    partitions: int | None,
    at: Label,
) -> RDD[Any]:
    partitioner = _partitioner(rdd, partitions)
    return _exchanged(rdd, CombineByKey(partitioner, create, merge_value, merge_combiners, at))

"""Stream methods on (key, value) pairs, and those that combine the records of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from millstream.graph.shuffle import ShuffleNode
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.rdd.arguments import check_function
from millstream.rdd.exchange import ByKey, Cogroup, CombineByKey, CountAll, CountValuesByKey, Exchange, GroupByKey
from millstream.rdd.joins import inner_pairs, left_pairs, outer_pairs, right_pairs
from millstream.rdd.operations import FlatMapValues, Keys, Map, MapValues, Values
from millstream.rdd.partitioner import ByFunction, Partitioner, partitions_checked
from millstream.stream.core import StreamCore, T_co, labelled
from millstream.stream.refreshed import Refreshed
from millstream.stream.static_joins import joined_with

if TYPE_CHECKING:
    from millstream.stream.dstream import DStream

K = TypeVar("K")
V = TypeVar("V")
W = TypeVar("W")
C = TypeVar("C")


def under_none(record: Any) -> tuple[None, Any]:
    """Make a pair of a record, so that all records have one key."""
    return (None, record)


class PairMethods(StreamCore[T_co]):
    """Methods that bring records together, most of them by key."""

    __slots__ = ()

    def shuffled(self, exchange: Exchange, *others: StreamCore[Any]) -> DStream[Any]:
        """Add an exchange over this stream and others."""
        nodes = [self.node, *(self.of_this_program(other, exchange.label) for other in others)]
        return self.add(ShuffleNode(nodes, exchange, exchange.label))

    def reduce(self, f: Callable[[T_co, T_co], T_co], *, name: str | None = None) -> DStream[T_co]:
        """Combine all records of a batch into one; an empty batch gives none.

        Args:
            f: associative.
            name: identity of the operator.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, numbers: numbers.reduce(lambda a, b: a + b), [[1, 2, 3], []])
            [[6], []]
        """
        at = labelled("reduce", f, takes=2, name=name)
        pairs = self.narrow(Map(under_none, at_inside(at)))
        exchange = CombineByKey(self.key_groups(1), None, f, f, at)
        return pairs.shuffled(exchange).narrow(Values(at_inside(at)))

    def count(self, *, name: str | None = None) -> DStream[int]:
        """Count the records of each batch: always one number, 0 for an empty batch.

        Lines of text are counted without being made into Python strings.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, numbers: numbers.count(), [[1, 2, 3], []])
            [[3], [0]]
        """
        return self.shuffled(CountAll(labelled("count", name=name)))

    def count_by_value(self, partitions: int | None = None, *, name: str | None = None) -> DStream[tuple[T_co, int]]:
        """Count how often each record occurs in a batch.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, s: s.count_by_value(), [["a", "b", "a"]])
            [[('a', 2), ('b', 1)]]
        """
        return self.shuffled(CountValuesByKey(self.key_groups(partitions), labelled("count_by_value", name=name)))

    def reduce_by_key(
        self: StreamCore[tuple[K, V]],
        f: Callable[[V, V], V],
        partitions: int | None = None,
        *,
        name: str | None = None,
    ) -> DStream[tuple[K, V]]:
        """Combine the values of each key of a batch.

        Args:
            f: associative; gets two values of a key.
            partitions: partitions of the result.
            name: identity of the operator.

        Example:
            >>> from operator import add
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, pairs: pairs.reduce_by_key(add), [[("a", 1), ("b", 2), ("a", 3)]])
            [[('a', 4), ('b', 2)]]
        """
        at = labelled("reduce_by_key", f, takes=2, name=name)
        return as_pairs(self).shuffled(CombineByKey(self.key_groups(partitions), None, f, f, at))

    def combine_by_key(
        self: StreamCore[tuple[K, V]],
        create: Callable[[V], C],
        merge_value: Callable[[C, V], C],
        merge_combiners: Callable[[C, C], C],
        partitions: int | None = None,
        *,
        name: str | None = None,
    ) -> DStream[tuple[K, C]]:
        """Combine the values of each key of a batch into another type.

        Args:
            create: makes a combiner of the first value.
            merge_value: adds a value to a combiner.
            merge_combiners: joins two combiners of a key.
            partitions: partitions of the result.
            name: identity of the operator.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(
            ...     lambda ssc, s: s.combine_by_key(lambda v: [v], lambda c, v: c + [v], lambda a, b: a + b),
            ...     [[("a", 1), ("a", 2)]],
            ... )
            [[('a', [1, 2])]]
        """
        check_function(create, "combine_by_key", "create", takes=1)
        check_function(merge_value, "combine_by_key", "merge_value", takes=2)
        check_function(merge_combiners, "combine_by_key", "merge_combiners", takes=2)
        at = labelled("combine_by_key", name=name)
        exchange = CombineByKey(self.key_groups(partitions), create, merge_value, merge_combiners, at)
        return as_pairs(self).shuffled(exchange)

    def group_by_key(
        self: StreamCore[tuple[K, V]], partitions: int | None = None, *, name: str | None = None
    ) -> DStream[tuple[K, list[V]]]:
        """Put the values of each key of a batch into a list.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, pairs: pairs.group_by_key(), [[("a", 1), ("b", 2), ("a", 3)]])
            [[('a', [1, 3]), ('b', [2])]]
        """
        return as_pairs(self).shuffled(GroupByKey(self.key_groups(partitions), labelled("group_by_key", name=name)))

    def partition_by(
        self: StreamCore[tuple[K, V]],
        partitions: int,
        partition_function: Callable[[K], int] | None = None,
        *,
        name: str | None = None,
    ) -> DStream[tuple[K, V]]:
        """Move pairs to the partition of their key.

        Args:
            partitions: how many partitions.
            partition_function: gives an int for a key, the same in every process; None: the stable hash.
            name: identity of the operator.
        """
        if partition_function is not None:
            check_function(partition_function, "partition_by", "partition_function", takes=1)
        at = labelled("partition_by", name=name)
        count = partitions_checked(partitions, self.program.default_partitions)
        partitioner: Partitioner = (
            self.key_groups(count) if partition_function is None else ByFunction(count, partition_function, at)
        )
        return as_pairs(self).shuffled(ByKey(partitioner, at))

    @overload
    def map_values(
        self: StreamCore[tuple[K, V]], f: Callable[[V], W], *, name: str | None = None
    ) -> DStream[tuple[K, W]]: ...
    @overload
    def map_values(
        self: StreamCore[tuple[K, V]], f: Callable[[V, Batch], W], *, name: str | None = None
    ) -> DStream[tuple[K, W]]: ...
    def map_values(
        self: StreamCore[tuple[K, V]], f: Callable[..., Any], *, name: str | None = None
    ) -> DStream[tuple[K, Any]]:
        """Replace the value of each pair by `f(value)`; keys and partitions stay.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, pairs: pairs.map_values(lambda v: v * 2), [[("a", 1)]])
            [[('a', 2)]]
        """
        return self.narrow(MapValues(f, labelled("map_values", f, takes=1, batch=True, name=name)))

    def flat_map_values(
        self: StreamCore[tuple[K, V]], f: Callable[[V], Iterable[W]], *, name: str | None = None
    ) -> DStream[tuple[K, W]]:
        """Make a pair of the key and each of `f(value)`; keys and partitions stay.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, pairs: pairs.flat_map_values(range), [[("a", 2)]])
            [[('a', 0), ('a', 1)]]
        """
        return self.narrow(FlatMapValues(f, labelled("flat_map_values", f, takes=1, batch=True, name=name)))

    def keys(self: StreamCore[tuple[K, V]], *, name: str | None = None) -> DStream[K]:
        """Keep the key of each pair."""
        return self.narrow(Keys(labelled("keys", name=name)))

    def values(self: StreamCore[tuple[K, V]], *, name: str | None = None) -> DStream[V]:
        """Keep the value of each pair."""
        return self.narrow(Values(labelled("values", name=name)))

    def cogroup(
        self: StreamCore[tuple[K, V]],
        other: StreamCore[tuple[K, W]],
        partitions: int | None = None,
        *,
        name: str | None = None,
    ) -> DStream[tuple[K, tuple[list[V], list[W]]]]:
        """For each key of either stream, the lists of its values in both.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, a, b: a.cogroup(b), [[("k", 1)]], [[("k", 2), ("l", 3)]])
            [[('k', ([1], [2])), ('l', ([], [3]))]]
        """
        at = labelled("cogroup", name=name)
        return as_pairs(self).shuffled(Cogroup(self.key_groups(partitions), at), other)

    def join(
        self: StreamCore[tuple[K, V]],
        other: StreamCore[tuple[K, W]] | Refreshed[Any],
        partitions: int | None = None,
        *,
        name: str | None = None,
    ) -> DStream[tuple[K, tuple[V, W]]]:
        """Pair the values of the keys that both streams have in a batch.

        Args:
            other: a stream; or `ssc.refreshed(load, every=n)` of a mapping, pairs or an RDD of pairs, which is at
                every executor, so that nothing is shuffled and `partitions` means nothing.
            partitions: of the result.
            name: identity of the operator.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, a, b: a.join(b), [[("k", 1), ("m", 9)]], [[("k", 2), ("k", 3)]])
            [[('k', (1, 2)), ('k', (1, 3))]]
        """
        if isinstance(other, Refreshed):
            return joined_with(self, other, labelled("join", name=name), keeps_all=False)
        return _joined(self, other, partitions, "join", inner_pairs, name)

    def left_outer_join(
        self: StreamCore[tuple[K, V]],
        other: StreamCore[tuple[K, W]] | Refreshed[Any],
        partitions: int | None = None,
        *,
        name: str | None = None,
    ) -> DStream[tuple[K, tuple[V, W | None]]]:
        """Join, and keep the keys that only this stream has, with None; `other` as in `join`."""
        if isinstance(other, Refreshed):
            return joined_with(self, other, labelled("left_outer_join", name=name), keeps_all=True)
        return _joined(self, other, partitions, "left_outer_join", left_pairs, name)

    def right_outer_join(
        self: StreamCore[tuple[K, V]],
        other: StreamCore[tuple[K, W]],
        partitions: int | None = None,
        *,
        name: str | None = None,
    ) -> DStream[tuple[K, tuple[V | None, W]]]:
        """Join, and keep the keys that only the other stream has, with None."""
        return _joined(self, other, partitions, "right_outer_join", right_pairs, name)

    def full_outer_join(
        self: StreamCore[tuple[K, V]],
        other: StreamCore[tuple[K, W]],
        partitions: int | None = None,
        *,
        name: str | None = None,
    ) -> DStream[tuple[K, tuple[V | None, W | None]]]:
        """Join, and keep the keys that only one of the streams has, with None."""
        return _joined(self, other, partitions, "full_outer_join", outer_pairs, name)


def as_pairs(stream: StreamCore[Any]) -> PairMethods[Any]:
    """See a stream as one that has the methods on pairs."""
    assert isinstance(stream, PairMethods)
    return stream


def at_inside(at: Label) -> Label:
    """Label an operation that an operator adds besides its own, so that a user's name stays unique."""
    return Label(at.operator, None, at.site)


def _joined(
    left: StreamCore[Any],
    right: StreamCore[Any],
    partitions: int | None,
    operator: str,
    pairs: Callable[[tuple[list[Any], list[Any]]], Iterable[Any]],
    name: str | None,
) -> DStream[Any]:
    at = labelled(operator, name=name)
    cogrouped = as_pairs(left).shuffled(Cogroup(left.key_groups(partitions), at), right)
    return cogrouped.narrow(FlatMapValues(pairs, at_inside(at)))

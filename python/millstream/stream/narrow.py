"""Stream methods that work on each record or partition by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from millstream.graph.shuffle import ShuffleNode
from millstream.graph.transform import TransformNode
from millstream.graph.union import UnionNode
from millstream.model.arity import wants_batch
from millstream.model.batch import Batch
from millstream.rdd.exchange import RoundRobin
from millstream.rdd.operations import Filter, FlatMap, Glom, Map, MapPartitions
from millstream.rdd.partitioner import partitions_checked
from millstream.rdd.rdd import RDD
from millstream.stream.core import StreamCore, T_co, labelled

if TYPE_CHECKING:
    from millstream.stream.dstream import DStream

K = TypeVar("K")
U = TypeVar("U")
V = TypeVar("V")


class NarrowMethods(StreamCore[T_co]):
    """Methods that keep records where they are, and those that put streams together."""

    __slots__ = ()

    @overload
    def map(self, f: Callable[[T_co], tuple[K, int]], *, name: str | None = None) -> DStream[tuple[K, int]]: ...
    @overload
    def map(self, f: Callable[[T_co], U], *, name: str | None = None) -> DStream[U]: ...
    @overload
    def map(self, f: Callable[[T_co, Batch], U], *, name: str | None = None) -> DStream[U]: ...
    def map(self, f: Callable[..., Any], *, name: str | None = None) -> DStream[Any]:
        """Replace each record by `f(record)`.

        Args:
            f: gets the record, and the `Batch` when it requires a second argument.
            name: identity of the operator.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, numbers: numbers.map(lambda x: x * 10), [[1, 2], [3]])
            [[10, 20], [30]]
        """
        return self.narrow(Map(f, labelled("map", f, takes=1, batch=True, name=name)))

    @overload
    def flat_map(self, f: Callable[[T_co], Iterable[U]], *, name: str | None = None) -> DStream[U]: ...
    @overload
    def flat_map(self, f: Callable[[T_co, Batch], Iterable[U]], *, name: str | None = None) -> DStream[U]: ...
    def flat_map(self, f: Callable[..., Iterable[Any]], *, name: str | None = None) -> DStream[Any]:
        """Replace each record by all the records of `f(record)`.

        Args:
            f: gives an iterable for a record; it gets the `Batch` when it requires a second argument.
            name: identity of the operator.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, lines: lines.flat_map(str.split), [["a b", "c"]])
            [['a', 'b', 'c']]
        """
        return self.narrow(FlatMap(f, labelled("flat_map", f, takes=1, batch=True, name=name)))

    @overload
    def filter(self, f: Callable[[T_co], object], *, name: str | None = None) -> DStream[T_co]: ...
    @overload
    def filter(self, f: Callable[[T_co, Batch], object], *, name: str | None = None) -> DStream[T_co]: ...
    def filter(self, f: Callable[..., object], *, name: str | None = None) -> DStream[T_co]:
        """Keep the records for which `f(record)` is true.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, numbers: numbers.filter(lambda x: x % 2), [[1, 2, 3], [4]])
            [[1, 3], []]
        """
        return self.narrow(Filter(f, labelled("filter", f, takes=1, batch=True, name=name)))

    def glom(self, *, name: str | None = None) -> DStream[list[T_co]]:
        """Make one list of each partition.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, numbers: numbers.glom(), [[1, 2]])
            [[[1, 2]]]
        """
        return self.narrow(Glom(labelled("glom", name=name)))

    def map_partitions(self, f: Callable[[Iterator[T_co]], Iterable[U]], *, name: str | None = None) -> DStream[U]:
        """Replace each partition by `f(iterator over its records)`; called for empty partitions too.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, numbers: numbers.map_partitions(lambda rows: [sum(rows)]), [[1, 2], []])
            [[3], [0]]
        """
        return self.narrow(MapPartitions(f, False, labelled("map_partitions", f, takes=1, batch=True, name=name)))

    def map_partitions_with_index(
        self, f: Callable[[int, Iterator[T_co]], Iterable[U]], *, name: str | None = None
    ) -> DStream[U]:
        """Replace each partition by `f(index, iterator over its records)`.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, s: s.map_partitions_with_index(lambda i, rows: [(i, sum(rows))]), [[1, 2]])
            [[(0, 3)]]
        """
        return self.narrow(
            MapPartitions(f, True, labelled("map_partitions_with_index", f, takes=2, batch=True, name=name))
        )

    def repartition(self, partitions: int, *, name: str | None = None) -> DStream[T_co]:
        """Deal the records of each batch out over so many partitions."""
        at = labelled("repartition", name=name)
        count = partitions_checked(partitions, self.program.default_partitions)
        return self.add(ShuffleNode([self.node], RoundRobin(count, at), at))

    def union(self, other: StreamCore[U], *more: StreamCore[U], name: str | None = None) -> DStream[T_co | U]:
        """Put the records of other streams behind those of this one, batch by batch.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, a, b: a.union(b), [[1], [2]], [[10], []])
            [[1, 10], [2]]
        """
        at = labelled("union", name=name)
        nodes = [self.node, *(self.of_this_program(stream, at) for stream in (other, *more))]
        return self.add(UnionNode(nodes, at))

    @overload
    def transform(self, f: Callable[[RDD[T_co]], RDD[U] | None], *, name: str | None = None) -> DStream[U]: ...
    @overload
    def transform(self, f: Callable[[RDD[T_co], Batch], RDD[U] | None], *, name: str | None = None) -> DStream[U]: ...
    def transform(self, f: Callable[..., RDD[Any] | None], *, name: str | None = None) -> DStream[Any]:
        """Replace the RDD of each batch by `f(rdd)`, or `f(rdd, batch)`.

        The function runs on the driver once for each attempt at a batch; None means no records.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, s: s.transform(lambda rdd: rdd.sort_by(lambda x: x)), [[3, 1, 2]])
            [[1, 2, 3]]
        """
        at = labelled("transform", f, takes=1, batch=True, name=name)
        with_batch = wants_batch(f, 1)
        return self.add(
            TransformNode([self.node], lambda rdds, batch: f(rdds[0], batch) if with_batch else f(rdds[0]), at)
        )

    def transform_with(
        self,
        other: StreamCore[V],
        f: Callable[..., RDD[U] | None],
        *,
        name: str | None = None,
    ) -> DStream[U]:
        """Make one RDD of each batch's two: `f(rdd, other_rdd)`, or `f(rdd, other_rdd, batch)`.

        Example:
            >>> from millstream.testing import run_batches
            >>> run_batches(lambda ssc, a, b: a.transform_with(b, lambda x, y: x.union(y)), [[1]], [[2]])
            [[1, 2]]
        """
        at = labelled("transform_with", f, takes=2, batch=True, name=name)
        with_batch = wants_batch(f, 2)
        nodes = [self.node, self.of_this_program(other, at)]
        return self.add(TransformNode(nodes, lambda rdds, batch: f(*rdds, batch) if with_batch else f(*rdds), at))

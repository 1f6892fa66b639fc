"""RDD methods that look at one record, or one partition, at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from millstream.rdd.arguments import check_function
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.operations import Filter, FlatMap, Glom, KeyBy, Map, MapPartitions

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

K = TypeVar("K")
U = TypeVar("U")


class NarrowMethods(RDDCore[T_co]):
    """Methods without a shuffle; they are fused, so that a record passes all of them in one loop."""

    __slots__ = ()

    # Why two forms: `lambda w: (w, 1)` alone makes Pyright infer a pair of a Literal, which `add` cannot reduce.
    @overload
    def map(self, f: Callable[[T_co], tuple[K, int]]) -> RDD[tuple[K, int]]: ...
    @overload
    def map(self, f: Callable[[T_co], U]) -> RDD[U]: ...
    def map(self, f: Callable[[T_co], Any]) -> RDD[Any]:
        """Replace each record by `f(record)`.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([1, 2, 3]).map(lambda x: x * 10).collect()
            [10, 20, 30]
        """
        check_function(f, "map")
        return self.narrow(Map(f, label("map")))

    def flat_map(self, f: Callable[[T_co], Iterable[U]]) -> RDD[U]:
        """Replace each record by all that `f(record)` gives.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize(["a b", "c"]).flat_map(str.split).collect()
            ['a', 'b', 'c']
        """
        check_function(f, "flat_map")
        return self.narrow(FlatMap(f, label("flat_map")))

    def filter(self, f: Callable[[T_co], object]) -> RDD[T_co]:
        """Keep the records for which `f(record)` is true.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(6).filter(lambda x: x % 2).collect()
            [1, 3, 5]
        """
        check_function(f, "filter")
        return self.narrow(Filter(f, label("filter")))

    def map_partitions(self, f: Callable[[Iterator[T_co]], Iterable[U]]) -> RDD[U]:
        """Replace each partition by `f(iterator over its records)`; called for empty partitions too.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(6, partitions=2).map_partitions(lambda rows: [sum(rows)]).collect()
            [3, 12]
        """
        check_function(f, "map_partitions")
        return self.narrow(MapPartitions(f, False, label("map_partitions")))

    def map_partitions_with_index(self, f: Callable[[int, Iterator[T_co]], Iterable[U]]) -> RDD[U]:
        """Replace each partition by `f(its number, iterator over its records)`; numbers count from 0.

        Example:
            >>> import millstream as ms
            >>> numbers = ms.Context().range(6, partitions=2)
            >>> numbers.map_partitions_with_index(lambda p, rows: [(p, sum(rows))]).collect()
            [(0, 3), (1, 12)]
        """
        check_function(f, "map_partitions_with_index")
        return self.narrow(MapPartitions(f, True, label("map_partitions_with_index")))

    def glom(self) -> RDD[list[T_co]]:
        """Make one list of each partition.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(4, partitions=2).glom().collect()
            [[0, 1], [2, 3]]
        """
        return self.narrow(Glom(label("glom")))

    def key_by(self, f: Callable[[T_co], K]) -> RDD[tuple[K, T_co]]:
        """Replace each record by `(f(record), record)`.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize(["a", "bb"]).key_by(len).collect()
            [(1, 'a'), (2, 'bb')]
        """
        check_function(f, "key_by")
        return self.narrow(KeyBy(f, label("key_by")))

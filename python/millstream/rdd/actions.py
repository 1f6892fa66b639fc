"""RDD methods that compute: they run tasks and give plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from millstream.encoding.copies import copied
from millstream.model.label import Label
from millstream.rdd.arguments import check_function, whole_number
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.empty import refuse_empty
from millstream.rdd.failures import function_failed
from millstream.rdd.lineage import Narrow
from millstream.rdd.operations import Apply, Collect, Count, CountValues, Map, MapPartitions

T = TypeVar("T")
U = TypeVar("U")


class Actions(RDDCore[T_co]):
    """Actions on records of any kind. What can be combined is combined inside the tasks."""

    __slots__ = ()

    def collect(self) -> list[T_co]:
        """Give all records, partition after partition.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(3).collect()
            [0, 1, 2]
        """
        return list(chain.from_iterable(self.runner.run(self.lineage, Collect())))

    def count(self) -> int:
        """Count the records; lines of text and Arrow data are counted without being made into Python objects.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(3).count()
            3
        """
        return sum(self.runner.run(self.lineage, Count()))

    def count_by_value(self) -> dict[T_co, int]:
        """Count how often each record occurs.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize(["a", "b", "a"]).count_by_value()
            {'a': 2, 'b': 1}
        """
        return added_counts(self.runner.run(self.lineage, CountValues(label("count_by_value"))))

    def take(self, n: int) -> list[T_co]:
        """Give the first `n` records, computing no more partitions than they need.

        Args:
            n: how many, at least 0; fewer come back when there are fewer.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(1_000_000).take(2)
            [0, 1]
        """
        whole_number(n, "take", "n", least=0)
        taken: list[T_co] = []
        if n == 0:
            return taken
        for part in self.runner.run_lazily(self.lineage, Collect(n)):
            taken.extend(part)
            if len(taken) >= n:
                break
        return taken[:n]

    def first(self) -> T_co:
        """Give the first record.

        Raises:
            ConfigurationError: the RDD is empty.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize("ab").first()
            'a'
        """
        return refuse_empty(self.take(1), label("first"))

    def is_empty(self) -> bool:
        """Say whether there is no record.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(3).filter(lambda x: x > 5).is_empty()
            True
        """
        return not self.take(1)

    def reduce(self: RDDCore[T], f: Callable[[T, T], T]) -> T:
        """Combine all records by `f`, first inside each partition, then across them.

        Args:
            f: takes two records and gives one; must be associative. Records come in the order of the RDD.

        Raises:
            ConfigurationError: the RDD is empty.

        Example:
            >>> import millstream as ms
            >>> from operator import add
            >>> ms.Context().range(5).reduce(add)
            10
        """
        check_function(f, "reduce")
        reduced = Reduced(f, label("reduce"))
        parts = self.runner.run(self.lineage, Apply(reduced))
        total: T = refuse_empty(reduced(chain.from_iterable(parts)), reduced.label)
        return total

    def fold(self: RDDCore[T], zero: T, f: Callable[[T, T], T]) -> T:
        """Combine all records by `f`, starting each partition, and the combination of partitions, from `zero`.

        Args:
            zero: must be neutral: `f(zero, x)` equals `x`. Every use gets a copy, so that `f` may change it.
            f: takes two records and gives one; must be associative.

        Example:
            >>> import millstream as ms
            >>> ms.Context().parallelize([[1], [2, 3]]).fold([], lambda a, b: a + b)
            [1, 2, 3]
        """
        check_function(f, "fold")
        at, zero = label("fold"), copied(zero)
        parts = self.runner.run(self.lineage, Apply(Folded(zero, f, at)))
        total: T = Folded(zero, f, at)(parts)
        return total

    def aggregate(
        self: RDDCore[T], zero: U, merge_record: Callable[[U, T], U], merge_partitions: Callable[[U, U], U]
    ) -> U:
        """Gather all records in an accumulator that starts from `zero`.

        Args:
            zero: where each partition starts, and the combination of partitions; every use gets a copy.
            merge_record: takes an accumulator and a record, gives the accumulator.
            merge_partitions: takes the accumulators of two partitions, gives one.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(4).aggregate((0, 0), lambda s, x: (s[0] + x, s[1] + 1),
            ...                                 lambda s, t: (s[0] + t[0], s[1] + t[1]))
            (6, 4)
        """
        check_function(merge_record, "aggregate", "merge_record")
        check_function(merge_partitions, "aggregate", "merge_partitions")
        at, zero = label("aggregate"), copied(zero)
        parts = self.runner.run(self.lineage, Apply(Folded(zero, merge_record, at)))
        total: U = Folded(zero, merge_partitions, at)(parts)
        return total

    def foreach(self, f: Callable[[T_co], object]) -> None:
        """Call `f(record)` for every record, in the tasks; under processes that is in the workers.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> seen = context.accumulator(0)
            >>> context.range(5).foreach(seen.add)
            >>> seen.value
            10
        """
        check_function(f, "foreach")
        self.runner.run(Narrow(self.lineage, Map(f, label("foreach"))), Count())

    def foreach_partition(self, f: Callable[[Iterator[T_co]], object]) -> None:
        """Call `f(iterator over the records)` for every partition, in the tasks; for empty ones too.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> largest = context.accumulator(0, max)
            >>> context.range(5, partitions=2).foreach_partition(lambda rows: largest.add(max(rows)))
            >>> largest.value
            4
        """
        check_function(f, "foreach_partition")
        operation = MapPartitions(_ForEffect(f), False, label("foreach_partition"))
        self.runner.run(Narrow(self.lineage, operation), Count())


def added_counts(parts: Iterable[dict[Any, int]]) -> dict[Any, int]:
    """Add up the counts of several partitions, in order of first appearance.

    Example:
        >>> added_counts([{"a": 1}, {"b": 1, "a": 2}])
        {'a': 3, 'b': 1}
    """
    total: dict[Any, int] = {}
    for part in parts:
        for value, count in part.items():
            total[value] = total.get(value, 0) + count
    return total


_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Reduced:
    """Combines records; gives a list with the result, or an empty one where there is no record."""

    f: Callable[[Any, Any], Any]
    label: Label

    def __call__(self, rows: Iterable[Any]) -> list[Any]:
        f, records = self.f, iter(rows)
        total = next(records, _NOTHING)
        for record in records:
            try:
                total = f(total, record)
            except Exception as error:
                raise function_failed(self.label, error, "combining", record) from error
        return [] if total is _NOTHING else [total]


@dataclass(frozen=True, slots=True)
class Folded:
    """Combines records into a copy of a start value."""

    zero: Any
    f: Callable[[Any, Any], Any]
    label: Label

    def __call__(self, rows: Iterable[Any]) -> Any:
        f, total = self.f, copied(self.zero)
        for record in rows:
            try:
                total = f(total, record)
            except Exception as error:
                raise function_failed(self.label, error, "combining", record) from error
        return total


@dataclass(frozen=True, slots=True)
class _ForEffect:
    """Calls a function on an iterator and gives no records, whatever the function returns."""

    f: Callable[[Iterator[Any]], object]

    def __call__(self, rows: Iterator[Any]) -> tuple[()]:
        self.f(rows)
        return ()

"""Exchanges: how a shuffle writes, splits and reads.

A map task runs the exchange's end over its rows and splits the result into one piece a reduce partition; a
reduce task merges the pieces of all map tasks, in the order of the map partitions, into its rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, pairwise
from operator import add, itemgetter
from typing import TYPE_CHECKING, Any

from millstream.errors import InternalError
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.rdd.failures import function_failed, key_refused, not_comparable, pairs_refused
from millstream.rdd.operations import Collect, Combine, Count, CountValues, End
from millstream.rdd.partitioner import ByRange, Partitioner, key_of
from millstream.rdd.ranges import find_bounds

if TYPE_CHECKING:
    from millstream.rdd.lineage import Lineage
    from millstream.rdd.runner import Runner

Piece = Any
"""What one map task holds ready for one reduce task: a dict or a list."""


class Exchange(ABC):
    """How rows move from map tasks to reduce tasks.

    Attributes:
        partitions: how many reduce partitions.
        partitioner: how keys are spread over these, or None.
        end: what ends a map task.
    """

    __slots__ = ("__weakref__", "end", "label", "partitioner", "partitions")

    def __init__(self, partitions: int, partitioner: Partitioner | None, end: End, label: Label) -> None:
        self.partitions = partitions
        self.partitioner = partitioner
        self.end = end
        self.label = label

    @abstractmethod
    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Split the result of the map task of partition `index`: one piece a reduce partition."""

    @abstractmethod
    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Merge the pieces of one reduce partition, for each parent in the order of its map partitions."""

    def in_place(self) -> Exchange | None:
        """Give the exchange whose `merge` takes the rows of parents that are spread by the partitioner already.

        Returns:
            None where the rows have to move all the same.
        """
        return None

    def prepared(self, parents: Sequence[Lineage], runner: Runner) -> Sequence[Lineage]:
        """Do what has to be done before the map tasks run; gives the parents that these read.

        Called on the driver, once for each computation of the shuffle.
        """
        return parents


def pairs_of(piece: Piece) -> Iterable[Any]:
    """Iterate the pairs of a piece, whichever form it has."""
    return piece.items() if isinstance(piece, dict) else piece


def _list_of(result: Any) -> list[Any]:
    return result if type(result) is list else list(pairs_of(result))


class CombineByKey(Exchange):
    """Values of a key combined, before and after the shuffle.

    Args:
        create: makes the first combiner of a value, or None for the value itself.
        merge_value: adds a value to a combiner.
        merge_combiners: joins two combiners of a key.
    """

    __slots__ = ("merge_combiners",)

    def __init__(
        self,
        partitioner: Partitioner,
        create: Callable[[Any], Any] | None,
        merge_value: Callable[[Any, Any], Any],
        merge_combiners: Callable[[Any, Any], Any],
        label: Label,
    ) -> None:
        super().__init__(partitioner.partitions, partitioner, Combine(create, merge_value, label), label)
        self.merge_combiners = merge_combiners

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Split the combined dict by key."""
        assert self.partitioner is not None
        try:
            return self.partitioner.split_dict(result)
        except (TypeError, ValueError) as error:
            raise key_refused(self.label, error) from error

    def in_place(self) -> Exchange | None:
        """Combine the rows themselves."""
        return CombineInPlace(self)

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Join the combiners of each key; a single piece is taken as it is."""
        pieces = sides[0]
        if len(pieces) == 1 and type(pieces[0]) is dict:
            return pieces[0].items()
        merged: dict[Any, Any] = {}
        f = self.merge_combiners
        for piece in pieces:
            for key, combiner in pairs_of(piece):
                if key in merged:
                    try:
                        merged[key] = f(merged[key], combiner)
                    except Exception as error:
                        raise function_failed(self.label, error, "merging values of the key", key) from error
                else:
                    merged[key] = combiner
        return merged.items()


class CombineInPlace(Exchange):
    """Values of a key combined where they are: their pairs are in the right partitions already.

    Args:
        exchange: what combines; its `end` combines the pairs of one partition.
    """

    __slots__ = ("create", "merge_value")

    def __init__(self, exchange: CombineByKey) -> None:
        super().__init__(exchange.partitions, exchange.partitioner, exchange.end, exchange.label)
        end = exchange.end
        assert isinstance(end, Combine)
        self.create = end.create
        self.merge_value = end.merge

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Never asked for: nothing moves."""
        raise InternalError("An exchange that merges in place was asked to split.")

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Combine the values of each key."""
        create, merge_value = self.create, self.merge_value
        combined: dict[Any, Any] = {}
        for piece in sides[0]:
            for pair in pairs_of(piece):
                key = key_of(pair)
                try:
                    known = key in combined
                except TypeError as error:
                    raise key_refused(self.label, error, key) from error
                try:
                    if known:
                        combined[key] = merge_value(combined[key], pair[1])
                    else:
                        combined[key] = pair[1] if create is None else create(pair[1])
                except Exception as error:
                    raise function_failed(self.label, error, "combining", pair) from error
        return combined.items()


class ByKey(Exchange):
    """Pairs moved by key, and nothing else: partition_by."""

    __slots__ = ()

    def __init__(self, partitioner: Partitioner, label: Label) -> None:
        super().__init__(partitioner.partitions, partitioner, Collect(), label)

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Split the pairs by key."""
        assert self.partitioner is not None
        pairs = _list_of(result)
        try:
            return self.partitioner.split_pairs(pairs)
        except (TypeError, ValueError) as error:
            raise pairs_refused(self.label, error, pairs) from error

    def in_place(self) -> Exchange | None:
        """Pieces are nothing but rows, so rows merge in the same way."""
        return self

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Put the pieces one behind the other."""
        return _concatenated(sides[0])


class GroupByKey(ByKey):
    """All values of a key in one list, in the order of the map partitions."""

    __slots__ = ()

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Group the values of each key."""
        grouped: dict[Any, list[Any]] = {}
        for piece in sides[0]:
            for pair in pairs_of(piece):
                key = key_of(pair)
                try:
                    values = grouped.get(key)
                except TypeError as error:
                    raise key_refused(self.label, error, key) from error
                if values is None:
                    grouped[key] = [pair[1]]
                else:
                    values.append(pair[1])
        return grouped.items()


class Cogroup(ByKey):
    """For each key a tuple with one list of values for each parent."""

    __slots__ = ()

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Group the values of each key by parent."""
        grouped: dict[Any, tuple[list[Any], ...]] = {}
        count = len(sides)
        for side, pieces in enumerate(sides):
            for piece in pieces:
                for pair in pairs_of(piece):
                    key = key_of(pair)
                    try:
                        values = grouped.get(key)
                    except TypeError as error:
                        raise key_refused(self.label, error, key) from error
                    if values is None:
                        values = grouped[key] = tuple([] for _ in range(count))
                    values[side].append(pair[1])
        return grouped.items()


class SortByKey(ByKey):
    """Pairs in ranges of their key, sorted inside each: all partitions together are in order."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: ByRange, label: Label) -> None:
        super().__init__(ranges, label)
        self.ranges = ranges

    def prepared(self, parents: Sequence[Lineage], runner: Runner) -> Sequence[Lineage]:
        """Compute the parent and find the bounds of the ranges in a sample of its keys."""
        return find_bounds(self.ranges, parents, runner, self.label)

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Sort the pairs and cut them where a range ends, so that merging meets runs that are in order already."""
        ranges = self.ranges
        try:
            rows = sorted(result, key=key_of, reverse=not ranges.ascending)
            ends = [
                bisect_right(range(len(rows)), p, key=lambda place: ranges.partition_of(rows[place][0]))
                for p in range(ranges.partitions)
            ]
        except TypeError as error:
            raise not_comparable(self.label, error) from error
        return [rows[start:end] for start, end in pairwise([0, *ends])]

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Sort the pairs by key; equal keys keep the order of the map partitions."""
        rows = list(_concatenated(sides[0]))
        try:
            rows.sort(key=itemgetter(0), reverse=not self.ranges.ascending)
        except TypeError as error:
            raise not_comparable(self.label, error) from error
        return rows


class Distinct(Exchange):
    """Each record once, where it appeared first; rows are their own keys."""

    __slots__ = ("spread",)

    def __init__(self, spread: Partitioner, label: Label) -> None:
        # Why no partitioner: it says how the keys of pairs are spread, and these rows are spread as a whole.
        super().__init__(spread.partitions, None, CountValues(label), label)
        self.spread = spread

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Split the counted records."""
        try:
            return self.spread.split_dict(result)
        except (TypeError, ValueError) as error:
            raise key_refused(self.label, error) from error

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Keep the first of equal records."""
        return list(dict.fromkeys(chain.from_iterable(piece.keys() for piece in sides[0])))


class RoundRobin(Exchange):
    """Rows dealt out evenly: repartition. Where a row goes depends only on its place, so re-runs agree."""

    __slots__ = ()

    def __init__(self, partitions: int, label: Label) -> None:
        super().__init__(partitions, None, Collect(), label)

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Deal the rows out, the first one to the partition of the task's own number."""
        rows = _list_of(result)
        n = self.partitions
        return [rows[(p - index) % n :: n] for p in range(n)]

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Put the pieces one behind the other."""
        return _concatenated(sides[0])


def _concatenated(pieces: Sequence[Piece]) -> Rows:
    if len(pieces) == 1:
        piece = pieces[0]
        return piece.items() if isinstance(piece, dict) else piece
    rows: list[Any] = []
    for piece in pieces:
        rows.extend(pairs_of(piece))
    return rows


class CountValuesByKey(CombineByKey):
    """How often each row occurs: rows are the keys, counts are added."""

    __slots__ = ()

    def __init__(self, partitioner: Partitioner, label: Label) -> None:
        super().__init__(partitioner, None, add, add, label)
        self.end = CountValues(label)

    def in_place(self) -> Exchange | None:
        """Parents that are spread by the keys of their pairs are not spread by whole records."""
        return None


class CountAll(Exchange):
    """The number of rows of all partitions, as the one row of one partition."""

    __slots__ = ()

    def __init__(self, label: Label) -> None:
        super().__init__(1, None, Count(), label)

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Hand the count of a partition to the one reduce task."""
        return [[result]]

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Add the counts."""
        return [sum(count for piece in sides[0] for count in piece)]

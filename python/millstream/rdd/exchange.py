"""Exchanges: how a shuffle writes, splits and reads.

A map task runs the exchange's end over its rows and splits the result into one piece a reduce partition; a
reduce task merges the pieces of all map tasks, in the order of the map partitions, into its rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from operator import add
from typing import Any

from millstream.errors import ArgumentTypeError, MillstreamError, UserCodeError, shown
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.rdd.operations import Collect, Combine, Count, CountValues, End
from millstream.rdd.partitioner import Partitioner, key_of

Piece = Any
"""What one map task holds ready for one reduce task: a dict or a list."""


class Exchange(ABC):
    """How rows move from map tasks to reduce tasks.

    Attributes:
        partitions: how many reduce partitions.
        partitioner: how keys are spread over these, or None.
        end: what ends a map task.
    """

    __slots__ = ("end", "label", "partitioner", "partitions")

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
        return self.partitioner.split_dict(result)

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
                        raise _merge_failed(self.label, key, combiner, error) from error
                else:
                    merged[key] = combiner
        return merged.items()


def _merge_failed(label: Label, key: Any, value: Any, error: Exception) -> MillstreamError:
    if isinstance(error, MillstreamError):
        return error
    return UserCodeError(
        f"A function given to {label.operator} raised {type(error).__name__}: {error}",
        operator=label.operator,
        site=label.site,
        record=shown((key, value)),
        detail=f"It was merging values of the key {shown(key)}.",
        hint="The cause below shows the line.",
    )


class ByKey(Exchange):
    """Pairs moved by key, and nothing else: partition_by."""

    __slots__ = ()

    def __init__(self, partitioner: Partitioner, label: Label) -> None:
        super().__init__(partitioner.partitions, partitioner, Collect(), label)

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Split the pairs by key."""
        assert self.partitioner is not None
        return self.partitioner.split_pairs(_list_of(result))

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
                    raise unhashable(self.label, key) from error
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
                        raise unhashable(self.label, key) from error
                    if values is None:
                        values = grouped[key] = tuple([] for _ in range(count))
                    values[side].append(pair[1])
        return grouped.items()


class SortByKey(ByKey):
    """Pairs in ranges of their key, sorted inside each: all partitions together are in order."""

    __slots__ = ("ascending", "key")

    def __init__(self, partitioner: Partitioner, key: Callable[[Any], Any], *, ascending: bool, label: Label) -> None:
        super().__init__(partitioner, label)
        self.key = key
        self.ascending = ascending

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Sort the pairs by key; equal keys keep the order of the map partitions."""
        key = self.key
        rows = list(_concatenated(sides[0]))
        rows.sort(key=lambda pair: key(pair[0]), reverse=not self.ascending)
        return rows


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
        return piece.items() if isinstance(piece, dict) else piece  # type: ignore[no-any-return]
    rows: list[Any] = []
    for piece in pieces:
        rows.extend(pairs_of(piece))
    return rows


def unhashable(label: Label, key: Any) -> ArgumentTypeError:
    """The error for a key that cannot be hashed."""
    return ArgumentTypeError(
        f"{label.operator} met a key that cannot be hashed.",
        detail=f"The key is {shown(key)} of type {type(key).__name__}.",
        hint="Use a key that cannot change, such as a tuple or a string.",
    )


class CountValuesByKey(CombineByKey):
    """How often each row occurs: rows are the keys, counts are added."""

    __slots__ = ()

    def __init__(self, partitioner: Partitioner, label: Label) -> None:
        super().__init__(partitioner, None, add, add, label)
        self.end = CountValues(label)


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

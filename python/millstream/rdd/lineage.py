"""Lineage: how the partitions of an RDD come about, as plain nodes that hold no results.

A node is made for every operator and batch, so it must be cheap: slots, no checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from millstream.model.partition import PartitionData
from millstream.rdd.operations import Filter, FlatMapValues, MapValues, Operation
from millstream.rdd.partitioner import Partitioner

if TYPE_CHECKING:
    from millstream.model.ports.replayable_source import ReplayableSource, Split
    from millstream.rdd.exchange import Exchange
    from millstream.state.step import StateStep


class Kept:
    """Where the partitions of a kept node are, once they were computed.

    Attributes:
        parts: one entry a partition, or None before the first computation.
    """

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: list[PartitionData] | None = None


class Lineage:
    """How partitions come about.

    Attributes:
        partitions: how many there are.
        partitioner: how keys are spread over them, or None when nothing is known.
        kept: set when the computed partitions are to be kept for the next use.
    """

    __slots__ = ("kept", "partitioner", "partitions")

    def __init__(self, partitions: int, partitioner: Partitioner | None = None) -> None:
        self.partitions = partitions
        self.partitioner = partitioner
        self.kept: Kept | None = None

    def keep(self) -> Lineage:
        """Have the partitions kept once they are computed."""
        if self.kept is None:
            self.kept = Kept()
        return self

    def drop(self) -> None:
        """Let go of kept partitions; the next use computes them again."""
        self.kept = None


class Held(Lineage):
    """Partitions whose data is at hand.

    Attributes:
        parts: the data, one entry a partition.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[PartitionData], partitioner: Partitioner | None = None) -> None:
        super().__init__(len(parts), partitioner)
        self.parts = parts


class SplitsRead(Lineage):
    """Partitions that a task reads from a replayable source, one split each."""

    __slots__ = ("source", "splits")

    def __init__(self, source: ReplayableSource[Any], splits: Sequence[Split]) -> None:
        super().__init__(len(splits))
        self.source = source
        self.splits = splits


class Narrow(Lineage):
    """One operation on each partition of a parent."""

    __slots__ = ("operation", "parent")

    def __init__(self, parent: Lineage, operation: Operation) -> None:
        keeps_keys = type(operation) in _KEYS_STAY
        super().__init__(parent.partitions, parent.partitioner if keeps_keys else None)
        self.parent = parent
        self.operation = operation


_KEYS_STAY = frozenset({Filter, MapValues, FlatMapValues})


class Union(Lineage):
    """All partitions of the first parent, then all of the second, and so on."""

    __slots__ = ("parents",)

    def __init__(self, parents: Sequence[Lineage]) -> None:
        super().__init__(sum(parent.partitions for parent in parents))
        self.parents = parents

    def flat(self) -> Iterator[Lineage]:
        """List the parents, with those of unions among them that are not kept in their place.

        A union of unions, one for each of many files, would otherwise be as deep as there are files.
        """
        waiting: list[Lineage] = [*reversed(self.parents)]
        while waiting:
            parent = waiting.pop()
            if isinstance(parent, Union) and parent.kept is None:
                waiting.extend(reversed(parent.parents))
            else:
                yield parent


class Coalesced(Lineage):
    """Groups of neighbouring partitions put together without a shuffle."""

    __slots__ = ("groups", "parent")

    def __init__(self, parent: Lineage, groups: Sequence[Sequence[int]]) -> None:
        super().__init__(len(groups))
        self.parent = parent
        self.groups = groups


class Shuffled(Lineage):
    """Partitions put together from pieces of every partition of every parent."""

    __slots__ = ("exchange", "parents")

    def __init__(self, parents: Sequence[Lineage], exchange: Exchange) -> None:
        super().__init__(exchange.partitions, exchange.partitioner)
        self.parents = parents
        self.exchange = exchange


class Merged(Lineage):
    """Partition p put together from partition p of every parent, which are all spread alike: no shuffle.

    The parents are grouped by side: a join has two sides, a window of many parts one.
    """

    __slots__ = ("exchange", "sides")

    def __init__(self, sides: Sequence[Sequence[Lineage]], exchange: Exchange) -> None:
        super().__init__(exchange.partitions, exchange.partitioner)
        self.sides = sides
        self.exchange = exchange


class Stepped(Lineage):
    """What a state step gives for its inputs and the keyed state of the operator.

    It may be computed only once a batch, so it is always kept.

    Attributes:
        inputs: one lineage an input of the step, all spread alike over the partitions of the state.
        operator_id: whose state it is.
    """

    __slots__ = ("inputs", "operator_id", "step")

    def __init__(
        self, inputs: Sequence[Sequence[Lineage]], step: StateStep, operator_id: str, partitioner: Partitioner
    ) -> None:
        super().__init__(partitioner.partitions, partitioner)
        self.inputs = inputs
        self.step = step
        self.operator_id = operator_id
        self.kept = Kept()

    def drop(self) -> None:
        """Keep the partitions all the same: a second step would change the state twice."""


def held_rows(rows: Sequence[Any], partitions: int) -> Held:
    """Spread rows over partitions in runs of equal length.

    Example:
        >>> held_rows([1, 2, 3], 2).parts
        [[1], [2, 3]]
    """
    if partitions == 1:
        return Held([rows])
    bounds = [len(rows) * p // partitions for p in range(partitions + 1)]
    return Held([rows[low:high] for low, high in pairwise(bounds)])

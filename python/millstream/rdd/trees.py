"""RDD actions that combine in several rounds of tasks, so that the driver is left with little to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from millstream.encoding.copies import copied
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.rdd.actions import Folded, Reduced
from millstream.rdd.arguments import check_function, whole_number
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.empty import refuse_empty
from millstream.rdd.exchange import Exchange, Piece
from millstream.rdd.lineage import Lineage, Shuffled
from millstream.rdd.operations import Apply, Collect, End

T = TypeVar("T")
U = TypeVar("U")


class TreeActions(RDDCore[T_co]):
    """Forms of `reduce` and `aggregate` for many partitions with large results.

    Each partition is combined in its task, as there. Then tasks combine the results of neighbouring partitions,
    round after round, and only those of the last round come to the driver: with 100 partitions and a `depth` of 2,
    ten. For up to four partitions there is no round, and they are the same as `reduce` and `aggregate`.
    """

    __slots__ = ()

    def tree_reduce(self: RDDCore[T], f: Callable[[T, T], T], depth: int = 2) -> T:
        """Combine all records by `f`, as `reduce` does, in rounds.

        Args:
            f: takes two records and gives one; must be associative. Records come in the order of the RDD.
            depth: how often results are combined, the driver's part included, at least 1.

        Raises:
            ConfigurationError: the RDD is empty.

        Example:
            >>> import millstream as ms
            >>> from operator import add
            >>> ms.Context().range(100, partitions=20).tree_reduce(add)
            4950
        """
        check_function(f, "tree_reduce")
        whole_number(depth, "tree_reduce", "depth", least=1)
        reduced = Reduced(f, label("tree_reduce"))
        total: T = refuse_empty(reduced(_results(self, reduced, reduced, depth, reduced.label)), reduced.label)
        return total

    def tree_aggregate(
        self: RDDCore[T],
        zero: U,
        merge_record: Callable[[U, T], U],
        merge_partitions: Callable[[U, U], U],
        depth: int = 2,
    ) -> U:
        """Gather all records in an accumulator that starts from `zero`, as `aggregate` does, in rounds.

        Args:
            zero: where each partition starts, and the combination of the last round; every use gets a copy.
            merge_record: takes an accumulator and a record, gives the accumulator.
            merge_partitions: takes the accumulators of two runs of neighbouring partitions, gives one; must be
                associative.
            depth: how often results are combined, the driver's part included, at least 1.

        Example:
            >>> import millstream as ms
            >>> ms.Context().range(40, partitions=20).tree_aggregate(set(), lambda s, x: s | {x % 3}, set.union)
            {0, 1, 2}
        """
        check_function(merge_record, "tree_aggregate", "merge_record")
        check_function(merge_partitions, "tree_aggregate", "merge_partitions")
        whole_number(depth, "tree_aggregate", "depth", least=1)
        at, zero = label("tree_aggregate"), copied(zero)
        folded, merged = Folded(zero, merge_record, at), Reduced(merge_partitions, at)
        total: U = Folded(zero, merge_partitions, at)(_results(self, _AsOne(folded), merged, depth, at))
        return total


class CombineNeighbours(Exchange):
    """The results of runs of neighbouring partitions combined, each run in one task.

    Args:
        parents: how many partitions there are.
        runs: how many runs they fall into.
        end: what ends a map task; gives a list with the result, or an empty one.
        combine: combines results in their order; gives such a list.
        label: the operator.
    """

    __slots__ = ("combine", "parents")

    def __init__(self, parents: int, runs: int, end: End, combine: Callable[[Rows], list[Any]], label: Label) -> None:
        super().__init__(runs, None, end, label)
        self.parents = parents
        self.combine = combine

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Hand the result to the run that the partition is in."""
        run = index * self.partitions // self.parents
        return [result if place == run else () for place in range(self.partitions)]

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Combine the results of a run."""
        return self.combine(list(chain.from_iterable(sides[0])))


@dataclass(frozen=True, slots=True)
class _AsOne:
    """Puts what a function gives for the rows of a partition into a list."""

    f: Callable[[Rows], Any]

    def __call__(self, rows: Rows) -> list[Any]:
        return [self.f(rows)]


def _results(
    rdd: RDDCore[Any],
    first: Callable[[list[Any]], list[Any]],
    combine: Callable[[Rows], list[Any]],
    depth: int,
    at: Label,
) -> list[Any]:
    """Give the results that are left for the driver, in order."""
    lineage: Lineage = rdd.lineage
    end: End = Apply(first)
    for runs in rounds(lineage.partitions, depth):
        lineage = Shuffled([lineage], CombineNeighbours(lineage.partitions, runs, end, combine, at))
        end = Collect()
    return list(chain.from_iterable(rdd.runner.run(lineage, end)))


def rounds(partitions: int, depth: int) -> Iterator[int]:
    """Say how many results each round of tasks leaves.

    A round is left out where it would not spare the driver more than it costs.

    Source:
        The rule of Spark's `RDD.treeAggregate`.

    Example:
        >>> list(rounds(100, 2)), list(rounds(1000, 3)), list(rounds(4, 2))
        ([10], [100, 10], [])
    """
    if partitions < 2:
        return
    # The margin takes up rounding: the cube root of 1,000 comes out a little below or above 10.
    scale = max(math.ceil(partitions ** (1 / depth) - 1e-9), 2)
    while partitions > scale + math.ceil(partitions / scale):
        partitions = math.ceil(partitions / scale)
        yield partitions

"""What depends on where a record stands in the whole RDD, counted from 0 over all its partitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.rdd.exchange import Exchange, Piece
from millstream.rdd.lineage import Shuffled
from millstream.rdd.operations import Collect

if TYPE_CHECKING:
    from millstream.rdd.core import RDDCore
    from millstream.rdd.rdd import RDD


class AtPositions(Exchange):
    """Partitions that learn how many records stand before them; none of their records changes its partition.

    A map task keeps its rows for the partition of its own number and tells all later ones how many it has. So what
    comes before is computed once, and nothing is counted beforehand.

    Args:
        parent: the RDD whose records are looked at.
        f: takes the rows of a partition and the position of the first of them; gives new rows.
        label: the operator.
        keeps_keys: the new rows are pairs that were there before, so that they are spread by key as these were.
    """

    __slots__ = ("f",)

    def __init__(
        self, parent: RDDCore[Any], f: Callable[[Rows, int], Rows], label: Label, *, keeps_keys: bool = False
    ) -> None:
        partitioner = parent.lineage.partitioner if keeps_keys else None
        super().__init__(parent.lineage.partitions, partitioner, Collect(), label)
        self.f = f

    def split(self, result: Any, index: int) -> Sequence[Piece]:
        """Give the rows to the partition of the same number and their count to all behind it."""
        behind = self.partitions - index - 1
        return [*[()] * index, [result], *[[len(result)]] * behind]

    def merge(self, sides: Sequence[Sequence[Piece]]) -> Rows:
        """Add up the counts and hand the rows over."""
        start = 0
        rows: Rows = ()
        for piece in sides[0]:
            for told in piece:
                if isinstance(told, int):
                    start += told
                else:
                    rows = told
        return self.f(rows, start)


def at_positions(
    rdd: RDDCore[Any], f: Callable[[Rows, int], Rows], label: Label, *, keeps_keys: bool = False
) -> RDD[Any]:
    """Make the RDD of what `f` gives for the rows of each partition and the position of the first of them."""
    return rdd.derive(Shuffled([rdd.lineage], AtPositions(rdd, f, label, keeps_keys=keeps_keys)))

"""Counting what tasks read from a source that does not know beforehand how many records its splits hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from millstream.errors import MillstreamError, UserCodeError, shown
from millstream.model.accumulator import Accumulator
from millstream.model.current import batch_here
from millstream.model.label import Label
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split

_Counts: TypeAlias = tuple[int, dict[str, int]]
"""Batch time, and the records of each split that was read in that batch."""


class CountedReads(ReplayableSource[Any]):
    """A source as executors have it: it reads, and tells the driver how many records there were.

    A split that is read again, by another attempt or another output, counts once.

    Args:
        source: what is read.
        label: where it came into the program, for errors.
    """

    def __init__(self, source: ReplayableSource[Any], label: Label) -> None:
        self.name = source.name
        self.source = source
        self.label = label
        self._counts: Accumulator[_Counts] = Accumulator((0, {}), _put_together, silenced=False)

    def open(self, position: Any) -> None:
        """Leave it to the driver, which has the source itself."""

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Ask the source."""
        return self.source.plan(batch_ms, after, limit)

    def read(self, split: Split) -> Partition[Any]:
        """Read a split and count its records."""
        try:
            partition = self.source.read(split)
        except MillstreamError:
            raise
        except Exception as error:
            raise UserCodeError(
                f"The source {self.name} raised {type(error).__name__} in read: {error}",
                operator=self.label.operator,
                site=self.label.site,
                detail=f"split {split.description or shown(split.data)}; "
                f"{self.label.operator} was added at {self.label.site}.",
                hint="The traceback of the cause shows the line.",
            ) from error
        batch = batch_here()
        if split.records is None and batch is not None:
            self._counts.add((batch.time_ms, {_name(split): len(partition)}))
        return partition

    def counts(self, time_ms: int, splits: Sequence[Split]) -> list[int | None]:
        """Give how many records each split of a batch held; None where it was not read in that batch."""
        counted_ms, counts = self._counts.value
        here = counts if counted_ms == time_ms else {}
        return [here.get(_name(split)) if split.records is None else split.records for split in splits]

    def records(self, time_ms: int, splits: Sequence[Split]) -> int | None:
        """Give how many records the splits of a batch held; None unless all of them were read in that batch."""
        found = self.counts(time_ms, splits)
        known = [count for count in found if count is not None]
        return sum(known) if len(known) == len(found) else None


def _name(split: Split) -> str:
    return repr(split.data)


def _put_together(one: _Counts, other: _Counts) -> _Counts:
    """Keep the later batch: only that of the batch that ends is asked for."""
    if one[0] != other[0]:
        return max(one, other, key=lambda counts: counts[0])
    return one[0], {**one[1], **other[1]}

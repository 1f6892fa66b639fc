"""What tasks read from a source, in numbers: how many records its splits hold, and which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from millstream.encoding.record_checksum import record_checksum
from millstream.errors import MillstreamError, UserCodeError, shown
from millstream.model.accumulator import Accumulator
from millstream.model.current import batch_here
from millstream.model.label import Label
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split

_Read: TypeAlias = tuple[int, int | None]
"""How many records a split held, and their checksum."""

_Reads: TypeAlias = tuple[int, dict[str, _Read]]
"""Batch time, and what each split held that was read in that batch."""


class CountedReads(ReplayableSource[Any]):
    """A source as executors have it: it reads, and tells the driver how many records there were.

    A split that is read again, by another attempt or another output, counts once.

    Args:
        source: what is read.
        label: where it came into the program, for errors.

    Attributes:
        takes_checksums: whether a checksum over the records is taken too.
    """

    def __init__(self, source: ReplayableSource[Any], label: Label) -> None:
        self.name = source.name
        self.source = source
        self.label = label
        self.takes_checksums = False
        self._reads: Accumulator[_Reads] = Accumulator((0, {}), _put_together, silenced=False)

    def open(self, position: Any) -> None:
        """Leave it to the driver, which has the source itself."""

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Ask the source."""
        return self.source.plan(batch_ms, after, limit)

    def read(self, split: Split) -> Partition[Any]:
        """Read a split, count its records, and take their checksum where that is asked for."""
        try:
            partition = self.source.read(split)
            checksum = record_checksum(partition.data) if self.takes_checksums else None
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
        if batch is not None and (self.takes_checksums or split.records is None):
            self._reads.add((batch.time_ms, {_name(split): (len(partition), checksum)}))
        return partition

    def counts(self, time_ms: int, splits: Sequence[Split]) -> list[int | None]:
        """Give how many records each split of a batch held; None where it was not read in that batch."""
        read = self._read_in(time_ms)
        return [read.get(_name(split), _UNREAD)[0] if split.records is None else split.records for split in splits]

    def checksums(self, time_ms: int, splits: Sequence[Split]) -> list[int | None]:
        """Give the checksum of each split of a batch; None where it was not read in that batch, or has none."""
        read = self._read_in(time_ms)
        return [read.get(_name(split), _UNREAD)[1] for split in splits]

    def records(self, time_ms: int, splits: Sequence[Split]) -> int | None:
        """Give how many records the splits of a batch held; None unless all of them were read in that batch."""
        found = self.counts(time_ms, splits)
        known = [count for count in found if count is not None]
        return sum(known) if len(known) == len(found) else None

    def _read_in(self, time_ms: int) -> dict[str, _Read]:
        read_ms, read = self._reads.value
        return read if read_ms == time_ms else {}


_UNREAD: tuple[None, None] = (None, None)


def _name(split: Split) -> str:
    return repr(split.data)


def _put_together(one: _Reads, other: _Reads) -> _Reads:
    """Keep the later batch: only that of the batch that ends is asked for."""
    if one[0] != other[0]:
        return max(one, other, key=lambda reads: reads[0])
    return one[0], {**one[1], **other[1]}

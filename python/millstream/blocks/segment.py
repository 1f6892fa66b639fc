"""One file of a log: its name, its records as they are read, and the end up to which it counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from millstream.blocks.log import LogRecord
from millstream.environment.storage import Storage
from millstream.errors import CorruptSegmentError, IncompatibleCheckpointError

if TYPE_CHECKING:
    from millstream._core import SegmentScan

_NAME = re.compile(r"(\d{20})-(\d{10})\.segment")


class SegmentId(NamedTuple):
    """What tells one segment from all others that a log ever had; every checksum in the segment covers it.

    Attributes:
        first: the numbers of the segment's records start here.
        counter: how many segments had been begun before, whether they came to something or not.

    Example:
        >>> SegmentId(1_500, 3).name
        '00000000000000001500-0000000003.segment'
        >>> SegmentId.of_name(SegmentId(1_500, 3).name)
        SegmentId(first=1500, counter=3)
    """

    first: int
    counter: int

    @property
    def name(self) -> str:
        """The name of the file in the folder of the log; names sort like the records."""
        return f"{self.first:020d}-{self.counter:010d}.segment"

    @classmethod
    def of_name(cls, name: str) -> SegmentId | None:
        """Read the name of a file; None when it is not that of a segment."""
        match = _NAME.fullmatch(name)
        return cls(int(match[1]), int(match[2])) if match else None


class ClosedSegment(NamedTuple):
    """A segment that takes no more records, and how far it counts.

    Attributes:
        id: which one.
        end: its certain length, bytes; what is behind it was never acknowledged and is not read.
        next: the numbers of its records are below this.
    """

    id: SegmentId
    end: int
    next: int


@dataclass(frozen=True, slots=True)
class TornTail:
    """The end of a log that a crash left in pieces; nothing of it had been acknowledged.

    Attributes:
        file: the segment, with the folder of its log.
        offset: where the torn group begins, bytes.
        bytes: how much was cut.
    """

    file: str
    offset: int
    bytes: int


def scan(storage: Storage, file: str, segment: SegmentId, end: int | None = None) -> tuple[bytes, SegmentScan]:
    """Read a segment up to `end` or its first damage.

    Raises:
        CorruptSegmentError: the file is gone, or damaged below its durable length or below `end`.
        IncompatibleCheckpointError: a newer release has written it.
    """
    from millstream._core import scan_segment

    try:
        data = storage.read(file)
    except FileNotFoundError as error:
        raise corrupt(storage, file, 0, "the file is missing") from error
    found = scan_segment(data if end is None else memoryview(data)[:end], segment)
    if found.newer_format:
        raise IncompatibleCheckpointError(
            "The checkpoint was written by a newer release.",
            detail=f"{storage.place}/{file} has a newer format of segments.",
            hint="Start the release that wrote it, or a later one.",
        )
    problem = found.problem
    if problem is not None and (end is not None or found.durable > problem[0]):
        raise corrupt(storage, file, *problem)
    if end is not None and found.end != end:
        raise corrupt(storage, file, found.end, f"records are missing: {end} bytes of the file were durable")
    return data, found


def records(storage: Storage, file: str, segment: ClosedSegment, first: int) -> Iterator[LogRecord]:
    """Give the records of a segment from a number on.

    Raises:
        CorruptSegmentError: the file is missing or damaged.
    """
    data, found = scan(storage, file, segment.id, segment.end)
    for number, kind, start, end in found.records(first):
        yield LogRecord(number, kind, data[start:end])


def corrupt(storage: Storage, file: str, offset: int, reason: str) -> CorruptSegmentError:
    """Make the error for bytes that had been durable and are wrong now."""
    return CorruptSegmentError(
        "A file of the checkpoint is damaged.",
        detail=f"{storage.place}/{file} at byte {offset}: {reason}. This had been written durably.",
        hint="Look at the disk, and bring the file back from a copy; or start from a savepoint or another checkpoint.",
    )

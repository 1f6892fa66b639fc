"""The segment of a log that takes records."""

from __future__ import annotations

from collections.abc import Sequence

from millstream.blocks.log import Bytes
from millstream.blocks.segment import ClosedSegment, SegmentId
from millstream.environment.storage import AppendFile
from millstream.errors import ConfigurationError

HEADER_BYTES = 52
PREVIOUS_BYTES = 32
GROUP_HEADER_BYTES = 44
RECORD_HEADER_BYTES = 16
"""Sizes of the parts of a segment, bytes; docs/checkpoint-format.md, section "Segments"."""


class OpenSegment:
    """A file that takes one group after another, each durable before the next.

    Args:
        id: which segment this is.
        file: the new file, empty.
        size_bytes: the space that was set aside for it.

    Attributes:
        durable: how much of it is certain, bytes: 0, or whole groups.
        failed: whether a group failed; then it takes no more.
        groups: how many with records it has.
    """

    def __init__(self, id: SegmentId, file: AppendFile, size_bytes: int) -> None:
        from millstream._core import frame_group

        self._frame_group = frame_group
        self.id = id
        self._file = file
        self._size_bytes = size_bytes
        self.durable = 0
        self._next = id.first
        self.failed = False
        self.groups = 0
        self._header_bytes = 0

    @staticmethod
    def needed_bytes(previous: int, records: int, payload_bytes: int) -> int:
        """Give the size of a segment with one group."""
        header = HEADER_BYTES + previous * PREVIOUS_BYTES
        return header + GROUP_HEADER_BYTES + records * RECORD_HEADER_BYTES + payload_bytes

    @property
    def size_bytes(self) -> int:
        """The room that the file takes."""
        return max(self._size_bytes, self.durable)

    def has_room(self, records: int, payload_bytes: int) -> bool:
        """Say whether a group fits into the space that was set aside."""
        needed = GROUP_HEADER_BYTES + records * RECORD_HEADER_BYTES + payload_bytes
        return self.durable + needed <= self._size_bytes and not self.failed

    @property
    def mean_bytes(self) -> float:
        """The mean size of its groups with records, 0 without any.

        Groups without any tell of releases, and are small.
        """
        return (self.durable - self._header_bytes) / self.groups if self.groups else 0.0

    def begin(
        self,
        runs: Sequence[tuple[int, Sequence[tuple[int, Bytes]]]],
        released: int,
        next: int,
        previous: Sequence[ClosedSegment],
    ) -> None:
        """Write the header, which names the segments before, and the first group; from then on the segment counts.

        The other arguments are those of `append`.
        """
        from millstream._core import segment_header

        header = segment_header(self.id, released, [(*closed.id, closed.end, closed.next) for closed in previous])
        self._header_bytes = len(header)
        self._put(runs, released, next, header)

    def append(self, runs: Sequence[tuple[int, Sequence[tuple[int, Bytes]]]], released: int, next: int) -> None:
        """Write a group and make it durable.

        Args:
            runs: the number of the first of some records, and kind and bytes of each.
            released: records with numbers below this were released.
            next: the number of the next record, for a group without any.
        """
        self._put(runs, released, next, b"")

    def _put(
        self, runs: Sequence[tuple[int, Sequence[tuple[int, Bytes]]]], released: int, next: int, header: bytes
    ) -> None:
        offset = self.durable + len(header)
        self.failed = True
        try:
            pieces, size = self._frame_group(self.id, offset, self.durable, released, next, runs)
        except ValueError as error:
            raise ConfigurationError(
                "A record is too long for the log.", detail=f"{error}.", hint="Make smaller blocks."
            ) from error
        if header:
            pieces.insert(0, header)
        self._file.append(pieces)
        self.failed = False
        self.groups += 1 if runs else 0
        self.durable = offset + size
        self._next = runs[-1][0] + len(runs[-1][1]) if runs else next

    def closed(self) -> ClosedSegment:
        """Give the segment as it counts now."""
        return ClosedSegment(self.id, self.durable, self._next)

    def close(self) -> None:
        """Let go of the file and of the space that it did not need."""
        self._file.close()
        if not self.failed:
            self._size_bytes = self.durable

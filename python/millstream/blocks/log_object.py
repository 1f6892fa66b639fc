"""One object of a log on an object store: who wrote it and when it may go, and the records of one group."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.blocks.log import Bytes, LogRecord
from millstream.errors import ConfigurationError, CorruptSegmentError, IncompatibleCheckpointError

if TYPE_CHECKING:
    from millstream._core import SegmentScan

MAGIC = b"MSTROBJ\x00"

FORMAT_VERSION = 1

_HEADER = struct.Struct("<8sHHIQQ16s16sQQQQQ")
_CLAIM = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class LogObject:
    """What stands at the beginning of an object of a log; docs/checkpoint-format.md, section "On object stores".

    Attributes:
        number: its place in the log, 0, 1, 2, ... without gaps: its name.
        epoch: of the driver that wrote it; never falls from one object to the next.
        owner: 16 bytes that tell that driver from all others.
        nonce: 16 bytes that tell this object from every other that somebody may have tried to put in its place.
        first: the number of its first record, or of the next one where it has none.
        next: the number of the record that follows.
        released: records with numbers below this were released.
        floor: objects with numbers below this were released, except for claims.
        claim: the number of the object by which its driver took the log over; its own number in that object.
        earlier_claims: in a claim, the numbers of all claims before it, which are kept for ever.
    """

    number: int
    epoch: int
    owner: bytes
    nonce: bytes
    first: int
    next: int
    released: int
    floor: int
    claim: int
    earlier_claims: tuple[int, ...] = ()

    @property
    def header_bytes(self) -> int:
        """Size of the header in front of the segment, bytes."""
        return _HEADER.size + _CLAIM.size * len(self.earlier_claims) + _CHECKSUM.size

    def encode(self, runs: Sequence[tuple[int, Sequence[tuple[int, Bytes]]]]) -> bytes:
        """Give the bytes of the object: this header, and behind it a segment of one group.

        Args:
            runs: the number of the first of some records, and kind and bytes of each.

        Raises:
            ConfigurationError: a record has 4 GiB or more.
        """
        from millstream._core import frame_group, segment_header

        header = _HEADER.pack(
            MAGIC,
            FORMAT_VERSION,
            0,
            self.header_bytes,
            self.number,
            self.epoch,
            self.owner,
            self.nonce,
            self.first,
            self.next,
            self.released,
            self.floor,
            self.claim,
        ) + b"".join(map(_CLAIM.pack, self.earlier_claims))
        segment = (self.first, self.number)
        start = segment_header(segment, self.released, [])
        try:
            pieces, _ = frame_group(segment, len(start), 0, self.released, self.first, runs)
        except ValueError as error:
            raise ConfigurationError(
                "A record is too long for the log.", detail=f"{error}.", hint="Make smaller blocks."
            ) from error
        return b"".join([header, _CHECKSUM.pack(zlib.crc32(header)), start, *pieces])


def decode_header(data: bytes, number: int, place: str) -> LogObject:
    """Read what stands at the beginning of an object.

    Args:
        data: the whole object.
        number: its name.
        place: where it is, for errors.

    Raises:
        CorruptSegmentError: its bytes are wrong.
        IncompatibleCheckpointError: a newer release wrote it.
    """
    if len(data) < _HEADER.size + _CHECKSUM.size or not data.startswith(MAGIC):
        raise damaged(place, 0, "it does not begin like an object of a log")
    _, version, _, header_bytes, *fields = _HEADER.unpack_from(data)
    end = header_bytes - _CHECKSUM.size
    if not _HEADER.size <= end <= len(data) - _CHECKSUM.size:
        raise damaged(place, 0, "the length of its header is wrong")
    # Where the checksum is stays in every version: once it matches, the version can be believed.
    if _CHECKSUM.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        raise damaged(place, 0, "the checksum of its header does not match")
    if version > FORMAT_VERSION:
        raise _newer(place)
    claims = tuple(value for (value,) in _CLAIM.iter_unpack(data[_HEADER.size : end]))
    own, epoch, owner, nonce, first, next_number, released, floor, claim = fields
    header = LogObject(own, epoch, owner, nonce, first, next_number, released, floor, claim, claims)
    if header.number != number:
        raise damaged(place, 0, f"it says that it is object {header.number}")
    return header


def records_of(data: bytes, header: LogObject, first: int, place: str) -> Iterator[LogRecord]:
    """Give the records of an object from a number on; raises as `decode_header` does."""
    from millstream._core import scan_segment

    body = memoryview(data)[header.header_bytes :]
    found: SegmentScan = scan_segment(body, (header.first, header.number))
    if found.newer_format:
        raise _newer(place)
    if found.problem is not None:
        offset, problem = found.problem
        raise damaged(place, header.header_bytes + offset, problem)
    if found.groups != 1 or found.end != len(body) or found.next > header.next:
        raise damaged(place, header.header_bytes + found.end, "records are missing")
    for number, kind, start, end in found.records(first):
        yield LogRecord(number, kind, bytes(body[start:end]))


def damaged(place: str, offset: int, problem: str) -> CorruptSegmentError:
    """Make the error of an object whose bytes are wrong."""
    return CorruptSegmentError(
        "A log of the checkpoint is damaged.",
        detail=f"{place} at byte {offset}: {problem}.",
        hint="Bring the object back from a copy or an earlier version of it; or start from a savepoint.",
    )


def _newer(place: str) -> IncompatibleCheckpointError:
    return IncompatibleCheckpointError(
        "The checkpoint was written by a newer release.",
        detail=f"{place} has a newer format of logs on object stores.",
        hint="Start the release that wrote it, or a later one.",
    )

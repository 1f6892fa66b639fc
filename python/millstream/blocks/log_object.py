"""One object of a log on an object store: who wrote it, and the records of one group."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from millstream.blocks.log import Bytes, LogRecord
from millstream.errors import CorruptSegmentError, IncompatibleCheckpointError

MAGIC = b"MSTROBJ\x00"

FORMAT_VERSION = 1

_HEADER = struct.Struct("<8sHHIQQQQQ16sI")
_CLAIM = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_RECORD = struct.Struct("<IBxxxI")


@dataclass(frozen=True, slots=True)
class LogObject:
    """What stands at the beginning of an object of a log.

    Attributes:
        number: its place in the log: 0, 1, 2, ... without gaps; its name.
        epoch: of the driver that wrote it; never falls from one object to the next.
        first: the number of its first record, or of the next one where it has none.
        count: how many records it has.
        floor: objects with numbers below this were released, except for claims.
        claim: the number of the object by which its driver took the log over; its own number in that object.
        nonce: 16 bytes that tell it from every other object that somebody may have tried to write in its place.
        earlier_claims: in a claim, the numbers of all claims before it; they are never removed.
    """

    number: int
    epoch: int
    first: int
    count: int
    floor: int
    claim: int
    nonce: bytes
    earlier_claims: tuple[int, ...] = field(default=())

    @property
    def next(self) -> int:
        """The number of the record that follows."""
        return self.first + self.count

    def encode(self, records: Sequence[tuple[int, Bytes]]) -> bytes:
        """Give the bytes of the object.

        Args:
            records: kind and bytes of each, `count` of them.
        """
        header_bytes = _HEADER.size + _CLAIM.size * len(self.earlier_claims) + _CHECKSUM.size
        header = _HEADER.pack(
            MAGIC,
            FORMAT_VERSION,
            0,
            header_bytes,
            self.number,
            self.epoch,
            self.first,
            self.floor,
            self.claim,
            self.nonce,
            self.count,
        ) + b"".join(map(_CLAIM.pack, self.earlier_claims))
        pieces: list[Bytes] = [header, _CHECKSUM.pack(zlib.crc32(header))]
        for kind, data in records:
            pieces.append(_RECORD.pack(len(data), kind, zlib.crc32(data, kind)))
            pieces.append(data)
        return b"".join(pieces)


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
    _, version, _, header_bytes, own, epoch, first, floor, claim, nonce, count = _HEADER.unpack_from(data)
    end = header_bytes - _CHECKSUM.size
    if not _HEADER.size <= end <= len(data) - _CHECKSUM.size:
        raise damaged(place, 0, "the length of its header is wrong")
    # Its place and its checksum stay in every version: only then can the version be believed.
    if _CHECKSUM.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        raise damaged(place, 0, "the checksum of its header does not match")
    if version > FORMAT_VERSION:
        raise IncompatibleCheckpointError(
            "A log of the checkpoint was written by a newer release.",
            detail=f"{place} has format {version}, this release reads {FORMAT_VERSION}.",
            hint="Upgrade millstream.",
        )
    if own != number:
        raise damaged(place, 0, f"it says that it is object {own}")
    claims = tuple(value for (value,) in _CLAIM.iter_unpack(data[_HEADER.size : end]))
    return LogObject(own, epoch, first, count, floor, claim, nonce, claims)


def records_of(data: bytes, header: LogObject, place: str) -> Iterator[LogRecord]:
    """Give the records of an object; raises as `decode_header` does."""
    at = _HEADER.size + _CLAIM.size * len(header.earlier_claims) + _CHECKSUM.size
    for number in range(header.first, header.next):
        if at + _RECORD.size > len(data):
            raise damaged(place, at, "it ends within a record")
        length, kind, checksum = _RECORD.unpack_from(data, at)
        found = data[at + _RECORD.size : at + _RECORD.size + length]
        if len(found) != length or zlib.crc32(found, kind) != checksum:
            raise damaged(place, at, "the checksum of a record does not match")
        yield LogRecord(number, kind, found)
        at += _RECORD.size + length


def damaged(place: str, offset: int, problem: str) -> CorruptSegmentError:
    """Make the error of an object whose bytes are wrong."""
    return CorruptSegmentError(
        "A log of the checkpoint is damaged.",
        detail=f"{place}, byte {offset}: {problem}.",
        hint="Restore the object from a copy of the bucket, or start from a savepoint.",
    )

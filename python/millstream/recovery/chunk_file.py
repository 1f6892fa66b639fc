"""Files of state chunks: what the tables of a program hold, or changed, up to a batch."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from millstream.encoding.codec import decode, encode
from millstream.errors import CorruptSegmentError, DataError, IncompatibleCheckpointError

MAGIC = b"MSCH"
VERSION = 1
_HEADER_BYTES = 12


@dataclass(frozen=True, slots=True)
class TableChunk:
    """The chunk of one partition of a table.

    Attributes:
        table: the id of the operator that the table belongs to.
        partition: of the table.
        data: the encoded chunk.
    """

    table: str
    partition: int
    data: bytes


def encode_chunk_file(chunks: list[TableChunk]) -> bytes:
    """Give the content of a file that holds chunks.

    Example:
        >>> chunks = [TableChunk("counts", 0, b"...")]
        >>> decode_chunk_file(encode_chunk_file(chunks), "state/1") == chunks
        True
    """
    body = encode([[chunk.table, chunk.partition, chunk.data] for chunk in chunks])
    return b"".join((MAGIC, VERSION.to_bytes(4, "little"), zlib.crc32(body).to_bytes(4, "little"), body))


def decode_chunk_file(data: bytes, name: str) -> list[TableChunk]:
    """Give the chunks of a file.

    Args:
        data: its content.
        name: for errors.

    Raises:
        CorruptSegmentError: it is not what was written.
        IncompatibleCheckpointError: a newer version wrote it.
    """
    header, body = data[:_HEADER_BYTES], memoryview(data)[_HEADER_BYTES:]
    if len(header) < _HEADER_BYTES or header[:4] != MAGIC:
        raise _corrupt(name, "it does not begin as such a file does")
    version = int.from_bytes(header[4:8], "little")
    if version > VERSION:
        raise IncompatibleCheckpointError(
            "A state file was written by a newer version of millstream.",
            detail=f"{name} has format {version}; this version reads up to {VERSION}.",
            hint="Start the program with the version that wrote the checkpoint, or a newer one.",
        )
    if zlib.crc32(body) != int.from_bytes(header[8:12], "little"):
        raise _corrupt(name, "its checksum is wrong")
    try:
        rows: Any = decode(body)
        return [TableChunk(table, partition, data) for table, partition, data in rows]
    except (DataError, TypeError, ValueError) as error:
        raise _corrupt(name, str(error)) from error


def _corrupt(name: str, why: str) -> CorruptSegmentError:
    return CorruptSegmentError(
        "A state file of the checkpoint is damaged.",
        detail=f"{name}: {why}.",
        hint="Restore the file from a copy, or start from a savepoint.",
    )

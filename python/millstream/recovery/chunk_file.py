"""Files of state chunks: what the tables of a program hold, or changed, up to a batch."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from millstream._core import MalformedError, chunk_rows, join_pieces
from millstream.encoding import extensions as code
from millstream.encoding.codec import encode
from millstream.encoding.heads import array_head, bytes_head, extension_head
from millstream.encoding.rows import Frame
from millstream.errors import CorruptSegmentError, IncompatibleCheckpointError

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
    data: Frame


def encode_chunk_file(chunks: Sequence[TableChunk]) -> memoryview:
    """Give the content of a file that holds chunks, which may be large: they are copied once, without the GIL.

    Raises:
        EncodingError: they have 4 GiB or more.

    Example:
        >>> chunks = [TableChunk("counts", 0, b"...")]
        >>> decode_chunk_file(encode_chunk_file(chunks), "state/1") == chunks
        True
    """
    pieces: list[Frame] = [array_head(len(chunks))]
    for chunk in chunks:
        before = array_head(3) + encode(chunk.table) + encode(chunk.partition) + bytes_head(len(chunk.data))
        pieces += [extension_head(code.LIST, len(before) + len(chunk.data)) + before, chunk.data]
    pieces.insert(0, extension_head(code.LIST, sum(map(len, pieces))))
    checksum = 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
    return join_pieces([MAGIC, VERSION.to_bytes(4, "little"), checksum.to_bytes(4, "little"), *pieces])


def decode_chunk_file(data: Frame, name: str) -> list[TableChunk]:
    """Give the chunks of a file.

    Args:
        data: its content.
        name: for errors.

    Raises:
        CorruptSegmentError: it is not what was written.
        IncompatibleCheckpointError: a newer version wrote it.
    """
    return [replace(chunk, data=bytes(chunk.data)) for chunk in chunks_within(data, name)]


def chunks_within(data: Frame, name: str) -> list[TableChunk]:
    """Give the chunks of a file without copying them; arguments and errors are those of `decode_chunk_file`."""
    header, body = bytes(data[:_HEADER_BYTES]), memoryview(data)[_HEADER_BYTES:]
    if len(header) < _HEADER_BYTES or header[:4] != MAGIC:
        raise _corrupt(name, "it does not begin as such a file does")
    version = int.from_bytes(header[4:8], "little")
    if version > VERSION:
        raise IncompatibleCheckpointError(
            "A state file was written by a newer version of millstream.",
            detail=f"{name} has format {version}; this version reads up to {VERSION}.",
            hint="Start the program with the version that wrote the checkpoint, or a newer one.",
        )
    if version < 1:
        raise _corrupt(name, f"no version of it has the number {version}")
    if zlib.crc32(body) != int.from_bytes(header[8:12], "little"):
        raise _corrupt(name, "its checksum is wrong")
    try:
        return [TableChunk(table, partition, body[start:end]) for table, partition, start, end in chunk_rows(body)]
    except MalformedError as error:
        raise _corrupt(name, str(error)) from error


def _corrupt(name: str, why: str) -> CorruptSegmentError:
    return CorruptSegmentError(
        "A state file of the checkpoint is damaged.",
        detail=f"{name}: {why}.",
        hint="Restore the file from a copy, or start from a savepoint.",
    )

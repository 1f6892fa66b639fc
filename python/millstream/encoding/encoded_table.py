"""Arrow tables as values of a checkpoint, copied once."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from millstream.encoding import extensions as code
from millstream.encoding.codec import encode

if TYPE_CHECKING:
    import pyarrow as pa

_BIN_HEAD_BYTES_MAX = 5


def encoded_table(table: pa.Table, before: bytes = b"") -> memoryview:
    """Give the bytes that `encode` gives for a table, behind others.

    What `encode` makes grows, and is copied from one layer to the next: six times in all. Here its size is known
    first, and Arrow writes to where the bytes stay.

    Args:
        table: what to write.
        before: bytes that go before it.

    Returns:
        Read-only bytes.

    Raises:
        EncodingError: the table has 4 GiB or more.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"word": ["to", "be"]})
        >>> bytes(encoded_table(table, b"head")) == b"head" + encode(table)
        True
    """
    import pyarrow as pa

    counter = pa.MockOutputStream()
    _write(table, counter)
    stream_bytes = counter.size()
    if stream_bytes + _BIN_HEAD_BYTES_MAX >= 1 << 32:
        return memoryview(before + encode(table))  # Which refuses it.
    heads = before + _heads(stream_bytes)
    # Why Arrow's memory: it is not cleared first, and some of it was used before and is at hand.
    data = memoryview(pa.allocate_buffer(len(heads) + stream_bytes)).cast("B")
    data[: len(heads)] = heads
    _write(table, pa.FixedSizeBufferWriter(pa.py_buffer(data[len(heads) :])))
    return data.toreadonly()


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    import pyarrow as pa

    with sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)


def _heads(stream_bytes: int) -> bytes:
    """Give the heads of MessagePack before an Arrow stream: of the extension, and of the bytes in it."""
    inner = _head((0xC4, 0xC5, 0xC6), stream_bytes)
    return _head((0xC7, 0xC8, 0xC9), len(inner) + stream_bytes) + struct.pack("b", code.ARROW_TABLE) + inner


def _head(kinds: tuple[int, int, int], length: int) -> bytes:
    """Give the shortest head that holds a length, of three with a length of one, two and four bytes."""
    size = 0 if length < 1 << 8 else 1 if length < 1 << 16 else 2
    return struct.pack((">BB", ">BH", ">BI")[size], kinds[size], length)

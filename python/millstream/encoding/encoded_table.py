"""Arrow tables as values of a checkpoint, copied once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.encoding import extensions as code
from millstream.encoding.heads import bytes_head, extension_head

if TYPE_CHECKING:
    import pyarrow as pa


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
        >>> from millstream.encoding.codec import encode
        >>> table = pa.table({"word": ["to", "be"]})
        >>> bytes(encoded_table(table, b"head")) == b"head" + encode(table)
        True
    """
    import pyarrow as pa

    counter = pa.MockOutputStream()
    _write(table, counter)
    stream_bytes = counter.size()
    inner = bytes_head(stream_bytes)
    heads = before + extension_head(code.ARROW_TABLE, len(inner) + stream_bytes) + inner
    # Why Arrow's memory: it is not cleared first, and some of it was used before and is at hand.
    data = memoryview(pa.allocate_buffer(len(heads) + stream_bytes)).cast("B")
    data[: len(heads)] = heads
    _write(table, pa.FixedSizeBufferWriter(pa.py_buffer(data[len(heads) :])))
    return data.toreadonly()


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    import pyarrow as pa

    with sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)

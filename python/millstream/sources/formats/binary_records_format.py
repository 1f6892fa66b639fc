"""Files of binary records of one length."""

from __future__ import annotations

from typing import ClassVar

from millstream.errors import ConfigurationError, shown
from millstream.model.partition import VALUE_COLUMN, Columns, Partition
from millstream.sources.formats.file_format import FileFormat, FileRecords, OnMalformed
from millstream.sources.formats.unpacked import unpacked

RECORD_BYTES_MAX = 2**31 - 1
"""The longest value that an Arrow column of one length holds."""


class BinaryRecordsFormat(FileFormat[bytes]):
    """A file is records of one length, one behind the other; each is `bytes`.

    Args:
        record_length: bytes of a record, 1 to 2,147,483,647.
        on_malformed: what happens to a file whose size is not a multiple of that: `fail`, or `skip` it whole.

    Raises:
        ConfigurationError: the length cannot work.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "a.bin")
        >>> _ = path.write_bytes(b"abcdef")
        >>> list(BinaryRecordsFormat(3).read(str(path)).partition.rows())
        [b'abc', b'def']
    """

    name: ClassVar[str] = "binary records"

    def __init__(self, record_length: int, on_malformed: OnMalformed = "fail") -> None:
        super().__init__(on_malformed)
        whole = isinstance(record_length, int) and not isinstance(record_length, bool)
        if not whole or not 1 <= record_length <= RECORD_BYTES_MAX:
            raise ConfigurationError(
                "Binary records need a length.",
                detail=f"record_length={shown(record_length)}.",
                hint=f"Give a whole number of bytes, 1 to {RECORD_BYTES_MAX}.",
            )
        self.record_length = record_length

    def read(self, path: str, content: bytes | None = None) -> FileRecords[bytes]:
        import pyarrow as pa

        content = unpacked(path, content)
        count, rest = divmod(len(content), self.record_length)
        if rest:
            raise self.unreadable(
                path,
                f"its {len(content)} bytes are {count} records of {self.record_length} bytes and {rest} bytes more.",
            )
        kind = pa.binary(self.record_length)
        column = pa.FixedSizeBinaryArray.from_buffers(kind, count, [None, pa.py_buffer(content)])
        return FileRecords(Partition(Columns(pa.table({VALUE_COLUMN: column}), scalar=True)))

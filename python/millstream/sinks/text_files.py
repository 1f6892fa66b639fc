"""Records as lines of text files."""

from __future__ import annotations

from typing import Any, BinaryIO, ClassVar

from millstream.errors import DataError, shown
from millstream.model.partition import VALUE_COLUMN, Columns, Partition
from millstream.sinks.manifest_files import ManifestFiles


class TextFiles(ManifestFiles[Any]):
    r"""Writes each record as one line of UTF-8, ended by `\n`: `str` of the record, or bytes as they are.

    A record that would not be one line (it holds a `\n`, or is not UTF-8) is refused with DataError, because nobody
    could read it back; write such records as JSON.

    Args:
        path: the directory; see `ManifestFiles` for what lies in it.
        empty_batches: write a manifest for batches without records too.
        storage_options: settings of an object store; see `ManifestFiles`.
    """

    kind: ClassVar[str] = "text"
    extension: ClassVar[str] = ".txt"

    def write(self, data: Partition[Any], file: BinaryIO) -> None:
        columns = data.data
        if isinstance(columns, Columns) and columns.scalar and _is_plain_text(columns.table.column(VALUE_COLUMN)):
            for chunk in columns.table.column(VALUE_COLUMN).chunks:
                if len(chunk):
                    file.write(_lines_of(chunk))
            return
        rows = list(data.rows())
        try:
            text = "\n".join(map(_line, rows)).encode()
        except UnicodeError:
            text = b""
        if text.count(b"\n") != len(rows) - 1 or not text:
            _check(rows)
        file.write(text)
        file.write(b"\n")


def read_text(content: bytes) -> list[str]:
    """Give the lines of a text file that `TextFiles` wrote."""
    return content.decode().split("\n")[:-1]


def _line(record: Any) -> str:
    if type(record) is str:
        return record
    return record.decode() if isinstance(record, bytes) else str(record)


def _is_plain_text(column: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)) or column.null_count:
        return False
    return not pc.any(pc.match_substring(column, "\n")).as_py()


def _lines_of(chunk: Any) -> Any:
    """Give the text of a column's chunk with an end behind each value, without making Python strings."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.large_string()
    lines = pc.binary_join_element_wise(chunk.cast(kind), pa.scalar("", kind), pa.scalar("\n", kind))
    # Invariant: a fresh array has no offset, so its bytes are the lines one behind the other.
    return lines.buffers()[2]


def _check(rows: list[Any]) -> None:
    for record in rows:
        try:
            line = _line(record)
            line.encode()
            problem = "it holds a line end" if "\n" in line else None
        except UnicodeError as error:
            problem = f"it is not UTF-8 ({error})"
        if problem is not None:
            raise DataError(
                "A record cannot be written as one line of text.",
                detail=f"{shown(record)}: {problem}.",
                hint="Replace what stands in the way with map(), or save as JSON files.",
            )

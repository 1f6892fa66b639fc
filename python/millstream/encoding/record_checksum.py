"""A checksum over records: of what they are, not of how they lie in memory."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Literal

from millstream.encoding.codec import encode
from millstream.model.partition import Columns, PartitionData, Rows

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 1_024


def record_checksum(data: PartitionData) -> int | None:
    """Give a checksum over the records of a partition in their order, or None where they have none.

    Columns are taken as they are, by their names and values: neither their chunks, nor slices, nor dictionaries
    change it. Rows are taken as the plain codec writes them; what it refuses has no checksum, as other forms, such as
    pickles, may differ for equal values. The same records as columns and as rows have two.

    Example:
        >>> import pyarrow as pa
        >>> whole = pa.table({"n": [1, 2, 3]})
        >>> parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
        >>> record_checksum(Columns(whole, scalar=False)) == record_checksum(Columns(parts, scalar=False))
        True
        >>> record_checksum([(1, "a")]) == record_checksum([(1, "b")])
        False
        >>> record_checksum([print]) is None
        True
    """
    if not len(data):
        return 0
    return _of_table(data.table) if isinstance(data, Columns) else _of_rows(data)


def _of_rows(data: Rows) -> int | None:
    rows = data if isinstance(data, list) else list(data)
    checksum = 0
    try:
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            checksum = zlib.crc32(encode(rows[first : first + _ROWS_AT_ONCE], "rows"), checksum)
    except Exception:  # Why not narrower: what a user's own form of a type raises is no reason to fail either.
        return None
    return checksum


def _of_table(table: pa.Table) -> int | None:
    parts = _Parts()
    try:
        for number, column in enumerate(table.columns):
            for chunk in column.chunks:
                parts.add(str(number), chunk)
    except _UnknownTypeError:
        return None
    return zlib.crc32(repr((table.column_names, sorted(parts.checksums.items()))).encode())


class _UnknownTypeError(Exception):
    """A column is of a type whose buffers are not known here."""


class _Parts:
    """Checksums of the parts of columns, each going on from chunk to chunk.

    The bytes of a null mean nothing, so values are taken without nulls, and the places of nulls by themselves.
    """

    def __init__(self) -> None:
        import pyarrow.compute as pc
        import pyarrow.types as kinds

        self.checksums: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._pc = pc
        self._kinds = kinds

    def add(self, path: str, array: pa.Array) -> None:
        kinds = self._kinds
        before = self._rows.get(path, 0)
        self._rows[path] = before + len(array)
        if array.null_count:
            self._add_nulls(path, array, before)
            array = array.drop_null()
        if not len(array):
            return
        kind = array.type
        if kinds.is_dictionary(kind):
            # Which number a value has in its dictionary depends on what came before it.
            self.add(f"{path}.", array.dictionary_decode())
        elif kinds.is_string(kind) or kinds.is_binary(kind):
            self._add_bytes(path, array, "i")
        elif kinds.is_large_string(kind) or kinds.is_large_binary(kind):
            self._add_bytes(path, array, "q")
        elif kinds.is_nested(kind):
            self._add_nested(path, array)
        elif kinds.is_boolean(kind):
            self._add_values(path, array.cast("uint8"))
        else:
            self._add_values(path, array)

    def _add_nulls(self, path: str, array: pa.Array, before: int) -> None:
        pc = self._pc
        places = pc.indices_nonzero(array.is_null())
        self._take(f"{path} nulls", pc.add(places, before).cast("uint64").buffers()[1])

    def _add_bytes(self, path: str, array: pa.Array, code: Literal["i", "q"]) -> None:
        self._add_values(f"{path} lengths", self._pc.binary_length(array))
        _, offsets, data = array.buffers()
        if data is not None:
            ends = memoryview(offsets).cast(code)
            self._take(path, memoryview(data)[ends[array.offset] : ends[array.offset + len(array)]])

    def _add_nested(self, path: str, array: pa.Array) -> None:
        kind, kinds = array.type, self._kinds
        if kinds.is_struct(kind):
            for number, child in enumerate(array.flatten()):
                self.add(f"{path}.{kind.field(number).name}", child)
        elif kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
            self._add_values(f"{path} lengths", self._pc.list_value_length(array))
            self.add(f"{path}.", array.flatten())
        else:
            raise _UnknownTypeError

    def _add_values(self, path: str, array: pa.Array) -> None:
        """Take the values of an array whose values all have one width."""
        try:
            width = array.type.byte_width
        except ValueError:
            raise _UnknownTypeError from None
        values: Any = array.buffers()[1]
        self._take(path, memoryview(values)[array.offset * width : (array.offset + len(array)) * width])

    def _take(self, path: str, data: Any) -> None:
        self.checksums[path] = zlib.crc32(data, self.checksums.get(path, 0))

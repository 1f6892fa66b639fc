"""Files of lines of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from millstream.model.partition import Columns, Partition
from millstream.sources.formats.file_format import FileFormat, FileRecords
from millstream.sources.formats.unpacked import unpacked

if TYPE_CHECKING:
    import pyarrow as pa

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

EXACT_FLOAT_MAX = 2**53
"""From here on two whole numbers may be the same float."""

BLOCK_BYTES = 16_777_216
"""How much is parsed at once; a longer line goes the slow way."""


class JsonLinesFormat(FileFormat[Any]):
    r"""Each line is a JSON value and a record, usually an object, which is a dict. Blank lines are passed over.

    Objects whose keys each have values of one type stay columns, where whole numbers beside others become floats,
    and a key that an object lacks is None in it. Other files become Python objects line by line. Text stays text,
    also where it looks like a time. Compressed files are unpacked.

    Args:
        on_malformed: what happens to a line that is no JSON: `fail`, or `skip`.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "a.jsonl")
        >>> _ = path.write_text('{"id": 1, "tag": "x"}\n{"id": 2}\n')
        >>> list(JsonLinesFormat().read(str(path)).partition.rows())
        [{'id': 1, 'tag': 'x'}, {'id': 2, 'tag': None}]
    """

    name: ClassVar[str] = "JSON lines"

    def read(self, path: str, content: bytes | None = None) -> FileRecords[Any]:
        content = unpacked(path, content).removeprefix(BYTE_ORDER_MARK)
        table = _table(content)
        if table is not None:
            return FileRecords(Partition(Columns(table, scalar=False)))
        records, good, invalid, first = _decoded(content)
        if invalid and (table := _table(b"\n".join(good))) is not None:
            return self.records(Partition(Columns(table, scalar=False)), path, invalid, first)
        return self.records(Partition(_filled(records)), path, invalid, first)


def _table(content: bytes) -> pa.Table | None:
    """Give the lines as a table, or None when that would change values, or lines are no objects of one kind."""
    import pyarrow as pa
    import pyarrow.json as pj

    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    options = pj.ReadOptions(block_size=BLOCK_BYTES)
    try:
        table = pj.read_json(pa.BufferReader(content), read_options=options)
        kinds = [_text_for_times(field.type) for field in table.schema]
        if kinds != table.schema.types:
            schema = pa.schema(list(zip(table.column_names, kinds, strict=True)))
            parse = pj.ParseOptions(explicit_schema=schema)
            table = pj.read_json(pa.BufferReader(content), read_options=options, parse_options=parse)
        table.validate(full=True)
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    # Why compare: values in one line, or one over several lines, are taken without a word.
    if table.num_rows != lines or any(_has_lost_digits(column) for column in table.columns):
        return None
    return table


def _text_for_times(kind: pa.DataType) -> pa.DataType:
    """Give the type with text in the place of times, which are guessed from how a text looks."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_text_for_times(field.type)) for field in kind.fields])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_text_for_times(kind.value_type)))
    return kind


def _has_lost_digits(column: pa.ChunkedArray | pa.Array) -> bool:
    """Say whether there are floats so large that they may have been other whole numbers in the file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        largest = pc.max(pc.if_else(pc.is_finite(column), pc.abs(column), 0.0)).as_py()
        return largest is not None and largest >= EXACT_FLOAT_MAX
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    if pa.types.is_struct(column.type):
        return any(_has_lost_digits(part) for chunk in chunks for part in chunk.flatten())
    if pa.types.is_list(column.type):
        return any(_has_lost_digits(chunk.flatten()) for chunk in chunks)
    return False


def _decoded(content: bytes) -> tuple[list[Any], list[bytes], int, str]:
    """Decode line by line.

    Returns:
        The records, their lines, how many lines are no JSON, and what is wrong with the first of these.
    """
    records: list[Any] = []
    good: list[bytes] = []
    invalid, first = 0, ""
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            records.append(_value(line))
            good.append(line)
        except ValueError as error:
            invalid += 1
            first = first or f"line {number}: {error}"
    return records, good, invalid, first


def _value(line: bytes) -> Any:
    import json

    import msgspec

    try:
        return msgspec.json.decode(line)
    except (msgspec.MsgspecError, ValueError):
        # Why: it knows NaN and infinities, as the way over columns does, and says where a line is wrong.
        return json.loads(line)


def _filled(records: list[Any]) -> list[Any]:
    """Give objects the keys of the others, as columns would."""
    if not all(type(record) is dict for record in records):
        return records
    names = dict.fromkeys(name for record in records for name in record)
    return [{name: record.get(name) for name in names} for record in records]

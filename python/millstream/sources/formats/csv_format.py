"""Files of comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from millstream.errors import ConfigurationError, shown
from millstream.model.column_names import checked_column_names
from millstream.model.partition import Columns, Partition
from millstream.sources.formats.column_types import ColumnType, arrow_type, converted
from millstream.sources.formats.file_format import FileFormat, FileRecords, OnMalformed
from millstream.sources.formats.unpacked import unpacked

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 16_777_216
"""How much is parsed at once: the longest row."""

QUOTE = '"'


class CsvFormat(FileFormat[dict[str, Any]]):
    r"""Each row is a record, a dict by column name. Compressed files are unpacked.

    Values are text, save for columns that `types` names: a type that was guessed from one file would be another in
    the next, and turn `007` into 7. Values may be quoted by `"`, and hold line ends then. Blank lines are passed over.

    Args:
        columns: the names of the columns, when files have no header line; None: the first line has them.
        types: the types of columns: `int`, `float`, `bool`, `str`, `datetime.date`, `datetime.datetime` or a
            `pyarrow.DataType`, by name. An empty value is None there. A name that a file has not got is passed over.
        delimiter: one character.
        on_malformed: what happens to a row that has too few or too many values, is not UTF-8, or has a value that
            is not of its type: `fail`, or `skip` it. A quote without an end swallows the rest of its file.

    Raises:
        ConfigurationError: an argument cannot work.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "a.csv")
        >>> _ = path.write_text("id,price\n007,1.5\n")
        >>> list(CsvFormat(types={"price": float}).read(str(path)).partition.rows())
        [{'id': '007', 'price': 1.5}]
    """

    name: ClassVar[str] = "CSV"
    invalid_text: ClassVar[str] = "malformed rows"

    def __init__(
        self,
        columns: Sequence[str] | None = None,
        types: Mapping[str, ColumnType] | None = None,
        delimiter: str = ",",
        on_malformed: OnMalformed = "fail",
    ) -> None:
        super().__init__(on_malformed)
        _check(columns, types, delimiter)
        self.columns = None if columns is None else list(columns)
        self.types = {name: arrow_type(name, kind) for name, kind in (types or {}).items()}
        self.delimiter = delimiter

    def read(self, path: str, content: bytes | None = None) -> FileRecords[dict[str, Any]]:
        content = unpacked(path, content).removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
        problems: dict[int, str] = {}
        cut = _before_open_quote(content, self.delimiter)
        if cut is not None:
            content, row = cut
            problems[row] = "a quote is opened and never closed."
        names = self._names(path, content)
        table, row_numbers = self._parsed(path, content, names, problems)
        table, bad = converted(table, self.types)
        for index, problem in bad.items():
            problems[row_numbers[index]] = problem
        first = min(problems, default=0)
        text = f"row {first}: {problems[first]}" if problems else ""
        return self.records(Partition(Columns(table, scalar=False)), path, len(problems), text)

    def _names(self, path: str, content: bytes) -> list[str]:
        if self.columns is not None:
            return self.columns
        # Why let pass what is no UTF-8: lines are decoded many at once, and only the first matters here.
        lines = io.TextIOWrapper(io.BytesIO(content), "utf-8", errors="surrogateescape", newline="")
        try:
            names = next((row for row in csv.reader(lines, delimiter=self.delimiter) if row), [])
            "".join(names).encode()
        except (UnicodeEncodeError, csv.Error) as error:
            raise self.unreadable(path, f"its header line: {error}.") from error
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice or not names:
            problem = f"its header line has {shown(twice[0])} twice." if twice else "it has no header line."
            raise self.unreadable(path, problem)
        return names

    def _parsed(
        self, path: str, content: bytes, names: list[str], problems: dict[int, str]
    ) -> tuple[pa.Table, Sequence[int]]:
        """Cut rows and values, as bytes; give the number of each row in the file, from 1, without blank lines."""
        import pyarrow as pa
        import pyarrow.csv as pc

        wrong: list[int] = []

        def leave_out(row: Any) -> str:
            problems[row.number] = f"{row.actual_columns} values, not {row.expected_columns}: {shown(row.text)}"
            wrong.append(row.number)
            return "skip"

        header = self.columns is None
        try:
            table = pc.read_csv(
                # Why the line end: a header line alone, without one, is an error to Arrow.
                pa.BufferReader(content if content.endswith(b"\n") else content + b"\n"),
                # Why one thread: rows have numbers only then.
                read_options=pc.ReadOptions(
                    use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows_after_names=int(header)
                ),
                parse_options=pc.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=leave_out
                ),
                # Why bytes: one value that is no text would take the whole file with it.
                convert_options=pc.ConvertOptions(column_types=dict.fromkeys(names, pa.binary())),
            )
        except pa.ArrowException as error:
            raise self.unreadable(path, error) from error
        return table, _numbers(table.num_rows, 2 if header else 1, wrong)


def _numbers(count: int, first: int, left_out: list[int]) -> Sequence[int]:
    """Number rows from `first`, passing over those that were left out."""
    if not left_out:
        return range(first, first + count)
    gone = set(left_out)
    return [number for number in range(first, first + count + len(gone)) if number not in gone]


def _before_open_quote(content: bytes, delimiter: str) -> tuple[bytes, int] | None:
    """Give what is before the row that a quote without an end begins in, and that row's number; None: there is none.

    Without this, the rest of the file would be taken for one value.
    """
    if content.count(QUOTE.encode()) % 2 == 0:
        return None
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", errors="surrogateescape", newline="")
    start, number, before = 0, 0, 0
    lines = _Counted(text)
    rows = csv.reader(lines, delimiter=delimiter)
    for row in rows:
        if row:
            number, before = number + 1, start
        start = lines.bytes
    last = content[before:].decode("utf-8", errors="surrogateescape")
    try:
        for _ in csv.reader(io.StringIO(last, newline=""), delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return content[:before], number
    return None


class _Counted:
    """Lines, and how many bytes they had so far."""

    def __init__(self, lines: io.TextIOWrapper) -> None:
        self.bytes = 0
        self._lines = lines

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.bytes += len(line.encode("utf-8", errors="surrogateescape"))
        return line


def _check(columns: Any, types: Any, delimiter: Any) -> None:
    if columns is not None:
        first_line = ", or None when the first line of each file has the names"
        checked_column_names(columns, "the columns of CSV files", otherwise=first_line)
    if types is not None and not isinstance(types, Mapping):
        raise ConfigurationError(
            "The types of CSV columns are no dict.",
            detail=f"types={shown(types)}.",
            hint='Give types by name, such as {"price": float}.',
        )
    # Why not line ends and quotes: they mean something else already.
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '\r\n"' or not delimiter.isascii():
        raise ConfigurationError(
            "The delimiter of CSV files is not one character.",
            detail=f"delimiter={shown(delimiter)}.",
            hint='Give one ASCII character, such as ",", ";" or "\\t".',
        )

"""Records as files of comma-separated values."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from millstream.errors import ArgumentTypeError, shown
from millstream.model.column_names import checked_column_names
from millstream.model.partition import Columns, Partition, table_of
from millstream.sinks.manifest_files import ManifestFiles

if TYPE_CHECKING:
    import pyarrow as pa


class CsvFiles(ManifestFiles[Any]):
    """Writes the records of each partition as one CSV file that begins with a line of names.

    Records that are dicts become a column for each key; tuples and lists of one length columns `_1`, `_2` and so on,
    or the fields' names of a named tuple; all others the one column `value`. The columns of a file are those of its
    records, so give `columns` where records have not all keys. Text is quoted and None is not, so that `read_committed`
    tells an empty text from None. Values are text, numbers, truth values, dates and times; each column has values of
    one type.

    Args:
        path: the directory; see `ManifestFiles` for what lies in it.
        columns: the columns of all files, in this order; keys that are not named are left out, and what a record has
            not got is None. For tuples and lists, their names. None: what the records have.
        empty_batches: write a manifest for batches without records too.
        storage_options: settings of an object store; see `ManifestFiles`.

    Raises:
        ConfigurationError: the columns are no list of different names.
    """

    kind: ClassVar[str] = "csv"
    extension: ClassVar[str] = ".csv"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Sequence[str] | None = None,
        empty_batches: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(path, empty_batches=empty_batches, storage_options=storage_options)
        self._columns: list[str] | None = None
        if columns is not None:
            self._columns = checked_column_names(
                columns, "the columns of CSV files", otherwise=", or None for what the records have"
            )

    def write(self, data: Partition[Any], file: BinaryIO) -> None:
        import pyarrow as pa
        import pyarrow.csv as pc

        content = pa.BufferOutputStream()
        try:
            pc.write_csv(_writable(self._table(data)), content)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise ArgumentTypeError(
                "Records cannot be written as CSV.",
                detail=f"{error}",
                hint="Each column needs text, numbers, truth values, dates or times, of one type: map() the records to "
                "dicts of such, or save them as JSON files.",
            ) from error
        file.write(content.getvalue())

    def _table(self, data: Partition[Any]) -> pa.Table:
        import pyarrow as pa

        table = data.table() if isinstance(data.data, Columns) else _table_of(list(data.rows()), self._columns)
        if self._columns is None:
            return table
        absent = pa.nulls(table.num_rows, pa.string())
        names = set(table.column_names)
        return pa.table({name: table.column(name) if name in names else absent for name in self._columns})


def read_csv(content: bytes) -> list[dict[str, str | None]]:
    """Give the records of a file that `CsvFiles` wrote: text by column name, None where there was None."""
    import pyarrow as pa
    import pyarrow.csv as pc

    names = next(csv.reader(io.StringIO(content.decode(), newline="")))
    table = pc.read_csv(
        pa.BufferReader(content),
        read_options=pc.ReadOptions(block_size=len(content) + 1, column_names=names, skip_rows_after_names=1),
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return list(table.to_pylist())


def _table_of(rows: list[Any], columns: list[str] | None) -> pa.Table:
    import pyarrow as pa

    if not all(isinstance(row, (tuple, list)) for row in rows):
        return table_of(rows)
    width = len(rows[0])
    names = columns or getattr(rows[0], "_fields", None) or [f"_{number}" for number in range(1, width + 1)]
    for row in rows:
        if len(row) != len(names):
            raise ValueError(f"{shown(row)} has {len(row)} values, and there are {len(names)} columns.")
    return pa.table({name: [row[index] for row in rows] for index, name in enumerate(names)})


def _writable(table: pa.Table) -> pa.Table:
    """Refuse values that would not be read back as what they are, and keep rows from being blank lines."""
    import pyarrow as pa
    import pyarrow.types as kinds

    for field in table.schema:
        if kinds.is_duration(field.type) or any(
            is_bytes(field.type)
            for is_bytes in (kinds.is_binary, kinds.is_large_binary, kinds.is_fixed_size_binary, kinds.is_binary_view)
        ):
            raise TypeError(f"The column {field.name!r} holds values of type {field.type}.")
    if not table.num_columns:
        raise ValueError("The records have no keys.")
    if table.num_columns == 1 and table.column(0).null_count:
        # Why: a line without any value is blank, and readers pass over blank lines.
        filled = table.column(0).cast(pa.string()).fill_null("")
        return table.set_column(0, table.column_names[0], filled)
    return table

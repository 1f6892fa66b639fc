"""Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from millstream.model.column_names import checked_column_names
from millstream.model.partition import Columns, Partition
from millstream.sources.formats.file_format import FileFormat, FileRecords, OnMalformed

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class ParquetFormat(FileFormat[dict[str, Any]]):
    """Each row is a record, a dict by column name.

    Args:
        columns: only these columns, which every file must have; None: all.
        on_malformed: what happens to a row group that cannot be read: `fail`, or `skip` its rows. It goes for a
            whole file that is no Parquet, or lacks a column.

    Raises:
        ConfigurationError: the columns are no list of names.
    """

    name: ClassVar[str] = "Parquet"

    def __init__(self, columns: Sequence[str] | None = None, on_malformed: OnMalformed = "fail") -> None:
        super().__init__(on_malformed)
        self.columns: list[str] | None = None
        if columns is not None:
            otherwise = ", or None for all columns"
            self.columns = checked_column_names(columns, "the columns of Parquet files", otherwise=otherwise)

    def read(self, path: str, content: bytes | None = None) -> FileRecords[dict[str, Any]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with open(path, "rb") if content is None else pa.BufferReader(content) as stream:
            try:
                with pq.ParquetFile(stream) as file:
                    self._check_columns(path, file.schema_arrow)
                    return self._read(path, file)
            except pa.ArrowException as error:
                raise self.unreadable(path, error) from error
            except OSError as error:
                if error.errno is not None:
                    raise
                # Why: Arrow raises it without a number when it cannot understand what it read.
                raise self.unreadable(path, error) from error

    def _read(self, path: str, file: pq.ParquetFile) -> FileRecords[dict[str, Any]]:
        import pyarrow as pa

        groups: list[pa.Table] = []
        invalid, first, start = 0, "", 0
        for number in range(file.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            try:
                group = file.read_row_group(number, columns=self.columns)
                group.validate(full=True)
                groups.append(group)
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                first = first or f"row group {number}, rows {start} to {start + rows - 1}: {error}"
                invalid += rows
            start += rows
        if not groups:
            groups.append(file.schema_arrow.empty_table())
        return self.records(Partition(Columns(pa.concat_tables(groups), scalar=False)), path, invalid, first)

    def _check_columns(self, path: str, schema: pa.Schema) -> None:
        missing = [name for name in self.columns or () if name not in schema.names]
        if missing:
            raise self.unreadable(path, f"it has no column {', '.join(missing)}, but {', '.join(schema.names)}.")

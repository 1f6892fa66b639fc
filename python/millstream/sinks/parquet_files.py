"""Records as Parquet files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from millstream.errors import ArgumentTypeError, ConfigurationError
from millstream.model.partition import VALUE_COLUMN, Columns, Partition
from millstream.sinks.manifest_files import ManifestFiles

if TYPE_CHECKING:
    import pyarrow as pa

COMPRESSIONS = ("zstd", "snappy", "gzip", "brotli", "lz4", "none")


class ParquetFiles(ManifestFiles[Any]):
    """Writes the records of each partition as one Parquet file.

    Records that are dicts become a column for each key; all others the one column `value`. Types are found file
    by file, so give a schema where a column may be empty, or whole in one batch and broken in another.

    Args:
        path: the directory; see `ManifestFiles` for what lies in it.
        schema: the columns and their types, or None.
        compression: `zstd`, `snappy`, `gzip`, `brotli`, `lz4` or `none`.
        empty_batches: write a manifest for batches without records too.
        storage_options: settings of an object store; see `ManifestFiles`.
    """

    kind: ClassVar[str] = "parquet"
    extension: ClassVar[str] = ".parquet"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        schema: pa.Schema | None = None,
        compression: str = "zstd",
        empty_batches: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(path, empty_batches=empty_batches, storage_options=storage_options)
        if compression not in COMPRESSIONS:
            raise ConfigurationError(
                "Parquet files cannot be compressed in this way.",
                detail=f"compression={compression!r}.",
                hint=f"Give one of {', '.join(COMPRESSIONS)}.",
            )
        self._schema = schema
        self._compression = compression

    def write(self, data: Partition[Any], file: BinaryIO) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = self._table(data)
        except (pa.ArrowException, TypeError, ValueError, KeyError, OverflowError) as error:
            raise ArgumentTypeError(
                "Records cannot be written as Parquet.",
                detail=str(error),
                hint="Each column needs values of one type: map() the records to dicts of such, or give a schema.",
            ) from error
        content = pa.BufferOutputStream()
        pq.write_table(table, content, compression=self._compression)
        file.write(content.getvalue())

    def _table(self, data: Partition[Any]) -> pa.Table:
        import pyarrow as pa

        schema = self._schema
        if schema is None:
            return data.table()
        if isinstance(data.data, Columns):
            return data.table().select(schema.names).cast(schema)
        rows = list(data.rows())
        if all(type(row) is dict for row in rows):
            return pa.Table.from_pylist(rows, schema=schema)
        return pa.table({VALUE_COLUMN: rows}, schema=schema)


def read_parquet(content: bytes) -> pa.Table:
    """Give the records of a file that `ParquetFiles` wrote."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(pa.BufferReader(content))

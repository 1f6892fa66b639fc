"""Avro files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from millstream.errors import ConfigurationError
from millstream.model.column_names import checked_column_names
from millstream.model.partition import Partition
from millstream.sources.formats.file_format import FileFormat, FileRecords, OnMalformed

if TYPE_CHECKING:
    from fastavro import block_reader


class AvroFormat(FileFormat[Any]):
    """Each datum of an Avro object container file is a record: a dict, where the schema of the file is a record.

    Each file is read by the schema that is in it. Logical types become Python's: dates and times (with UTC), `Decimal`,
    `UUID`. Blocks may be compressed as the file says: `null` and `deflate` always, other methods where the library
    that unpacks them is installed.

    Args:
        columns: only these fields, which every file must have; None: all.
        on_malformed: what happens to a block that cannot be read: `fail`, or `skip` what is left of the file from it
            on, because the next block cannot be found. It goes for a whole file that is no Avro, or lacks a field.

    Raises:
        ConfigurationError: the columns are no list of names, or fastavro is not installed.

    Example:
        >>> import fastavro, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "a.avro")
        >>> schema = {"type": "record", "name": "Sale", "fields": [{"name": "id", "type": "string"}]}
        >>> with path.open("wb") as file:
        ...     fastavro.writer(file, schema, [{"id": "007"}])
        >>> list(AvroFormat().read(str(path)).partition.rows())
        [{'id': '007'}]
    """

    name: ClassVar[str] = "Avro"
    invalid_text: ClassVar[str] = "malformed blocks"

    def __init__(self, columns: Sequence[str] | None = None, on_malformed: OnMalformed = "fail") -> None:
        super().__init__(on_malformed)
        self.columns: list[str] | None = None
        if columns is not None:
            otherwise = ", or None for all fields"
            self.columns = checked_column_names(columns, "the columns of Avro files", otherwise=otherwise)
        _library()

    def read(self, path: str, content: bytes | None = None) -> FileRecords[Any]:
        with open(path, "rb") if content is None else io.BytesIO(content) as file:
            return self._read(path, file)

    def _read(self, path: str, file: BinaryIO) -> FileRecords[Any]:
        fastavro = _library()
        try:
            blocks: block_reader = fastavro.block_reader(file)
        except OSError as error:
            if error.errno is not None:
                raise
            raise self.unreadable(path, error) from error
        except Exception as error:  # What it raises depends on where the bytes are wrong.
            raise self.unreadable(path, error) from error
        self._check_fields(path, blocks.writer_schema)
        records: list[Any] = []
        invalid, first = 0, ""
        number, start = 0, file.tell()
        reading = _read_blocks(blocks)
        while True:
            try:
                found = next(reading, None)
            except OSError as error:
                if error.errno is not None:
                    raise
                invalid, first = 1, _place(number, len(records), start, error)
                break
            except Exception as error:
                invalid, first = 1, _place(number, len(records), start, error)
                break
            if found is None:
                break
            records += found
            number, start = number + 1, file.tell()
        return self.records(Partition(self._chosen(records)), path, invalid, first)

    def _chosen(self, records: list[Any]) -> list[Any]:
        if self.columns is None:
            return records
        return [{name: record[name] for name in self.columns} for record in records]

    def _check_fields(self, path: str, schema: Any) -> None:
        if self.columns is None:
            return
        fields = schema.get("fields") if isinstance(schema, dict) else None
        if fields is None:
            raise self.unreadable(path, "its schema is no record, so that it has no fields to choose.")
        names = [field["name"] for field in fields]
        missing = [name for name in self.columns if name not in names]
        if missing:
            raise self.unreadable(path, f"it has no field {', '.join(missing)}, but {', '.join(names)}.")


def _read_blocks(blocks: block_reader) -> Iterator[list[Any]]:
    for block in blocks:
        yield list(block)


def _place(number: int, records: int, start: int, error: Exception) -> str:
    return f"block {number} at byte {start}, behind {records} records: {type(error).__name__}: {error}"


def _library() -> Any:
    try:
        import fastavro
    except ImportError as error:
        raise ConfigurationError(
            "Avro files need fastavro, which is not installed.",
            detail=str(error),
            hint="pip install 'millstream[avro]'",
        ) from error
    return fastavro

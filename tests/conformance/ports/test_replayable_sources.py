from __future__ import annotations

import csv
import gzip
import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import fastavro
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millstream.environment.obstore_client import obstore_of
from millstream.model.ports.replayable_source import ReplayableSource
from millstream.sources.files import FileSource
from millstream.sources.formats.avro_format import AvroFormat
from millstream.sources.formats.binary_records_format import BinaryRecordsFormat
from millstream.sources.formats.csv_format import CsvFormat
from millstream.sources.formats.file_format import FileFormat
from millstream.sources.formats.json_lines_format import JsonLinesFormat
from millstream.sources.formats.parquet_format import ParquetFormat
from millstream.sources.formats.text_format import TextFormat
from millstream.testing.conformance import ListSource, ReplayableSourceSuite


class TestListSource(ReplayableSourceSuite):
    @pytest.fixture(autouse=True)
    def outside(self) -> None:
        self.list: list[Any] = []

    def make_source(self) -> ReplayableSource[Any]:
        return ListSource(self.list)

    def add(self, records: list[Any]) -> None:
        self.list.extend(records)


class TestTextFiles(ReplayableSourceSuite):
    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.files = 0

    def make_source(self) -> ReplayableSource[Any]:
        return FileSource(self.path, TextFormat())

    def add(self, records: list[Any]) -> None:
        self.files += 1
        (self.path / f"{self.files:03d}.txt").write_text("".join(f"{record}\n" for record in records))


class TestCompressedTextFiles(TestTextFiles):
    def add(self, records: list[Any]) -> None:
        self.files += 1
        content = "".join(f"{record}\n" for record in records).encode()
        (self.path / f"{self.files:03d}.txt.gz").write_bytes(gzip.compress(content))


class FilesSuite(ReplayableSourceSuite):
    format: ClassVar[FileFormat[Any]]
    suffix: ClassVar[str]

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.files = 0

    def make_source(self) -> ReplayableSource[Any]:
        return FileSource(self.path, self.format, recursive=True)

    def record(self, number: int) -> Any:
        return {"number": str(number), "text": f'line\n"{number}", ß'}

    def add(self, records: list[Any]) -> None:
        self.files += 1
        # Why beside it: a file that is seen half written would be refused.
        staged = self.path / "_staged"
        self.write(records, staged)
        staged.rename(self.path / f"{self.files:03d}{self.suffix}")

    @abstractmethod
    def write(self, records: list[Any], path: Path) -> None: ...


class TestJsonLinesFiles(FilesSuite):
    format = JsonLinesFormat()
    suffix = ".jsonl"

    def write(self, records: list[Any], path: Path) -> None:
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))


class TestCompressedJsonLinesFiles(FilesSuite):
    format = JsonLinesFormat()
    suffix = ".jsonl.gz"

    def write(self, records: list[Any], path: Path) -> None:
        path.write_bytes(gzip.compress("".join(f"{json.dumps(record)}\n" for record in records).encode()))


class TestCsvFiles(FilesSuite):
    format = CsvFormat()
    suffix = ".csv"

    def write(self, records: list[Any], path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["number", "text"])
            writer.writeheader()
            writer.writerows(records)


class TestParquetFiles(FilesSuite):
    format = ParquetFormat()
    suffix = ".parquet"

    def write(self, records: list[Any], path: Path) -> None:
        pq.write_table(pa.Table.from_pylist(records), path)


class TestAvroFiles(FilesSuite):
    format = AvroFormat()
    suffix = ".avro"

    def write(self, records: list[Any], path: Path) -> None:
        fields = [{"name": name, "type": "string"} for name in ("number", "text")]
        with path.open("wb") as file:
            fastavro.writer(file, {"type": "record", "name": "Line", "fields": fields}, records)


class TestListedTextFiles(TestTextFiles):
    def make_source(self) -> ReplayableSource[Any]:
        return FileSource(self.path, TextFormat(), watch=False)


class TestObjects(TestTextFiles):
    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.url = f"memory://{tmp_path}"
        self.files = 0

    def make_source(self) -> ReplayableSource[Any]:
        return FileSource(self.url, TextFormat())

    def add(self, records: list[Any]) -> None:
        self.files += 1
        content = "".join(f"{record}\n" for record in records).encode()
        obstore.put(obstore_of(self.url), f"{self.files:03d}.txt", content)


class TestObjectsWithGrowingNames(TestObjects):
    def make_source(self) -> ReplayableSource[Any]:
        return FileSource(self.url, TextFormat(), names_grow=True)


class TestBinaryRecordsFiles(FilesSuite):
    format = BinaryRecordsFormat(3)
    suffix = ".bin"

    def record(self, number: int) -> Any:
        return number.to_bytes(3, "big")

    def write(self, records: list[Any], path: Path) -> None:
        path.write_bytes(b"".join(records))

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from millstream.model.ports.sink import Sink
from millstream.sinks.csv_files import CsvFiles
from millstream.sinks.json_files import JsonFiles
from millstream.sinks.manifest_files import ManifestFiles
from millstream.sinks.parquet_files import ParquetFiles
from millstream.sinks.pickle_files import PickleFiles
from millstream.sinks.read_committed import read_committed
from millstream.sinks.text_files import TextFiles
from millstream.testing.conformance import MemorySink, SinkSuite


class TestMemorySink(SinkSuite):
    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.sink_place = str(uuid.uuid4())

    def make_sink(self) -> Sink[Any]:
        return MemorySink(self.sink_place)

    def committed(self) -> Sequence[Any]:
        return MemorySink(self.sink_place).records()


class FileSuite(SinkSuite):
    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "out"
        self.path.mkdir()

    def committed(self) -> Sequence[Any]:
        records: list[Any] = read_committed(self.path)
        return records


class TestTextFiles(FileSuite):
    def make_sink(self) -> Sink[Any]:
        return TextFiles(self.path)


class TestTextFilesWithEmptyBatches(FileSuite):
    def make_sink(self) -> Sink[Any]:
        return TextFiles(self.path, empty_batches=True)


class TestTextFilesByPrefix(FileSuite):
    def make_sink(self) -> ManifestFiles[Any]:
        return TextFiles.by_prefix(self.path / "counts", "txt")


class TestJsonFiles(FileSuite):
    def record(self, number: int) -> Any:
        return {"number": number, "text": "line\nbreak ß"}

    def make_sink(self) -> Sink[Any]:
        return JsonFiles(self.path)


class TestParquetFiles(FileSuite):
    def record(self, number: int) -> Any:
        return {"number": number, "text": "line\nbreak ß"}

    def make_sink(self) -> Sink[Any]:
        return ParquetFiles(self.path)

    def committed(self) -> Sequence[Any]:
        table = read_committed(self.path)
        return table if isinstance(table, list) else table.to_pylist()


class TestCsvFiles(FileSuite):
    def record(self, number: int) -> Any:
        return {"number": str(number), "text": 'line\r\n"break", ß', "none": None, "empty": ""}

    def make_sink(self) -> Sink[Any]:
        return CsvFiles(self.path)


class TestPickleFiles(FileSuite):
    def record(self, number: int) -> Any:
        return {number: {("a", 1.5), b"\xff"}}

    def make_sink(self) -> Sink[Any]:
        return PickleFiles(self.path)

    def committed(self) -> Sequence[Any]:
        records: list[Any] = read_committed(self.path, allow_pickle=True)
        return records

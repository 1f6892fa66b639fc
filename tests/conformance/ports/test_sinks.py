from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from millstream.model.ports.sink import Sink
from millstream.sinks.csv_files import CsvFiles
from millstream.sinks.json_files import JsonFiles
from millstream.sinks.manifest_files import ManifestFiles
from millstream.sinks.parquet_files import ParquetFiles
from millstream.sinks.pickle_files import PickleFiles
from millstream.sinks.read_committed import read_committed
from millstream.sinks.sql.sql_sink import SqlSink
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


class SqlSuite(SinkSuite):
    url: str

    def record(self, number: int) -> Any:
        return {"number": number, "text": "tab\t, line\nbreak, \\N, ß"}

    def make_table(self) -> None:
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE records (number INTEGER PRIMARY KEY, text TEXT)")
        engine.dispose()

    def make_sink(self) -> Sink[Any]:
        return SqlSink(self.url, "records")

    def committed(self) -> Sequence[Any]:
        engine = sa.create_engine(self.url)
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT number, text FROM records ORDER BY number")
            seen = [dict(row) for row in rows.mappings()]
        engine.dispose()
        return seen


class TestSqlite(SqlSuite):
    @pytest.fixture(autouse=True)
    def database(self, tmp_path: Path) -> None:
        self.url = f"sqlite:///{tmp_path}/records.db"
        self.make_table()


class TestPostgres(SqlSuite):
    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url
        self.make_table()


class Upserts(SqlSuite):
    def make_sink(self) -> Sink[Any]:
        return SqlSink(self.url, "records", mode="upsert", columns=["number", "text"])


class TestSqliteUpsert(Upserts, TestSqlite):
    """The same with rows that are replaced by key."""


class TestPostgresUpsert(Upserts, TestPostgres):
    """The same with rows that are replaced by key."""

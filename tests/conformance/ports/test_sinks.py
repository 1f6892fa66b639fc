from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.servers.s3_server import S3Server

from millstream.model.ports.sink import Sink
from millstream.sinks.csv_files import CsvFiles
from millstream.sinks.json_files import JsonFiles
from millstream.sinks.manifest_files import ManifestFiles
from millstream.sinks.parquet_files import ParquetFiles
from millstream.sinks.pickle_files import PickleFiles
from millstream.sinks.read_committed import read_committed
from millstream.sinks.sql import sql_sink
from millstream.sinks.sql.row_writers import AnyRows
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


class ObjectSuite(SinkSuite):
    """Files of one kind on an S3 server."""

    @pytest.fixture(autouse=True)
    def bucket(self, s3_server: S3Server) -> None:
        self.url = f"s3://{s3_server.new_bucket()}/out/records"
        self.options: dict[str, Any] | None = s3_server.options

    def make_sink(self) -> Sink[Any]:
        return TextFiles(self.url, storage_options=self.options)

    def committed(self) -> Sequence[Any]:
        records = read_committed(self.url, storage_options=self.options, allow_pickle=True)
        return records if isinstance(records, list) else records.to_pylist()


class TestTextObjects(ObjectSuite):
    """Text."""


class TestTextObjectsByPrefix(ObjectSuite):
    def make_sink(self) -> Sink[Any]:
        return TextFiles.by_prefix(f"{self.url}/counts", "txt", storage_options=self.options)


class MemoryObjectSuite(ObjectSuite):
    """Files of one kind in a store that this process holds: what does not depend on the kind of store."""

    @pytest.fixture(autouse=True)
    def bucket(self) -> None:
        self.url = f"memory://{uuid.uuid4()}"
        self.options = None


class TestTextObjectsInMemory(MemoryObjectSuite):
    """Text."""


class TestTextObjectsWithEmptyBatches(MemoryObjectSuite):
    def make_sink(self) -> Sink[Any]:
        return TextFiles(self.url, empty_batches=True)


class TestJsonObjects(MemoryObjectSuite):
    record = TestJsonFiles.record

    def make_sink(self) -> Sink[Any]:
        return JsonFiles(self.url, storage_options=self.options)


class TestParquetObjects(ObjectSuite):
    record = TestParquetFiles.record

    def make_sink(self) -> Sink[Any]:
        return ParquetFiles(self.url, storage_options=self.options)


class TestCsvObjects(MemoryObjectSuite):
    record = TestCsvFiles.record

    def make_sink(self) -> Sink[Any]:
        return CsvFiles(self.url, storage_options=self.options)


class TestPickleObjects(MemoryObjectSuite):
    record = TestPickleFiles.record

    def make_sink(self) -> Sink[Any]:
        return PickleFiles(self.url, storage_options=self.options)


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
    def database(self, postgres_schema_url: str) -> None:
        self.url = postgres_schema_url
        self.make_table()


class Upserts(SqlSuite):
    def make_sink(self) -> Sink[Any]:
        return SqlSink(self.url, "records", mode="upsert", columns=["number", "text"])


class TestSqliteUpsert(Upserts, TestSqlite):
    """The same with rows that are replaced by key."""


class TestPostgresUpsert(Upserts, TestPostgres):
    """The same with rows that are replaced by key."""


class ThroughSqlAlchemy(SqlSuite):
    """The way that every other database takes."""

    @pytest.fixture(autouse=True)
    def way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sql_sink, "writer_for", lambda dialect, table, key: AnyRows(table, key))
        monkeypatch.setattr(sql_sink, "converter_for", lambda dialect, column: None)


class TestSqliteThroughSqlAlchemy(ThroughSqlAlchemy, TestSqlite):
    """Rows that are added."""


class TestSqliteUpsertThroughSqlAlchemy(ThroughSqlAlchemy, Upserts, TestSqlite):
    """Rows that are replaced by key."""


class TestPostgresUpsertThroughSqlAlchemy(ThroughSqlAlchemy, Upserts, TestPostgres):
    """Rows that are replaced by key."""

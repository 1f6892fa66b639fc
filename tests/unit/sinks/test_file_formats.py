from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millstream.errors import ArgumentTypeError, ConfigurationError, DataError
from millstream.model.batch import Batch
from millstream.model.partition import Columns, Partition
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.json_files import JsonFiles
from millstream.sinks.manifest_files import ManifestFiles
from millstream.sinks.parquet_files import ParquetFiles
from millstream.sinks.read_committed import read_committed
from millstream.sinks.text_files import TextFiles

T1 = 1_763_801_714_000


def written(sink: ManifestFiles[Any], *parts: Any) -> Any:
    sink.open(SinkLineage("lineage-1", "out"))
    batch = Batch(T1)
    sink.commit(batch, [sink.stage(batch, index, Partition(part)) for index, part in enumerate(parts)])
    return read_committed(sink.path)


def column(*values: Any, **options: Any) -> Columns:
    return Columns(pa.table({"value": pa.array(values, **options)}), scalar=True)


def test_text_is_one_line_a_record(tmp_path: Path) -> None:
    rows = ["a", "", "ß\r", 1, ("k", 2.5), None, b"bytes"]
    assert written(TextFiles(tmp_path), rows, [""]) == ["a", "", "ß\r", "1", "('k', 2.5)", "None", "bytes", ""]


def test_text_columns_are_written_as_they_are(tmp_path: Path) -> None:
    chunked = Columns(pa.table({"value": pa.chunked_array([["a", "ß"], ["", "d"]])}), scalar=True)
    large = column("e", type=pa.large_string())
    assert written(TextFiles(tmp_path), chunked, large, column(1, 2)) == ["a", "ß", "", "d", "e", "1", "2"]


def test_text_columns_with_nulls_are_written_like_rows(tmp_path: Path) -> None:
    assert written(TextFiles(tmp_path), column("a", None)) == ["a", "None"]


@pytest.mark.parametrize("rows", [["a", "b\nc"], [b"b\nc"], column("a", "b\nc")])
def test_a_record_with_a_line_end_is_no_line(tmp_path: Path, rows: Any) -> None:
    with pytest.raises(DataError, match="cannot be written as one line") as caught:
        written(TextFiles(tmp_path), rows)
    assert r"b\nc" in str(caught.value)
    assert "JSON" in str(caught.value)
    assert list(tmp_path.rglob("*.txt")) == []


@pytest.mark.parametrize("record", [b"\xff", "\ud800"])
def test_a_record_that_is_not_utf8_is_no_line(tmp_path: Path, record: Any) -> None:
    with pytest.raises(DataError, match="not UTF-8"):
        written(TextFiles(tmp_path), ["a", record])


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: float


def test_json_is_one_line_a_record(tmp_path: Path) -> None:
    rows = [{"a": [1, "b\nc", None]}, ("k", 2.5), 7, Point(1, 2.0), Colour.RED]
    assert written(JsonFiles(tmp_path), rows) == [{"a": [1, "b\nc", None]}, ["k", 2.5], 7, {"x": 1, "y": 2.0}, "red"]
    (file,) = tmp_path.rglob("*.jsonl")
    assert file.read_text().count("\n") == 5


def test_json_of_other_values_is_text(tmp_path: Path) -> None:
    at = datetime.datetime(2025, 11, 22, 8, 55, tzinfo=datetime.UTC)
    rows = [at, decimal.Decimal("1.50"), uuid.UUID(int=5), b"\xff", float("nan")]
    assert written(JsonFiles(tmp_path), rows) == [
        "2025-11-22T08:55:00Z",
        "1.50",
        "00000000-0000-0000-0000-000000000005",
        "/w==",
        None,
    ]


@pytest.mark.parametrize("record", [object(), {"deep": [1, {2j}]}, {(1, 2): 3}])
def test_a_record_that_json_has_not_got_is_named(tmp_path: Path, record: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="cannot be written as JSON") as caught:
        written(JsonFiles(tmp_path), [{"fine": 1}, record])
    assert repr(record)[:50] in str(caught.value)


def test_parquet_has_a_column_for_each_key(tmp_path: Path) -> None:
    table = written(ParquetFiles(tmp_path), [{"a": 1}, {"a": 2, "b": "x"}], [{"c": 1.5}])
    assert table.to_pylist() == [
        {"a": 1, "b": None, "c": None},
        {"a": 2, "b": "x", "c": None},
        {"a": None, "b": None, "c": 1.5},
    ]


def test_parquet_of_plain_values_is_one_column(tmp_path: Path) -> None:
    table = written(ParquetFiles(tmp_path), [1, 2], column(3))
    assert table.to_pydict() == {"value": [1, 2, 3]}


def test_parquet_keeps_to_a_schema(tmp_path: Path) -> None:
    schema = pa.schema({"a": pa.float64(), "b": pa.string()})
    columns = Columns(pa.table({"b": ["y"], "a": [3], "other": [0]}), scalar=False)
    table = written(ParquetFiles(tmp_path, schema=schema), [{"a": 1}], [{"b": "x"}], columns)
    assert table.schema.equals(schema)
    assert table.to_pydict() == {"a": [1.0, None, 3.0], "b": [None, "x", "y"]}


@pytest.mark.parametrize(
    ("rows", "schema"),
    [
        ([1, "a"], None),
        ([{"a": 1}, {"a": "b"}], None),
        ([object()], None),
        ([2**70], None),
        ([{"a": "text"}], {"a": pa.int64()}),
        (Columns(pa.table({"b": [1]}), scalar=False), {"a": pa.int64()}),
        ([1], {"a": pa.int64()}),
    ],
)
def test_records_without_a_common_type_cannot_be_parquet(tmp_path: Path, rows: Any, schema: Any) -> None:
    sink = ParquetFiles(tmp_path, schema=None if schema is None else pa.schema(schema))
    with pytest.raises(ArgumentTypeError, match="cannot be written as Parquet") as caught:
        written(sink, rows)
    assert caught.value.hint


def test_an_unknown_compression_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be compressed"):
        ParquetFiles(tmp_path, compression="zip")


def test_files_of_several_kinds_need_a_choice(tmp_path: Path) -> None:
    written(TextFiles(tmp_path), ["a"])
    json_sink = JsonFiles(tmp_path)
    json_sink.open(SinkLineage("lineage-1", "json"))
    json_sink.commit(Batch(T1), [json_sink.stage(Batch(T1), 0, Partition([1]))])
    with pytest.raises(ConfigurationError, match="several kinds"):
        read_committed(tmp_path)
    assert read_committed(tmp_path, output="json") == [1]

from __future__ import annotations

import csv
import datetime
import decimal
from collections import namedtuple
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millstream.errors import ArgumentTypeError, ConfigurationError
from millstream.model.batch import Batch
from millstream.model.partition import Columns, Partition
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.csv_files import CsvFiles
from millstream.sinks.read_committed import read_committed
from millstream.sources.formats.csv_format import CsvFormat

T1 = 1_763_801_714_000

Point = namedtuple("Point", ["x", "y"])


def written(path: Path, *parts: Any, **options: Any) -> list[Any]:
    sink = CsvFiles(path, **options)
    sink.open(SinkLineage("lineage-1", "out"))
    batch = Batch(T1)
    sink.commit(batch, [sink.stage(batch, index, Partition(part)) for index, part in enumerate(parts)])
    records: list[Any] = read_committed(path)
    return records


def content(path: Path) -> str:
    (file,) = path.rglob("*.csv")
    return file.read_bytes().decode()


def test_dicts_become_a_column_for_each_key(tmp_path: Path) -> None:
    rows = [{"a": "x", "b": 1}, {"b": 2, "c": 0.5}]
    assert written(tmp_path, rows) == [{"a": "x", "b": "1", "c": None}, {"a": None, "b": "2", "c": "0.5"}]
    assert content(tmp_path) == '"a","b","c"\n"x",1,\n,2,0.5\n'


def test_tuples_have_numbered_or_given_names(tmp_path: Path) -> None:
    assert written(tmp_path / "a", [("to", 2)], [["be", 1]]) == [{"_1": "to", "_2": "2"}, {"_1": "be", "_2": "1"}]
    assert written(tmp_path / "b", [("to", 2)], columns=["word", "n"]) == [{"word": "to", "n": "2"}]
    assert written(tmp_path / "c", [Point(1, 2)]) == [{"x": "1", "y": "2"}]


def test_other_records_are_values(tmp_path: Path) -> None:
    assert written(tmp_path, [1, 2]) == [{"value": "1"}, {"value": "2"}]


def test_columns_choose_and_order(tmp_path: Path) -> None:
    columns = Columns(pa.table({"b": [2], "c": [3]}), scalar=False)
    assert written(tmp_path, [{"b": 1, "c": 2, "a": 0}], columns, columns=["a", "b"]) == [
        {"a": "0", "b": "1"},
        {"a": None, "b": "2"},
    ]


def test_none_is_told_from_an_empty_text(tmp_path: Path) -> None:
    rows = [{"a": "", "b": None}, {"a": None, "b": ""}]
    assert written(tmp_path, rows) == rows


def test_a_single_column_has_no_blank_lines(tmp_path: Path) -> None:
    assert written(tmp_path, ["a", None, ""]) == [{"value": "a"}, {"value": ""}, {"value": ""}]


def test_other_readers_understand_quotes_and_line_ends(tmp_path: Path) -> None:
    rows = [{'a,\n"': 'x\r\n"y", ß', "b": "\r"}, {'a,\n"': " ", "b": "7"}]
    assert written(tmp_path, rows) == rows
    (file,) = tmp_path.rglob("*.csv")
    with file.open(newline="") as lines:
        assert list(csv.DictReader(lines)) == rows
    assert list(CsvFormat().read(str(file)).partition.rows()) == rows


def test_values_of_many_types(tmp_path: Path) -> None:
    row = {
        "d": datetime.date(2024, 1, 2),
        "t": datetime.datetime(2024, 1, 2, 3, 4, 5, 6),
        "n": decimal.Decimal("1.50"),
        "b": True,
    }
    assert written(tmp_path, [row]) == [
        {"d": "2024-01-02", "t": "2024-01-02 03:04:05.000006", "n": "1.50", "b": "true"}
    ]


@pytest.mark.parametrize(
    ("rows", "options", "detail"),
    [
        ([{"a": [1]}], {}, "list<"),
        ([{"a": b"x"}], {}, "'a' holds values of type binary"),
        ([{"a": datetime.timedelta(1)}], {}, "duration"),
        ([{"a": 1}, {"a": "x"}], {}, "'x'"),
        ([{"a": 2**70}], {}, "too large"),
        ([(1, 2), (3,)], {}, "(3,) has 1 values, and there are 2 columns"),
        ([(1, 2)], {"columns": ["a"]}, "(1, 2) has 2 values, and there are 1 columns"),
        ([{}], {}, "no keys"),
    ],
)
def test_what_has_no_form_in_csv_is_refused(
    tmp_path: Path, rows: list[Any], options: dict[str, Any], detail: str
) -> None:
    with pytest.raises(ArgumentTypeError, match="cannot be written as CSV") as caught:
        written(tmp_path, rows, **options)
    assert detail in str(caught.value)
    assert list(tmp_path.rglob("*.csv")) == []


@pytest.mark.parametrize("columns", ["ab", [], ["a", "a"], [1], 7])
def test_columns_that_are_no_names_are_refused(tmp_path: Path, columns: Any) -> None:
    with pytest.raises(ConfigurationError, match="not a list of different names"):
        CsvFiles(tmp_path, columns=columns)

from __future__ import annotations

import datetime
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millstream.errors import ConfigurationError, DataError
from millstream.model.partition import Columns
from millstream.sources.formats.csv_format import CsvFormat
from millstream.sources.formats.file_format import FileRecords, MalformedFileError


def read(tmp_path: Path, content: bytes, name: str = "a.csv", **options: Any) -> FileRecords[dict[str, Any]]:
    path = tmp_path / name
    path.write_bytes(content)
    return CsvFormat(**options).read(str(path))


def rows(tmp_path: Path, content: bytes, **options: Any) -> list[dict[str, Any]]:
    return list(read(tmp_path, content, **options).partition.rows())


def test_values_are_text_in_columns(tmp_path: Path) -> None:
    found = read(tmp_path, "id,name\n007,ß\n1,2024-01-01\n,\n".encode())
    assert isinstance(found.partition.data, Columns)
    assert list(found.partition.rows()) == [
        {"id": "007", "name": "ß"},
        {"id": "1", "name": "2024-01-01"},
        {"id": "", "name": ""},
    ]


def test_quotes_hold_delimiters_quotes_and_line_ends(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf"a,\nx",b\r\n"1\r\n2","say ""hi"", you"\r\n\r\n3,4'
    assert rows(tmp_path, content) == [{"a,\nx": "1\r\n2", "b": 'say "hi", you'}, {"a,\nx": "3", "b": "4"}]


def test_types_are_given_by_name(tmp_path: Path) -> None:
    types = {
        "i": int, "f": float, "b": bool, "s": str, "d": datetime.date, "t": datetime.datetime,
        "n": pa.int8(), "other": int,
    }  # fmt: skip
    content = b"i,f,b,s,d,t,n\n1,1.5,true,7,2024-01-02,2024-01-02 03:04:05,3\n,,,,,,\n"
    full, empty = rows(tmp_path, content, types=types)
    assert full == {
        "i": 1, "f": 1.5, "b": True, "s": "7", "d": datetime.date(2024, 1, 2),
        "t": datetime.datetime(2024, 1, 2, 3, 4, 5), "n": 3,
    }  # fmt: skip
    assert empty == dict.fromkeys("ifbsdtn") | {"s": ""}


def test_columns_name_files_without_a_header(tmp_path: Path) -> None:
    assert rows(tmp_path, b"1;2\n", columns=["a", "b"], delimiter=";") == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("content", [b"a,b", b"a,b\n", b"a,b\r\n\r\n"])
def test_a_header_alone_is_no_record(tmp_path: Path, content: bytes) -> None:
    found = read(tmp_path, content)
    assert (len(found.partition), found.invalid) == (0, 0)


MALFORMED: list[tuple[bytes, dict[str, Any], int, str]] = [
    (b"a,b\n1,2\n3\n5,6\n", {}, 3, "1 values, not 2"),
    (b"a,b\n1,2\n3,4,5\n5,6\n", {}, 3, "3 values, not 2"),
    (b"a,b\n1,2\n\n\n5,6\n\xff,x\n", {}, 4, r"column 'a' has b'\xff', which is no UTF-8"),
    (b"a,b\n1,2\n3,4\n5,6\n", {"types": {"a": pa.int8(), "b": bool}}, 2, "column 'b' has b'2', which is no bool"),
    (b"a,b\n1,2\nx,9\n5,6\n", {"types": {"a": int}}, 3, "column 'a' has b'x', which is no int64"),
    (b'a,b\n1,2\n5,6\nx,"9\n5,6\n7,8\n', {}, 4, "a quote is opened and never closed"),
    (b'1,2\n5,6\n"x,9\n', {"columns": ["a", "b"]}, 3, "a quote is opened and never closed"),
]


@pytest.mark.parametrize(("content", "options", "row", "problem"), MALFORMED)
def test_a_malformed_row_is_named(
    tmp_path: Path, content: bytes, options: dict[str, Any], row: int, problem: str
) -> None:
    with pytest.raises(DataError, match="record of a CSV file is malformed") as caught:
        read(tmp_path, content, **options)
    assert f"{tmp_path / 'a.csv'}, row {row}: {problem}" in str(caught.value)


def test_malformed_rows_of_all_kinds_can_be_left_out(tmp_path: Path) -> None:
    content = b'a,b\n1,2\n3\n4,5,6\nx,7\n8,\xff\n9,10\n11,"open\n12,13\n'
    found = read(tmp_path, content, types={"a": int}, on_malformed="skip")
    assert list(found.partition.rows()) == [{"a": 1, "b": "2"}, {"a": 9, "b": "10"}]
    assert found.invalid == 5
    assert found.first.startswith("row 3: 1 values")


def test_blank_lines_before_the_header_are_passed_over(tmp_path: Path) -> None:
    assert rows(tmp_path, b"\n\r\na,b\n1,2\n") == [{"a": "1", "b": "2"}]


def test_a_stray_quote_in_a_value_is_part_of_it(tmp_path: Path) -> None:
    assert rows(tmp_path, b'a,b\n5" pipe,2\n3,4\n') == [{"a": '5" pipe', "b": "2"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"a,a\n1,2\n", "'a' twice"), (b"\xff,b\n1,2\n", "can't encode"), (b"\n\n", "no header line")],
)
def test_a_file_whose_header_is_none_is_refused_whole(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(MalformedFileError, match="CSV file cannot be read") as caught:
        read(tmp_path, content)
    assert problem in str(caught.value)
    assert str(tmp_path / "a.csv") in str(caught.value)


def test_compressed_files_are_unpacked(tmp_path: Path) -> None:
    assert rows(tmp_path, gzip.compress(b"a\n1\n"), name="a.csv.gz") == [{"a": "1"}]


@pytest.mark.parametrize(
    "options",
    [
        {"columns": "ab"},
        {"columns": []},
        {"columns": ["a", "a"]},
        {"columns": [1]},
        {"types": [int]},
        {"types": {"a": "int"}},
        {"types": {"a": list}},
        {"delimiter": ""},
        {"delimiter": ",,"},
        {"delimiter": "\n"},
        {"on_malformed": "replace"},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CsvFormat(**options)
    assert caught.value.hint

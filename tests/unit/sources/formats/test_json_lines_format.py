from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import pytest

from millstream.errors import DataError
from millstream.model.partition import Columns
from millstream.sources.formats.file_format import FileRecords, MalformedFileError
from millstream.sources.formats.json_lines_format import JsonLinesFormat


def read(tmp_path: Path, content: bytes, policy: Any = "fail", name: str = "a.jsonl") -> FileRecords[Any]:
    path = tmp_path / name
    path.write_bytes(content)
    return JsonLinesFormat(policy).read(str(path))


def rows(tmp_path: Path, content: bytes, policy: Any = "fail") -> list[Any]:
    return list(read(tmp_path, content, policy).partition.rows())


def is_columns(found: FileRecords[Any]) -> bool:
    return isinstance(found.partition.data, Columns)


def test_objects_stay_columns_and_lack_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, b'{"a": 1, "b": {"c": [1, 2]}}\n{"a": null, "d": true}\n')
    assert is_columns(found)
    assert list(found.partition.rows()) == [
        {"a": 1, "b": {"c": [1, 2]}, "d": None},
        {"a": None, "b": None, "d": True},
    ]


@pytest.mark.parametrize("text", ["2024-01-01", "2024-01-01 00:00:00", "2024-01-01T00:00:00Z"])
def test_text_that_looks_like_a_time_stays_text(tmp_path: Path, text: str) -> None:
    content = f'{{"a": "{text}", "b": {{"c": ["{text}"]}}}}\n'.encode()
    found = read(tmp_path, content)
    assert is_columns(found)
    assert list(found.partition.rows()) == [{"a": text, "b": {"c": [text]}}]


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 12345678901234567890}\n',
        b'{"a": 9007199254740993}\n{"a": 0.5}\n',
        b'{"a": {"b": [9007199254740993, 0.5]}}\n',
    ],
)
def test_no_digit_of_a_whole_number_is_lost(tmp_path: Path, content: bytes) -> None:
    assert str(9007199254740993) in str(rows(tmp_path, content)) or "12345678901234567890" in str(
        rows(tmp_path, content)
    )


def test_keys_with_values_of_several_types_make_python_objects(tmp_path: Path) -> None:
    found = read(tmp_path, b'{"a": 1}\n{"a": "x"}\n{"b": [1, "y"]}\n')
    assert not is_columns(found)
    assert list(found.partition.rows()) == [{"a": 1, "b": None}, {"a": "x", "b": None}, {"a": None, "b": [1, "y"]}]


def test_lines_may_hold_any_value(tmp_path: Path) -> None:
    assert rows(tmp_path, b'1\n"x"\n[1, 2]\n{"a": 1}\nnull\n') == [1, "x", [1, 2], {"a": 1}, None]


def test_blank_lines_and_other_line_ends_are_passed_over(tmp_path: Path) -> None:
    assert rows(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"a": 2}') == [{"a": 1}, {"a": 2}]
    assert rows(tmp_path, b"\n \n") == []
    assert rows(tmp_path, b"{}\n{}\n") == [{}, {}]


def test_what_python_writes_for_floats_is_read(tmp_path: Path) -> None:
    first, second = rows(tmp_path, b'{"a": NaN}\n{"a": -Infinity}\n')
    assert math.isnan(first["a"])
    assert second["a"] == -math.inf
    assert rows(tmp_path, b'{"a": Infinity}\n{"a": "x"}\n')[0]["a"] == math.inf


MALFORMED = [
    (b'{"a": 1}\n{"a": \n{"a": 3}\n', 2),
    (b'{"a": 1}\n{"a": 2} {"a": 2}\n{"a": 3}\n', 2),
    (b'{"a": 1}\n{"a":\n2}\n{"a": 3}\n', 2),
    (b'{"a": 1}\n\n{"a": "\xff"}\n{"a": 3}\n', 3),
    (b'{"a": 1}\n{"a": 3}\n{"a": "cut of', 3),
]


@pytest.mark.parametrize(("content", "line"), MALFORMED)
def test_a_malformed_line_is_named(tmp_path: Path, content: bytes, line: int) -> None:
    with pytest.raises(DataError, match="record of a JSON lines file is malformed") as caught:
        read(tmp_path, content)
    assert f"{tmp_path / 'a.jsonl'}, line {line}: " in str(caught.value)
    assert 'on_malformed="skip"' in str(caught.value)


@pytest.mark.parametrize(("content", "line"), MALFORMED)
def test_a_malformed_line_can_be_left_out(tmp_path: Path, content: bytes, line: int) -> None:
    found = read(tmp_path, content, "skip")
    assert is_columns(found)
    assert list(found.partition.rows()) == [{"a": 1}, {"a": 3}]
    assert found.invalid >= 1
    assert found.first.startswith(f"line {line}: ")


def test_compressed_files_are_unpacked(tmp_path: Path) -> None:
    found = read(tmp_path, gzip.compress(b'{"a": 1}\n'), name="a.jsonl.gz")
    assert list(found.partition.rows()) == [{"a": 1}]
    with pytest.raises(MalformedFileError, match="cannot be unpacked"):
        read(tmp_path, b"no gzip", name="b.jsonl.gz")

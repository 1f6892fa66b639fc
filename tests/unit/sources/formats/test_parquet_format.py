from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millstream.errors import ConfigurationError, DataError
from millstream.model.partition import Columns
from millstream.sources.formats.file_format import MalformedFileError
from millstream.sources.formats.parquet_format import ParquetFormat


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "a.parquet")
    table = pa.table({"id": list(range(6)), "tag": list("abcdef")})
    pq.write_table(table, path, row_group_size=2, compression="none", use_dictionary=False)
    return path


def test_rows_are_dicts_and_stay_columns(path: str) -> None:
    found = ParquetFormat().read(path)
    assert isinstance(found.partition.data, Columns)
    assert list(found.partition.rows())[:2] == [{"id": 0, "tag": "a"}, {"id": 1, "tag": "b"}]
    assert len(found.partition) == 6


def test_columns_can_be_chosen(path: str) -> None:
    assert next(iter(ParquetFormat(["tag"]).read(path).partition.rows())) == {"tag": "a"}
    with pytest.raises(MalformedFileError) as caught:
        ParquetFormat(["tag", "none"]).read(path)
    assert f"{path}: it has no column none, but id, tag." in str(caught.value)


def test_a_single_column_named_value_is_a_column_like_others(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"value": [1]}), path)
    assert list(ParquetFormat().read(path).partition.rows()) == [{"value": 1}]


def test_a_file_without_rows_has_no_records(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": pa.array([], pa.int64())}), path)
    assert len(ParquetFormat().read(path).partition) == 0


@pytest.mark.parametrize("damage", ["cut", "no parquet", "empty"])
def test_a_file_that_is_no_parquet_is_refused_whole(path: str, damage: str) -> None:
    content = {"cut": Path(path).read_bytes()[:-20], "no parquet": b"id,tag\n1,a\n" * 9, "empty": b"x"}[damage]
    Path(path).write_bytes(content)
    with pytest.raises(MalformedFileError, match="Parquet file cannot be read") as caught:
        ParquetFormat().read(path)
    assert path in str(caught.value)


def test_a_damaged_row_group_is_named_or_left_out(path: str) -> None:
    meta = pq.ParquetFile(path).metadata.row_group(1).column(1)
    content = bytearray(Path(path).read_bytes())
    content[meta.data_page_offset : meta.data_page_offset + 12] = b"\xff" * 12
    Path(path).write_bytes(bytes(content))
    with pytest.raises(DataError, match="malformed") as caught:
        ParquetFormat().read(path)
    assert f"{path}, row group 1, rows 2 to 3: " in str(caught.value)
    found = ParquetFormat(on_malformed="skip").read(path)
    assert [row["id"] for row in found.partition.rows()] == [0, 1, 4, 5]
    assert found.invalid == 2


@pytest.mark.parametrize("columns", ["id", [], [1]])
def test_columns_that_are_no_names_are_refused(columns: Any) -> None:
    with pytest.raises(ConfigurationError):
        ParquetFormat(columns)

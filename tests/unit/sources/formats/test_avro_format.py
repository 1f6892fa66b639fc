from __future__ import annotations

import datetime
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import fastavro
import pytest

from millstream.errors import ConfigurationError, DataError
from millstream.sources.formats.avro_format import AvroFormat
from millstream.sources.formats.file_format import MalformedFileError

SALE: dict[str, Any] = {
    "type": "record",
    "name": "Sale",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "tags", "type": ["null", {"type": "array", "items": "string"}], "default": None},
    ],
}


def sale(number: int) -> dict[str, Any]:
    at = datetime.datetime(2026, 11, 22, 12, number, tzinfo=datetime.UTC)
    return {"id": f"00{number}", "at": at, "price": Decimal("1.50"), "tags": ["new"] if number else None}


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Give a file of ten records in five blocks."""
    place = tmp_path / "a.avro"
    with place.open("wb") as file:
        writer = fastavro.write.Writer(file, SALE, codec="deflate")
        for number in range(10):
            writer.write(sale(number))
            if number % 2:
                writer.dump()
    return str(place)


def blocks_of(path: str) -> list[Any]:
    with open(path, "rb") as file:
        return list(fastavro.block_reader(file))


def damage(path: str, how: str) -> None:
    content = bytearray(Path(path).read_bytes())
    blocks = blocks_of(path)
    if how == "third block":
        at = blocks[2].offset + 4
        content[at : at + 20] = b"\xff" * 20
    elif how == "cut":
        del content[blocks[2].offset + 4 :]
    elif how == "sync":
        end = blocks[2].offset + blocks[2].size
        content[end - 8 : end] = b"\x00" * 8
    elif how == "header":
        del content[10:]
    else:
        content[:] = how.encode()
    Path(path).write_bytes(content)


def rows(path: str, on_malformed: Literal["fail", "skip"] = "fail", **options: Any) -> list[Any]:
    return list(AvroFormat(on_malformed=on_malformed, **options).read(path).partition.rows())


def test_each_datum_is_a_record_with_values_of_python(path: str) -> None:
    assert rows(path) == [sale(number) for number in range(10)]


def test_what_an_object_store_holds_is_read_the_same(path: str) -> None:
    found = AvroFormat().read("s3://bucket/a.avro", Path(path).read_bytes())
    assert list(found.partition.rows()) == rows(path)


def test_fields_can_be_chosen(path: str) -> None:
    assert rows(path, columns=["tags", "id"])[:2] == [{"tags": None, "id": "000"}, {"tags": ["new"], "id": "001"}]


def test_a_field_that_a_file_has_not_got_is_named(path: str) -> None:
    with pytest.raises(MalformedFileError, match="it has no field price2, but id, at, price, tags"):
        rows(path, columns=["id", "price2"])


def test_a_schema_that_is_no_record(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        fastavro.writer(file, "long", [1, 2])
    assert rows(str(tmp_path / "a")) == [1, 2]
    with pytest.raises(MalformedFileError, match="its schema is no record"):
        rows(str(tmp_path / "a"), columns=["id"])


def test_a_file_without_records(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        fastavro.writer(file, SALE, [])
    assert rows(str(tmp_path / "a")) == []


@pytest.mark.parametrize("how", ["third block", "cut", "sync"])
def test_a_damaged_block_is_named_by_its_place_or_ends_the_file(path: str, how: str) -> None:
    start = blocks_of(path)[2].offset
    damage(path, how)
    with pytest.raises(DataError, match="A record of an Avro file is malformed") as caught:
        rows(path)
    assert f"{path}, block 2 at byte {start}, behind 4 records: " in str(caught.value)
    found = AvroFormat(on_malformed="skip").read(path)
    assert list(found.partition.rows()) == [sale(number) for number in range(4)]
    assert found.invalid == 1


@pytest.mark.parametrize("how", ["header", "no Avro at all"])
def test_a_file_that_is_no_avro_is_refused_whole(path: str, how: str) -> None:
    damage(path, how)
    with pytest.raises(MalformedFileError, match="An Avro file cannot be read"):
        rows(path)


def test_without_fastavro_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(ConfigurationError, match="not installed") as caught:
        AvroFormat()
    assert "millstream[avro]" in str(caught.value)


@pytest.mark.parametrize("columns", ["id", [], [1], ["id", "id"]])
def test_columns_that_are_no_names_are_refused(columns: Any) -> None:
    with pytest.raises(ConfigurationError, match="not a list of different names"):
        AvroFormat(columns)

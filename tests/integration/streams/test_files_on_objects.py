"""Streams of files on an object store: a real S3 server."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.servers.s3_server import S3Server

import millstream as ms
from millstream.environment.object_reader import ObjectReader
from millstream.environment.obstore_client import obstore_of
from millstream.errors import ConfigurationError, DataError, SourceUnavailableError
from millstream.model.positions import PositionChange
from millstream.sources.files import FileSource
from millstream.sources.formats.text_format import TextFormat
from millstream.testing import ManualClock

T1 = 1_763_801_714_000
ROWS: list[dict[str, Any]] = [{"id": "001", "text": 'a "b"'}, {"id": "002", "text": "ß"}]


@pytest.fixture
def url(s3_server: S3Server) -> str:
    return f"s3://{s3_server.new_bucket()}/in/sales"


def put(server: S3Server, url: str, name: str, content: bytes) -> None:
    obstore.put(obstore_of(url, server.options), name, content)


def as_text() -> bytes:
    return "".join(f"{row['id']} {row['text']}\n" for row in ROWS).encode()


def as_json_lines() -> bytes:
    return "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def as_csv() -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["id", "text"])
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


def as_parquet() -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), content)
    return content.getvalue()


def as_avro() -> bytes:
    content = io.BytesIO()
    fields = [{"name": name, "type": "string"} for name in ROWS[0]]
    fastavro.writer(content, {"type": "record", "name": "Sale", "fields": fields}, ROWS)
    return content.getvalue()


def as_zstandard(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("format", "content", "packings"),
    [
        ("text", as_text, {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}),
        ("jsonl", as_json_lines, {"": bytes, ".xz": lzma.compress, ".zst": as_zstandard}),
        ("csv", as_csv, {"": bytes, ".gz": gzip.compress}),
        ("parquet", as_parquet, {"": bytes}),
        ("avro", as_avro, {"": bytes}),
    ],
)
def test_every_format_is_read_in_a_stream(
    s3_server: S3Server,
    url: str,
    backend_name: Any,
    format: Any,
    content: Callable[[], bytes],
    packings: dict[str, Callable[[bytes], bytes]],
) -> None:
    put(s3_server, url, "old", b"there before the start")
    clock = ManualClock()
    seen: list[list[str]] = []
    with ms.StreamingContext(1.0, environment=ms.Environment(clock), backend=backend_name) as ssc:
        stream = ssc.file_stream(url, format, storage_options=s3_server.options)
        stream.map(lambda row: row if isinstance(row, str) else f"{row['id']} {row['text']}").collect_to(seen)
        ssc.start()
        clock.advance(1.0)
        for suffix, packed in packings.items():
            put(s3_server, url, f"new{suffix}", packed(content()))
            clock.advance(1.0)
    lines = [f"{row['id']} {row['text']}" for row in ROWS]
    assert seen == [[], *([lines] * len(packings))]


def opened(server: S3Server, url: str, **options: Any) -> FileSource[str]:
    source = FileSource(url, TextFormat(), storage_options=server.options, **options)
    source.open(None)
    return source


def names(plan: Any, url: str) -> list[str]:
    return [split.data["path"].removeprefix(f"{url}/") for split in plan.splits]


def test_folders_below_are_left_out_unless_asked_for(s3_server: S3Server, url: str) -> None:
    flat, deep = opened(s3_server, url), opened(s3_server, url, recursive=True)
    for name in ("a", "2026/b", "_staged/c", ".hidden", "empty"):
        put(s3_server, url, name, b"" if name == "empty" else b"x\n")
    assert names(flat.plan(T1, None, None), url) == ["a"]
    assert sorted(names(deep.plan(T1, None, None), url)) == ["2026/b", "a"]


def test_an_object_that_is_replaced_before_it_was_read_is_refused(s3_server: S3Server, url: str) -> None:
    source = opened(s3_server, url)
    put(s3_server, url, "a", b"one\n")
    plan = source.plan(T1, None, None)
    put(s3_server, url, "a", b"two\n")
    with pytest.raises(DataError, match="changed since its batch was planned"):
        source.read(plan.splits[0])


def test_an_object_that_is_gone_follows_the_policy(s3_server: S3Server, url: str) -> None:
    for policy in ("fail", "skip"):
        source = opened(s3_server, url, on_missing=policy)
        put(s3_server, url, policy, b"one\n")
        plan = source.plan(T1, None, None)
        obstore.delete(obstore_of(url, s3_server.options), policy)
        if policy == "skip":
            assert list(source.read(plan.splits[0]).rows()) == []
        else:
            with pytest.raises(DataError, match="gone before its batch read it"):
                source.read(plan.splits[0])


def test_growing_names_are_listed_from_the_greatest_on(s3_server: S3Server, url: str) -> None:
    for number in range(5):
        put(s3_server, url, f"{number:04d}", b"x\n")
    source = opened(s3_server, url, names_grow=True, new_files_only=False)
    first = source.plan(T1, None, 3)
    assert names(first, url) == ["0000", "0001", "0002"]
    assert first.position == {f"{url}/0002": T1}
    second = source.plan(T1 + 1, first.position, 3)
    assert names(second, url) == ["0003", "0004"]
    assert second.position == PositionChange({f"{url}/0004": T1 + 1}, (f"{url}/0002",))
    put(s3_server, url, "0003-late", b"never read\n")
    put(s3_server, url, "0005", b"x\n")
    assert names(source.plan(T1 + 2, second.position, None), url) == ["0005"]


def test_a_store_that_does_not_answer_is_waited_for(s3_server: S3Server, url: str) -> None:
    options = {**s3_server.options, "endpoint": "http://127.0.0.1:1", "timeout": "1s"}
    source = FileSource(url, TextFormat(), storage_options=options)
    place: Any = source._place
    place._opened = ObjectReader(url, options, retry_s=0.1)
    with pytest.raises(SourceUnavailableError, match="does not answer"):
        source.open(None)


def test_no_bucket_and_what_is_no_store_are_refused(s3_server: S3Server, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot list"):
        opened(s3_server, "s3://no-such-bucket/in")
    with pytest.raises(ConfigurationError, match="does not know this kind of place"):
        FileSource("hdfs://name/in", TextFormat())
    for options in ({"names_grow": True}, {"storage_options": {"region": "x"}}):
        with pytest.raises(ConfigurationError, match="is for object stores"):
            FileSource(tmp_path, TextFormat(), **options)

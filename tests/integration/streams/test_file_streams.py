"""Files that appear in a directory, through whole streams on every backend."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.errors import ConfigurationError, DataError, SourceUnavailableError, UserCodeError
from millstream.model.partition import Columns
from millstream.observe.events import BatchCompleted
from millstream.testing import ManualClock


def appear(directory: Path, name: str, content: bytes) -> Path:
    """Have a whole file appear, as programs should."""
    hidden = directory / f".{name}"
    hidden.write_bytes(content)
    return hidden.rename(directory / name)


class Counts(ms.StreamingListener):
    def __init__(self) -> None:
        self.invalid: dict[int, dict[str, int]] = {}
        self.records: dict[int, dict[str, int]] = {}

    def on_batch_completed(self, event: BatchCompleted) -> None:
        if event.invalid:
            self.invalid[event.batch_time_ms] = dict(event.invalid)
        self.records[event.batch_time_ms] = dict(event.records)


def test_each_file_is_read_once_by_the_batch_in_which_it_appears(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path
) -> None:
    appear(tmp_path, "before.txt", b"before\n")
    seen: list[list[str]] = []
    either.text_file_stream(tmp_path).collect_to(seen)
    either.start()
    old = appear(tmp_path, "old.txt", b"old\r\ntimes")
    os.utime(old, (1, 1))
    clock.advance(1.0)
    appear(tmp_path, "b.txt", b"b\n")
    appear(tmp_path, "_half.txt", b"no\n")
    clock.advance(2.0)
    assert seen == [["old", "times"], ["b"], []]


def test_a_batch_takes_no_more_files_than_it_is_allowed(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path
) -> None:
    for n in range(5):
        os.utime(appear(tmp_path, f"{n}.txt", f"{n}\n".encode()), (n, n))
    seen: list[list[str]] = []
    either.text_file_stream(tmp_path, new_files_only=False, max_files_per_batch=2).collect_to(seen)
    either.start()
    clock.advance(3.0)
    assert seen == [["0", "1"], ["2", "3"], ["4"]]


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_directory_that_is_none_keeps_the_stream_from_starting(
    either: ms.StreamingContext, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "inbox"
    if kind == "file":
        place.write_text("no directory")
    either.text_file_stream(place).collect_to([])
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        either.start()
    text = str(caught.value)
    assert str(place) in text
    assert ("does not exist" if kind == "missing" else "is a file") in text
    assert "Hint: Give a directory" in text
    assert either.state == "initialized"
    place.unlink(missing_ok=True)
    place.mkdir()
    either.start()
    assert ms.StreamingContext.active() is either


def test_a_directory_that_may_not_be_read_keeps_the_stream_from_starting(
    either: ms.StreamingContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Why not chmod: tests may run as a user who may read everything.
    monkeypatch.setattr(os, "access", lambda *given, **more: False)
    either.text_file_stream(tmp_path).collect_to([])
    with pytest.raises(ConfigurationError, match="may not be read by this user") as caught:
        either.start()
    assert "Hint: " in str(caught.value)


def test_a_directory_that_goes_away_is_waited_for_then_the_stream_stops(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    seen: list[list[str]] = []
    either.text_file_stream(inbox).collect_to(seen)
    either.start()
    clock.advance(1.0)
    inbox.rmdir()
    clock.advance(5.0)
    with pytest.raises(SourceUnavailableError, match="cannot be listed") as caught:
        either.await_termination(0)
    for words in (str(inbox), "(2000 ms) of the stream 'main'", "Hint: Bring the directory back"):
        assert words in str(caught.value)
    assert seen == [[]]


@pytest.mark.parametrize("on_missing", ["fail", "skip"])
def test_a_file_that_vanishes_between_listing_and_reading(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path, on_missing: Any
) -> None:
    seen: list[list[str]] = []

    def remove(rdd: ms.RDD[int]) -> None:
        if not rdd.is_empty():
            (tmp_path / "gone.txt").unlink()

    # Outputs run in order, so the file is listed, then removed, then read.
    either.queue_stream([[], [1]]).foreach_rdd(remove)
    either.text_file_stream(tmp_path, on_missing=on_missing).collect_to(seen)
    either.start()
    appear(tmp_path, "stays.txt", b"one\n")
    clock.advance(1.0)
    appear(tmp_path, "gone.txt", b"two\n")
    appear(tmp_path, "here.txt", b"three\n")
    clock.advance(2.0)
    if on_missing == "skip":
        assert seen == [["one"], ["three"], []]
        return
    with pytest.raises(DataError, match="gone before its batch read it") as caught:
        either.await_termination(0)
    for words in (str(tmp_path / "gone.txt"), "(2000 ms) of the stream 'main'", 'on_missing="skip"'):
        assert words in str(caught.value)
    assert seen == [["one"]]


@pytest.mark.parametrize(("policy", "expected"), [("replace", ["good", "b\ufffdd", "end"]), ("skip", ["good", "end"])])
def test_invalid_lines_of_files_are_replaced_or_skipped_and_counted(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path, policy: Any, expected: list[str]
) -> None:
    seen: list[list[str]] = []
    counts = Counts()
    either.add_listener(counts)
    lines = either.text_file_stream(tmp_path, on_invalid=policy, name="inbox")
    lines.collect_to(seen)
    failing = [True]
    # A second attempt counts them again, and only its count is told.
    lines.foreach_rdd(lambda rdd: failing and rdd.count() and failing.pop() and 1 // 0)
    either.start()
    clock.advance(1.0)
    appear(tmp_path, "a.txt", b"good\nb\xffd\n")
    appear(tmp_path, "b.txt", b"end\n")
    clock.advance(2.0)
    assert seen == [[], expected, []]
    either.stop()
    assert counts.invalid == {2_000: {"inbox": 1}}
    assert counts.records == {1_000: {"inbox": 0}, 2_000: {"inbox": len(expected)}, 3_000: {"inbox": 0}}


def test_records_that_only_reading_can_count_are_told(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path
) -> None:
    counts = Counts()
    either.add_listener(counts)
    lines = either.text_file_stream(tmp_path, name="inbox")
    lines.foreach_rdd(lambda rdd, batch: [rdd.count(), rdd.collect()] if batch.time_ms < 3_000 else rdd.take(1))
    either.start()
    for second in range(1, 4):
        appear(tmp_path, f"{second}a.txt", b"x\n" * second)
        appear(tmp_path, f"{second}b.txt", b"y\n")
        clock.advance(1.0)
    either.stop()
    # In the last batch one file was not read, so nobody knows.
    assert counts.records == {1_000: {"inbox": 2}, 2_000: {"inbox": 3}, 3_000: {}}


def test_an_invalid_line_of_a_file_can_fail_the_stream(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path
) -> None:
    either.text_file_stream(tmp_path, on_invalid="fail").collect_to([])
    either.start()
    path = appear(tmp_path, "a.txt", b"good\nb\xffd\n")
    clock.advance(3.0)
    with pytest.raises(DataError, match="not UTF-8") as caught:
        either.await_termination(0)
    for words in (f"{path}, line at byte 5", "of the stream 'main'", "Hint: Convert the file"):
        assert words in str(caught.value)


def test_a_filter_that_raises_is_named(either: ms.StreamingContext, clock: ManualClock, tmp_path: Path) -> None:
    either.text_file_stream(tmp_path, filter=lambda path: bool(1 // 0)).collect_to([])
    either.start()
    path = appear(tmp_path, "a.txt", b"x\n")
    clock.advance(3.0)
    with pytest.raises(UserCodeError, match="raised ZeroDivisionError") as caught:
        either.await_termination(0)
    error = caught.value
    assert (error.operator, error.stream, error.batch_time_ms) == ("text_file_stream", "main", 1_000)
    assert str(path) in (error.record or "")


CONTENTS: dict[str, bytes] = {
    "jsonl": b'{"id": "007", "n": 1}\n{"id": "8", "n": 2}\n',
    "csv": b"id,n\n007,1\n8,2\n",
}
MALFORMED: dict[str, tuple[bytes, str]] = {
    "jsonl": (b'{"id": "9", "n": 3}\n{"id"\n', "line 2: "),
    "csv": (b"id,n\n9,3\n10\n", "row 3: 1 values, not 2"),
}
OPTIONS: dict[str, dict[str, Any]] = {"jsonl": {}, "csv": {"types": {"n": int}}}


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_files_of_a_format_are_dicts_wherever_they_appear(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path, format: Any
) -> None:
    seen: list[list[Any]] = []
    records = either.file_stream(tmp_path, format, recursive=True, **OPTIONS[format])
    records.map(lambda record: (record["id"], record["n"])).reduce_by_key(lambda a, b: a + b).collect_to(seen)
    either.start()
    below = tmp_path / "day" / "hour"
    below.mkdir(parents=True)
    appear(below, f"a.{format}", CONTENTS[format])
    appear(tmp_path, f"b.{format}.gz", gzip.compress(CONTENTS[format]))
    clock.advance(1.0)
    assert sorted(seen[0]) == [("007", 2), ("8", 4)]


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_a_malformed_record_of_a_file_stops_the_stream_or_is_left_out(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path, format: Any
) -> None:
    content, position = MALFORMED[format]
    (tmp_path / "in").mkdir()
    seen: list[list[Any]] = []
    counts = Counts()
    either.add_listener(counts)
    either.file_stream(tmp_path / "in", format, on_malformed="skip", name="skipping", **OPTIONS[format]).collect_to(
        seen
    )
    either.file_stream(tmp_path, format, **OPTIONS[format]).collect_to([])
    either.start()
    appear(tmp_path / "in", "a", content)
    clock.advance(1.0)
    assert seen == [[{"id": "9", "n": 3}]]
    path = appear(tmp_path, "a", content)
    clock.advance(5.0)
    with pytest.raises(DataError, match="is malformed") as caught:
        either.await_termination(0)
    for words in (f"{path}, {position}", "(2000 ms) of the stream 'main'", 'on_malformed="skip"'):
        assert words in str(caught.value)
    assert counts.invalid == {1_000: {"skipping": 1}}


def test_parquet_and_binary_records_come_from_files(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in ("parquet", "binary"):
        (tmp_path / name).mkdir()
    seen: list[list[Any]] = []
    either.file_stream(tmp_path / "parquet", "parquet", columns=["id"]).collect_to(seen)
    either.binary_records_stream(tmp_path / "binary", 2).map(lambda record: record.hex()).collect_to(seen)
    either.start()
    content = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": [1, 2], "x": ["a", "b"]}), content)
    appear(tmp_path / "parquet", "a", content.getvalue().to_pybytes())
    appear(tmp_path / "binary", "a", b"\x01\x02\x03\x04")
    clock.advance(1.0)
    assert seen == [[{"id": 1}, {"id": 2}], ["0102", "0304"]]
    path = appear(tmp_path / "binary", "b", b"\x01\x02\x03")
    clock.advance(3.0)
    with pytest.raises(DataError, match="binary records file cannot be read") as caught:
        either.await_termination(0)
    assert f"{path}: its 3 bytes are 1 records of 2 bytes and 1 bytes more" in str(caught.value)


def test_csv_and_pickle_files_are_written_by_streams(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path
) -> None:
    pairs = either.queue_stream([[("to", 2)], [("be", 1)]])
    pairs.save_as_csv_files(tmp_path / "csv", columns=["word", "n"])
    pairs.save_as_pickle_files(tmp_path / "pickle")
    either.start()
    clock.advance(2.0)
    assert ms.read_committed(tmp_path / "csv") == [{"word": "to", "n": "2"}, {"word": "be", "n": "1"}]
    assert ms.read_committed(tmp_path / "pickle", allow_pickle=True) == [("to", 2), ("be", 1)]


def test_lines_are_counted_without_becoming_strings(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On threads this sees all; with worker processes, that the driver makes none."""

    def rows(self: Columns) -> list[Any]:
        raise AssertionError("Strings were made.")

    monkeypatch.setattr(Columns, "rows", rows)
    seen: list[list[int]] = []
    lines = either.text_file_stream(tmp_path)
    lines.count().collect_to(seen)
    lines.union(lines).count().collect_to(seen)
    lines.count_by_window(2).collect_to(seen)
    lines.foreach_rdd(lambda rdd: seen.append([rdd.count()]))
    either.start()
    appear(tmp_path, "a.txt", b"to be\nor not\n")
    appear(tmp_path, "b.txt", b"to be\n")
    clock.advance(2.0)
    assert sorted(seen) == sorted([[3], [6], [3], [3], [0], [0], [3], [0]])


def test_lines_reach_arrow_and_polars_as_columns(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path
) -> None:
    tables: list[Any] = []
    either.text_file_stream(tmp_path).foreach_rdd(lambda rdd: tables.extend([rdd.to_arrow(), rdd.to_polars()]))
    either.start()
    appear(tmp_path, "a.txt", "zwölf\nBoxkämpfer\n".encode())
    clock.advance(1.0)
    assert tables[0].to_pydict() == {"value": ["zwölf", "Boxkämpfer"]}
    assert tables[1].to_dict(as_series=False) == {"value": ["zwölf", "Boxkämpfer"]}


def test_a_table_from_arrow_is_joined_in_every_batch(either: ms.StreamingContext, clock: ManualClock) -> None:
    import pyarrow as pa

    names = either.context.from_arrow(pa.table({"id": [1, 2], "name": ["one", "two"]}))
    pairs = names.map(lambda row: (row["id"], row["name"])).persist()
    seen: list[list[Any]] = []
    numbers = either.queue_stream([[(1, "x")], [(2, "y"), (3, "z")]])
    numbers.transform(lambda rdd: rdd.join(pairs)).collect_to(seen)
    either.start()
    clock.advance(2.0)
    assert seen == [[(1, ("x", "one"))], [(2, ("y", "two"))]]

"""A program that fails between the commits of two sinks, and goes on from its checkpoint."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import millstream as ms
from millstream.errors import DataError
from millstream.testing import ManualClock
from millstream.testing.conformance import ListSource


class Failing:
    """Takes batches until it is told to refuse one."""

    def __init__(self, refused_ms: int | None) -> None:
        self.refused_ms = refused_ms
        self.seen: list[tuple[str, list[str]]] = []

    def __call__(self, rows: list[str], batch: ms.Batch) -> None:
        self.seen.append((batch.id, rows))
        if batch.time_ms == self.refused_ms:
            raise DataError("Not this one.", detail="A test.", hint="None.")


def run(place: Path, clock: ManualClock, records: list[str], last: Failing, batches: int) -> None:
    ssc = ms.StreamingContext(1.0, name="app", checkpoint=place / "checkpoint", environment=ms.Environment(clock))
    words: ms.DStream[str] = ssc.stream(ListSource(records), limit=1, name="words")
    words.save_to_sql(f"sqlite:///{place}/words.db", "words", columns=["word"], name="sql")
    words.save_as_text_files(place / "files", name="files")
    words.foreach_batch(last, name="last")
    ssc.start()
    try:
        clock.advance(batches)
    finally:
        ssc.stop()


def test_sinks_that_had_committed_do_not_commit_again(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "words.db")
    database.execute("CREATE TABLE words (word TEXT)")
    records = ["a", "b", "c", "d"]
    clock = ManualClock(1_000)
    first = Failing(refused_ms=1_002_000)
    run(tmp_path, clock, records, first, 2)
    assert [rows for _, rows in first.seen] == [["a"], ["b"]]
    assert database.execute("SELECT word FROM words").fetchall() == [("a",), ("b",)]
    second = Failing(refused_ms=None)
    run(tmp_path, clock, records, second, 5)
    assert database.execute("SELECT word FROM words").fetchall() == [(word,) for word in records]
    assert ms.read_committed(tmp_path / "files") == records
    # The batch that failed comes again, under the id that it had.
    assert second.seen[0] == first.seen[-1]
    handed: dict[str, Any] = dict(first.seen + second.seen)
    assert [word for rows in handed.values() for word in rows] == records
    ((_, epoch),) = database.execute("SELECT last_ms, epoch FROM millstream_commits").fetchall()
    assert epoch == 2

"""A program that reads files goes on with those that no batch had, however much the journal tells of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.testing import ManualClock


class Lives:
    """One program, started again and again."""

    def __init__(self, path: Path, checkpoint_interval: float) -> None:
        self.directory = path / "in"
        self.directory.mkdir()
        self.clock = ManualClock(1_000_000.0)
        self.seen: list[str] = []
        self._checkpoint = path / "checkpoint"
        self._interval = checkpoint_interval

    def put(self, name: str) -> None:
        (self.directory / ".staged").write_text(f"{name}\n")
        (self.directory / ".staged").rename(self.directory / name)

    def run(self, *steps: Any, limit: int | None = None) -> None:
        """Run for a batch after each step; end as a crash does, without a last batch."""
        ssc = ms.StreamingContext(
            1.0,
            name="files",
            checkpoint=self._checkpoint,
            checkpoint_interval=self._interval,
            environment=ms.Environment(self.clock),
        )
        stream = ssc.file_stream(self.directory, name="in", max_files_per_batch=limit)
        stream.collect_to(self.seen.extend)
        ssc.start()
        for step in steps:
            step()
            self.clock.advance(1.0)
        ssc.stop(graceful=False)
        ssc.await_termination(0)


@pytest.mark.parametrize("checkpoint_interval", [1.0, 2.0, 3_600.0])
def test_each_file_is_in_one_batch_over_many_lives(tmp_path: Path, checkpoint_interval: float) -> None:
    lives = Lives(tmp_path, checkpoint_interval)
    lives.put("old")
    expected: list[str] = []
    for life in range(4):
        names = [f"{life}-{number}" for number in range(5)]
        lives.run(*[lambda name=name: lives.put(name) for name in names])
        expected += names
        lives.put(f"{life}-down")  # While no driver runs.
        expected.append(f"{life}-down")
        (lives.directory / f"{life}-0").unlink()
    lives.run(lambda: None)
    assert lives.seen == expected


@pytest.mark.parametrize("checkpoint_interval", [1.0, 3_600.0])
def test_a_file_that_went_in_one_life_and_comes_back_in_the_next_is_a_new_one(
    tmp_path: Path, checkpoint_interval: float
) -> None:
    lives = Lives(tmp_path, checkpoint_interval)
    lives.run(lambda: lives.put("a"), lambda: lives.put("b"), (lives.directory / "a").unlink, lambda: None)
    lives.run(lambda: None, lambda: lives.put("a"), lambda: None)
    lives.run(lambda: None)
    assert lives.seen == ["a", "b", "a"]


def test_a_backlog_goes_on_where_it_was(tmp_path: Path) -> None:
    lives = Lives(tmp_path, 1.0)

    def put_many() -> None:
        for number in range(7):
            lives.put(f"{number}")

    lives.run(lambda: None, put_many, lambda: None, limit=2)
    assert len(lives.seen) == 4
    lives.run(*[lambda: None] * 3, limit=2)
    assert sorted(lives.seen) == [f"{number}" for number in range(7)]


def test_the_journal_has_what_a_batch_changed(tmp_path: Path) -> None:
    lives = Lives(tmp_path, 3_600.0)
    for number in range(2_000):
        lives.put(f"old-{number}")
    lives.run(lambda: None)

    def journalled() -> int:
        return sum(
            len(file.read_bytes().rstrip(b"\0")) for file in (tmp_path / "checkpoint").rglob("*") if file.is_file()
        )

    before = journalled()
    lives.run(*[lambda number=number: lives.put(f"new-{number}") for number in range(10)])
    assert len(lives.seen) == 10
    assert journalled() - before < 60_000, "ten plans with all names would be ten times 80 KB"

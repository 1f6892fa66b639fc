"""Files of a watched directory: what is told, and what is listed because not all was told."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sources.test_files import count_listings, names, opened, rows

from millstream.environment.clock import ManualClock
from millstream.model.positions import PositionChange
from millstream.sources import directory_watch, local_files
from millstream.sources.directory_watch import DirectoryWatch, can_watch
from millstream.sources.file_place import FileChanges

T1 = 1_763_801_714_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="notifications are those of Linux")


def test_a_file_that_appears_is_found_without_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        (tmp_path / f"old-{number}").write_text("old\n")
    source = opened(tmp_path)
    position = source.plan(T1, None, None).position
    listed = count_listings(monkeypatch)
    seen = []
    for batch in range(20):
        staged = tmp_path / ".staged"
        staged.write_text(f"{batch}\n")
        staged.rename(tmp_path / f"new-{batch}")
        (tmp_path / f"old-{batch}").unlink()
        plan = source.plan(T1 + 1 + batch, position, None)
        assert isinstance(plan.position, PositionChange)
        assert (len(plan.position.set), len(plan.position.gone)) == (1, 1)
        position = plan.position
        seen += rows(source, plan)
    assert seen == [str(batch) for batch in range(20)]
    assert listed == []


def test_a_backlog_is_taken_by_parts_without_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(tmp_path)
    position = source.plan(T1, None, None).position
    for number in range(10):
        (tmp_path / f"{number}").write_text("x\n")
        os.utime(tmp_path / f"{number}", (number, number))
    (tmp_path / "3").unlink()
    (tmp_path / "4").write_text("written again\n")
    listed = count_listings(monkeypatch)
    taken = []
    for batch in range(4):
        plan = source.plan(T1 + 1 + batch, position, 3)
        taken += names(plan)
        rows(source, plan)
        position = plan.position
    assert taken == ["0", "1", "2", "5", "6", "7", "8", "9", "4"]
    assert (plan.splits, plan.remaining, listed) == ([], 0, [])


def test_a_plan_that_is_made_again_finds_what_the_first_one_was_told(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x\n")
    source = opened(tmp_path)
    position = source.plan(T1, None, None).position
    (tmp_path / "a").write_text("x\n")
    (tmp_path / "old").unlink()
    first = source.plan(T1 + 1, position, None)
    (tmp_path / "b").write_text("x\n")
    again = source.plan(T1 + 1, position, 1)
    assert (names(first), names(again), again.remaining) == (["a"], ["a"], 1)
    assert again.position.gone == first.position.gone == (str(tmp_path / "old"),)
    assert names(source.plan(T1 + 2, again.position, None)) == ["b"]


def test_a_file_that_goes_and_comes_back_between_two_batches_is_a_new_one(tmp_path: Path) -> None:
    source = opened(tmp_path)
    (tmp_path / "a").write_text("one\n")
    position = source.plan(T1, None, None).position
    (tmp_path / "a").unlink()
    (tmp_path / "a").write_text("two\n")
    plan = source.plan(T1 + 1, position, None)
    assert rows(source, plan) == ["two"]
    assert source.plan(T1 + 2, plan.position, None).splits == []


def test_a_filter_that_raises_loses_nothing_of_what_was_told(tmp_path: Path) -> None:
    trouble: list[str] = []
    source = opened(tmp_path, filter=lambda path: bool(1 // (not trouble)))
    position = source.plan(T1, None, None).position
    trouble.append("for a while")
    for name in "abc":
        (tmp_path / name).write_text("x\n")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        source.plan(T1 + 1, position, None)
    trouble.clear()
    assert sorted(names(source.plan(T1 + 1, position, None))) == ["a", "b", "c"]


def test_when_the_queue_of_notifications_ran_over_the_directory_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(tmp_path)
    (tmp_path / "gone").write_text("x\n")
    position = source.plan(T1, None, None).position
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    other = tmp_path / "a"
    other.write_text("x\n")
    with other.open("a") as file:
        fd = file.fileno()
        for _ in range(most // 2 + 100):  # Why two names: events that are equal to the last one are left out.
            os.rename(other, tmp_path / "b")
            os.rename(tmp_path / "b", other)
        assert fd
    (tmp_path / "gone").unlink()
    (tmp_path / "late").write_text("x\n")
    listed = count_listings(monkeypatch)
    plan = source.plan(T1 + 1, position, None)
    assert sorted(names(plan)) == ["a", "late"]
    assert plan.position.gone == (str(tmp_path / "gone"),)
    assert listed == [str(tmp_path)]
    (tmp_path / "later").write_text("x\n")
    assert names(source.plan(T1 + 2, plan.position, None)) == ["later"]
    assert listed == [str(tmp_path)]


def test_a_watched_directory_is_gone_through_now_and_then_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(tmp_path.stat().st_ctime + 60.0)
    source = opened(tmp_path, clock=clock)
    position = source.plan(T1, None, None).position
    monkeypatch.setattr(local_files, "SWEEP_ENTRIES", 4)
    monkeypatch.setattr(DirectoryWatch, "changes", lambda self: FileChanges())  # It tells nothing.
    for number in range(10):
        (tmp_path / f"{number}").write_text("x\n")
    taken: list[int] = []
    for batch in range(80):
        plan = source.plan(T1 + 1 + batch, position, None)
        position = plan.position
        taken += [batch] * len(plan.splits)
        clock.advance(1.0)
    assert taken == [60] * 4 + [61] * 4 + [62] * 2


def test_directories_below_that_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(tmp_path, recursive=True)
    position = source.plan(T1, None, None).position
    day = tmp_path / "2026" / "11"
    day.mkdir(parents=True)
    (day / "a").write_text("a\n")
    plan = source.plan(T1 + 1, position, None)
    assert rows(source, plan) == ["a"]
    listed = count_listings(monkeypatch)
    (day / "b").write_text("b\n")
    plan = source.plan(T1 + 2, plan.position, None)
    assert (rows(source, plan), listed) == (["b"], [])
    day.rename(tmp_path / "moved")
    plan = source.plan(T1 + 3, plan.position, None)
    assert sorted(names(plan)) == ["a", "b"]
    (tmp_path / "moved" / "c").write_text("c\n")
    plan = source.plan(T1 + 4, plan.position, None)
    assert [split.data["path"] for split in plan.splits] == [str(tmp_path / "moved" / "c")]


def test_a_glob_in_the_last_part_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "day-1").mkdir()
    days = opened(tmp_path / "day-*")
    logs = opened(tmp_path / "*.log")
    position = days.plan(T1, None, None).position
    logs_position = logs.plan(T1, None, None).position
    listed = count_listings(monkeypatch)
    (tmp_path / "day-1" / "a").write_text("x\n")
    (tmp_path / "day-2").mkdir()
    (tmp_path / "day-2" / "b").write_text("x\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "c").write_text("x\n")
    (tmp_path / "d.log").write_text("x\n")
    (tmp_path / "e.txt").write_text("x\n")
    assert sorted(names(days.plan(T1 + 1, position, None))) == ["a", "b"]
    assert names(logs.plan(T1 + 1, logs_position, None)) == ["d.log"]
    assert listed == [str(tmp_path / "day-2")]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p", ""])
def test_what_is_not_local_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(directory_watch, "file_system_of", lambda path: kind)
    assert not can_watch(str(tmp_path))
    source = opened(tmp_path, clock=ManualClock(tmp_path.stat().st_ctime + 60.0))
    position = source.plan(T1, None, None).position
    (tmp_path / "a").write_text("x\n")
    assert names(source.plan(T1 + 1, position, None)) == ["a"]


def test_a_limit_of_the_system_is_warned_of_and_the_directory_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import inotify_simple

    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(inotify_simple.INotify, "add_watch", refuse)
    source = opened(tmp_path)
    (tmp_path / "a").write_text("x\n")
    plan = source.plan(T1, None, None)
    (tmp_path / "b").write_text("x\n")
    assert names(source.plan(T1 + 1, plan.position, None)) == ["b"]
    assert caplog.text.count("is listed instead of watched") == 1


def test_a_directory_that_was_replaced_is_watched_anew(tmp_path: Path) -> None:
    directory = tmp_path / "in"
    directory.mkdir()
    source = opened(directory)
    position = source.plan(T1, None, None).position
    directory.rename(tmp_path / "away")
    directory.mkdir()
    (directory / "a").write_text("x\n")
    plan = source.plan(T1 + 1, position, None)
    (directory / "b").write_text("x\n")
    assert (names(plan), names(source.plan(T1 + 2, plan.position, None))) == (["a"], ["b"])
    source.close()

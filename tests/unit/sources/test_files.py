from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path
from typing import Any, Literal

import pytest

from millstream.environment.clock import ManualClock
from millstream.errors import ConfigurationError, DataError, SourceUnavailableError, UserCodeError
from millstream.model.partition import Columns
from millstream.model.ports.replayable_source import Plan
from millstream.model.positions import PositionChange, position_after
from millstream.sources.files import FileSource
from millstream.sources.formats import text_format
from millstream.sources.formats.file_format import MalformedFileError
from millstream.sources.formats.json_lines_format import JsonLinesFormat
from millstream.sources.formats.text_format import TextFormat
from millstream.sources.local_files import LocalFiles

T1 = 1_763_801_714_000


def opened(
    path: Path | str, position: Any = None, on_malformed: Literal["fail", "skip", "replace"] = "fail", **options: Any
) -> FileSource[str]:
    source = FileSource(path, TextFormat(on_malformed), **options)
    source.open(position)
    return source


def names(plan: Plan) -> list[str]:
    return [os.path.basename(split.data["path"]) for split in plan.splits]


def rows(source: FileSource[str], plan: Plan) -> list[str]:
    return [row for split in plan.splits for row in source.read(split).rows()]


def test_files_that_are_there_at_the_first_start_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("old\n")
    only_new = opened(tmp_path)
    plan = only_new.plan(T1, None, None)
    assert names(plan) == []
    assert plan.position == {str(tmp_path / "old.txt"): 0}
    everything = opened(tmp_path, new_files_only=False)
    assert names(everything.plan(T1, None, None)) == ["old.txt"]


def test_a_file_is_taken_however_old_it_is_and_however_late_it_appears(tmp_path: Path) -> None:
    source = opened(tmp_path)
    position = None
    for hour in range(100):
        position = source.plan(T1 + hour * 3_600_000, position, None).position
    late = tmp_path / "late.txt"
    late.write_text("late\n")
    os.utime(late, (1, 1))
    plan = source.plan(T1 + 101 * 3_600_000, position, None)
    assert rows(source, plan) == ["late"]
    assert source.plan(T1 + 102 * 3_600_000, plan.position, None).splits == []


def test_older_files_come_first_and_those_of_one_age_by_name(tmp_path: Path) -> None:
    source = opened(tmp_path)
    for name, age in (("c", 100), ("b", 200), ("a", 200), ("d", 50)):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (age, age))
    plan = source.plan(T1, None, None)
    assert names(plan) == ["d", "c", "a", "b"]
    assert [split.description for split in plan.splits] == [split.data["path"] for split in plan.splits]


def test_a_limit_leaves_files_for_later(tmp_path: Path) -> None:
    source = opened(tmp_path)
    for name in "abc":
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (1, 1))
    first = source.plan(T1, None, 2)
    second = source.plan(T1 + 1, first.position, 2)
    assert (names(first), first.remaining) == (["a", "b"], 1)
    assert (names(second), second.remaining) == (["c"], 0)


def test_hidden_names_directories_and_empty_files_are_left_out(tmp_path: Path) -> None:
    source = opened(tmp_path)
    for name in (".hidden", "_temporary", "seen"):
        (tmp_path / name).write_text("x\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "inner").write_text("x\n")
    (tmp_path / "empty").write_text("")
    plan = source.plan(T1, None, None)
    assert names(plan) == ["seen"]
    (tmp_path / "empty").write_text("filled\n")
    assert names(source.plan(T1 + 1, plan.position, None)) == ["empty"]


def test_a_file_that_goes_and_comes_back_is_a_new_one(tmp_path: Path) -> None:
    source = opened(tmp_path)
    file = tmp_path / "a"
    file.write_text("one\n")
    first = source.plan(T1, None, None)
    file.unlink()
    second = source.plan(T1 + 1, first.position, None)
    assert position_after(first.position, second.position) == {}
    file.write_text("two\n")
    third = source.plan(T1 + 2, second.position, None)
    assert rows(source, third) == ["two"]


def test_a_plan_tells_only_what_changed(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}").write_text("old\n")
    source = opened(tmp_path)
    first = source.plan(T1, None, None)
    assert first.position == {str(tmp_path / f"{number}"): 0 for number in range(3)}
    (tmp_path / "a").write_text("one\n")
    (tmp_path / "1").unlink()
    second = source.plan(T1 + 1, first.position, None)
    assert second.position == PositionChange({str(tmp_path / "a"): T1 + 1}, (str(tmp_path / "1"),))
    assert source.plan(T1 + 2, second.position, None).position == PositionChange()


def test_a_filter_chooses_by_path(tmp_path: Path) -> None:
    source = opened(tmp_path, filter=lambda path: path.endswith(".log"))
    (tmp_path / "a.log").write_text("a\n")
    (tmp_path / "b.txt").write_text("b\n")
    assert names(source.plan(T1, None, None)) == ["a.log"]


def test_a_filter_that_raises_is_named_with_the_path(tmp_path: Path) -> None:
    source = opened(tmp_path, filter=lambda path: 1 // 0 > 0)
    (tmp_path / "a").write_text("a\n")
    with pytest.raises(UserCodeError, match="raised ZeroDivisionError") as caught:
        source.plan(T1, None, None)
    assert str(tmp_path / "a") in str(caught.value)


def test_a_glob_of_directories_and_one_of_files(tmp_path: Path) -> None:
    for day in ("day-1", "day-2", "other"):
        (tmp_path / day).mkdir()
    days = opened(tmp_path / "day-*")
    logs = opened(tmp_path / "day-1" / "*.log")
    for day in ("day-1", "day-2", "other"):
        (tmp_path / day / f"{day}.log").write_text(f"{day}\n")
        (tmp_path / day / "x.txt").write_text("x\n")
        os.utime(tmp_path / day / "x.txt", (1, 1))
    assert names(days.plan(T1, None, None)) == ["x.txt", "x.txt", "day-1.log", "day-2.log"]
    assert names(logs.plan(T1, None, None)) == ["day-1.log"]
    (tmp_path / "day-3").mkdir()
    (tmp_path / "day-3" / "new").write_text("new\n")
    assert "new" in names(days.plan(T1, None, None))


def test_a_restarted_source_goes_on_at_its_position(tmp_path: Path) -> None:
    source = opened(tmp_path)
    (tmp_path / "a").write_text("a\n")
    position = source.plan(T1, None, None).position
    (tmp_path / "b").write_text("b\n")
    successor = opened(tmp_path, position)
    assert names(successor.plan(T1 + 1, position, None)) == ["b"]


def test_lines_are_columns_and_every_kind_of_end_ends_them(tmp_path: Path) -> None:
    source = opened(tmp_path)
    (tmp_path / "a").write_bytes("one\ntwo ß\r\nthree\rfour\x0bstill four\u2028".encode())
    plan = source.plan(T1, None, None)
    data = source.read(plan.splits[0]).data
    assert isinstance(data, Columns)
    assert data.scalar
    assert list(data.rows()) == ["one", "two ß", "three", "four\x0bstill four\u2028"]


def test_compressed_files_are_unpacked(tmp_path: Path) -> None:
    source = opened(tmp_path)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\ntwo\n") + gzip.compress(b"three"))
    assert rows(source, source.plan(T1, None, None)) == ["one", "two", "three"]


@pytest.mark.parametrize(
    "content",
    [b"no gzip at all", gzip.compress(b"x" * 1000)[:-10], b"\x1f\x8b\x08\x00" + b"?" * 40],
    ids=["no gzip", "cut off", "only a head"],
)
def test_a_compressed_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    source = opened(tmp_path)
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be unpacked") as caught:
        rows(source, source.plan(T1, None, None))
    assert "a.gz" in str(caught.value)


@pytest.mark.parametrize("name", ["a.txt", "a.gz"])
def test_invalid_utf8_follows_the_policy(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    content = b"a\n\xff\nb\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    policies: dict[Literal["replace", "skip"], list[str]] = {"replace": ["a", "\ufffd", "b"], "skip": ["a", "b"]}
    for policy, expected in policies.items():
        source = opened(tmp_path, new_files_only=False, on_malformed=policy)
        assert rows(source, source.plan(T1, None, None)) == expected
        assert "1 lines that are not UTF-8" in caplog.text
    source = opened(tmp_path, new_files_only=False, on_malformed="fail")
    with pytest.raises(DataError, match="not UTF-8") as caught:
        rows(source, source.plan(T1, None, None))
    assert "line at byte 2" in str(caught.value)


def test_a_file_that_vanished_before_it_was_read_fails_the_batch(tmp_path: Path) -> None:
    source = opened(tmp_path)
    (tmp_path / "a").write_text("one\n")
    plan = source.plan(T1, None, None)
    (tmp_path / "a").unlink()
    with pytest.raises(DataError, match="gone before its batch read it") as caught:
        rows(source, plan)
    assert "4 bytes" in str(caught.value)
    assert "on_missing" in str(caught.value)


def test_a_file_that_vanished_can_be_skipped_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = opened(tmp_path, on_missing="skip")
    (tmp_path / "a").write_text("one\n")
    (tmp_path / "b").write_text("two\n")
    plan = source.plan(T1, None, None)
    (tmp_path / "a").unlink()
    assert rows(source, plan) == ["two"]
    assert "was gone before it was read" in caplog.text


def test_a_file_that_vanishes_while_the_directory_is_listed_is_not_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(tmp_path, filter=lambda path: Path(path).unlink() or True)  # type: ignore[func-returns-value]
    (tmp_path / "a").write_text("one\n")
    assert source.plan(T1, None, None).splits == []


def test_a_file_that_grew_after_it_was_planned_is_refused_with_both_sizes(tmp_path: Path) -> None:
    source = opened(tmp_path)
    (tmp_path / "a").write_text("one\n")
    plan = source.plan(T1, None, None)
    (tmp_path / "a").write_text("one\ntwo\n")
    with pytest.raises(DataError, match="changed since its batch was planned") as caught:
        rows(source, plan)
    assert "had 4 bytes and has 8" in str(caught.value)
    assert "move it" in str(caught.value)


def test_a_file_that_was_written_again_at_the_same_size_is_refused(tmp_path: Path) -> None:
    source = opened(tmp_path)
    (tmp_path / "a").write_text("one\n")
    plan = source.plan(T1, None, None)
    os.utime(tmp_path / "a", (1, 1))
    with pytest.raises(DataError, match="changed since its batch was planned"):
        rows(source, plan)


def test_a_file_that_cannot_be_read_is_reported_as_passing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(tmp_path)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\n"))
    plan = source.plan(T1, None, None)

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(text_format, "unpacked", refuse)
    with pytest.raises(SourceUnavailableError, match="could not be read") as caught:
        rows(source, plan)
    assert "Permission denied" in str(caught.value)


def test_a_missing_directory_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, problem in ((tmp_path / "missing", "does not exist"), (tmp_path / "file", "is a file")):
        with pytest.raises(ConfigurationError, match="cannot be read") as caught:
            opened(path)
        assert caught.value.detail == f"{path} {problem}."
        assert caught.value.hint
    with pytest.raises(ConfigurationError, match="cannot be read"):
        opened(tmp_path / "missing" / "*.log")


def test_an_unreadable_directory_is_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # Why not chmod: it does not bind root.
    with pytest.raises(ConfigurationError) as caught:
        opened(tmp_path)
    assert "may not be read by this user" in str(caught.value)


def test_a_directory_that_goes_is_waited_for_and_nothing_is_forgotten(tmp_path: Path) -> None:
    directory = tmp_path / "in"
    directory.mkdir()
    source = opened(directory)
    (directory / "a").write_text("one\n")
    position = source.plan(T1, None, None).position
    directory.rename(tmp_path / "away")
    with pytest.raises(SourceUnavailableError, match="cannot be listed") as caught:
        source.plan(T1 + 1, position, None)
    assert str(directory) in str(caught.value)
    (tmp_path / "away").rename(directory)
    assert source.plan(T1 + 1, position, None).splits == []


def test_the_empty_directory_under_an_unmounted_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(tmp_path)
    (tmp_path / "a").write_text("one\n")
    position = source.plan(T1, None, None).position
    assert isinstance(source._place, LocalFiles)
    source._place._listing._devices[str(tmp_path)] += 1
    with pytest.raises(SourceUnavailableError, match="another disk"):
        source.plan(T1 + 1, position, None)


def test_executors_get_it_without_filter_and_memory(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n")
    source = opened(tmp_path, filter=lambda path: True)
    copy: FileSource[str] = pickle.loads(pickle.dumps(source))
    assert len(pickle.dumps(source)) < 1_000
    assert copy.path == source.path


def settled(path: Path) -> ManualClock:
    """Give a clock that stands where the directory's last change is long over."""
    return ManualClock(path.stat().st_ctime + 60.0)


def count_listings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    listed: list[str] = []
    scandir = os.scandir

    def counted(path: str) -> Any:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    return listed


def test_a_quiet_directory_is_not_listed_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = settled(tmp_path)
    source = opened(tmp_path, clock=clock, watch=False)
    (tmp_path / "a").write_text("one\n")
    plan = source.plan(T1, None, None)
    assert names(plan) == ["a"]
    listed = count_listings(monkeypatch)
    for batch in range(100):
        plan = source.plan(T1 + 1 + batch, plan.position, None)
        assert (plan.splits, plan.remaining, plan.position) == ([], 0, PositionChange())
    assert listed == []
    (tmp_path / "b").write_text("two\n")
    assert names(source.plan(T1 + 200, plan.position, None)) == ["b"]


def test_a_directory_that_changed_a_moment_ago_is_listed_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(tmp_path, clock=ManualClock(tmp_path.stat().st_ctime + 1.0), watch=False)
    (tmp_path / "a").write_text("one\n")
    position = source.plan(T1, None, None).position
    listed = count_listings(monkeypatch)
    for batch in range(5):
        position = source.plan(T1 + 1 + batch, position, None).position
    assert len(listed) == 5


def test_a_quiet_directory_is_listed_now_and_then_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = settled(tmp_path)
    source = opened(tmp_path, clock=clock, watch=False)
    position = source.plan(T1, None, None).position
    listed = count_listings(monkeypatch)
    for batch in range(100):
        position = source.plan(T1 + 1 + batch, position, None).position
        clock.advance(1.0)
    assert 9 <= len(listed) <= 20


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize("content", ["", "x\n"])
def test_a_file_that_waits_to_be_taken_is_looked_at_again(tmp_path: Path, content: str, watch: bool) -> None:
    wanted = [False]
    source = opened(
        tmp_path, clock=settled(tmp_path), watch=watch, filter=lambda path: bool(content == "" or wanted[0])
    )
    (tmp_path / "a").write_text(content)
    position = source.plan(T1, None, None).position
    position = source.plan(T1 + 1, position, None).position
    with (tmp_path / "a").open("a") as file:
        file.write("y\n")
    wanted[0] = True
    assert names(source.plan(T1 + 2, position, None)) == ["a"]


def test_recursive_takes_the_directories_below(tmp_path: Path) -> None:
    source = opened(tmp_path, recursive=True)
    below = tmp_path / "year" / "month"
    for directory in (below, tmp_path / "_temporary", tmp_path / ".hidden", tmp_path / "year" / "_staged"):
        directory.mkdir(parents=True)
        (directory / "a.txt").write_text(f"{directory.name}\n")
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    plan = source.plan(T1, None, None)
    assert rows(source, plan) == ["month"]
    (below.parent / "next").mkdir()
    (below.parent / "next" / "b.txt").write_text("next\n")
    assert rows(source, source.plan(T1 + 1, plan.position, None)) == ["next"]


def test_quiet_directories_below_are_not_listed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "a").write_text("one\n")
    source = opened(tmp_path, recursive=True, clock=settled(below), watch=False)
    position = source.plan(T1, None, None).position
    position = source.plan(T1 + 1, position, None).position
    listed = count_listings(monkeypatch)
    for batch in range(100):
        position = source.plan(T1 + 2 + batch, position, None).position
        assert position == PositionChange()
    assert listed == []
    (below / "b").write_text("two\n")
    assert names(source.plan(T1 + 200, position, None)) == ["b"]


def test_a_directory_below_may_go_while_it_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(tmp_path, recursive=True)
    (tmp_path / "gone").mkdir()
    (tmp_path / "a").write_text("one\n")
    scandir = os.scandir

    def too_late(path: str) -> Any:
        if path.endswith("gone"):
            os.rmdir(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", too_late)
    assert rows(source, source.plan(T1, None, None)) == ["one"]


def test_a_file_that_cannot_be_understood_is_left_out_if_the_policy_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = opened(tmp_path, on_malformed="skip")
    (tmp_path / "a.gz").write_bytes(b"no gzip at all")
    (tmp_path / "b").write_text("two\n")
    assert rows(source, source.plan(T1, None, None)) == ["two"]
    assert source.invalid == 1
    assert f"{tmp_path / 'a.gz'} is left out." in caplog.text


def test_a_file_that_grew_is_named_as_such_and_not_as_malformed(tmp_path: Path) -> None:
    source = FileSource(tmp_path, JsonLinesFormat("skip"))
    source.open(None)
    (tmp_path / "a").write_text('{"a": 1}\n{"a"')

    def read_while_it_grows(path: str, content: bytes | None = None) -> Any:
        with open(path, "a") as file:
            file.write(": 2}\n")
        raise MalformedFileError("half a line")

    plan = source.plan(T1, None, None)
    source.format.read = read_while_it_grows  # type: ignore[method-assign]
    with pytest.raises(DataError, match="changed since its batch was planned"):
        source.read(plan.splits[0])


def test_left_out_records_are_counted_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = FileSource(tmp_path, JsonLinesFormat("skip"))
    source.open(None)
    (tmp_path / "a").write_text('{"a": 1}\n{\n')
    assert list(source.read(source.plan(T1, None, None).splits[0]).rows()) == [{"a": 1}]
    assert source.invalid == 1
    assert f"{tmp_path / 'a'} has 1 malformed records. The first: line 2: " in caplog.text


@pytest.mark.parametrize("options", [{"on_missing": "wait"}])
def test_options_that_cannot_work_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="cannot have") as caught:
        FileSource(tmp_path, TextFormat(), **options)
    assert caught.value.hint

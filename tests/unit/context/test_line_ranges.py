from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from millstream.context import line_ranges
from millstream.context.line_ranges import LineRanges


def ranges(path: Path, partitions: int, *, split_small: bool = True) -> list[tuple[str, int, int]]:
    source = LineRanges(path, partitions, on_invalid="replace", split_small=split_small)
    return [(Path(s.data["path"]).name, s.data["start"], s.data["end"]) for s in source.splits()]


def test_files_are_cut_in_proportion_to_their_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 90)
    (tmp_path / "b").write_bytes(b"x" * 10)
    (tmp_path / "empty").touch()
    assert ranges(tmp_path, 1) == [("a", 0, 90), ("b", 0, 10), ("empty", 0, 0)]
    assert ranges(tmp_path, 3) == [("a", 0, 30), ("a", 30, 60), ("a", 60, 90), ("b", 0, 10), ("empty", 0, 0)]
    assert ranges(tmp_path / "b", 99) == [("b", n, n + 1) for n in range(10)]


def test_small_files_are_cut_only_when_asked_and_big_ones_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    assert ranges(tmp_path / "a", 4, split_small=False) == [("a", 0, 100)]
    monkeypatch.setattr(line_ranges, "SPLIT_BYTES_MAX", 40)
    assert ranges(tmp_path / "a", 1, split_small=False) == [("a", 0, 33), ("a", 33, 66), ("a", 66, 100)]


def test_it_is_a_source_of_one_batch_that_can_be_sent(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\ntwo\n")
    source = LineRanges(tmp_path / "a", 1, on_invalid="replace", split_small=False)
    source.open(None)
    plan = source.plan(1_000, None, None)
    assert plan.splits == source.splits()
    assert source.plan(2_000, plan.position, None).splits == []
    assert list(pickle.loads(pickle.dumps(source)).read(plan.splits[0]).rows()) == ["one", "two"]

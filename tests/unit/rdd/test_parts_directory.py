from __future__ import annotations

from pathlib import Path

import pytest

from millstream.errors import ConfigurationError, StorageUnavailableError, UserCodeError
from millstream.model.label import Label
from millstream.rdd.parts_directory import PartsDirectory
from millstream.rdd.text_parts import WriteTextPart

AT = Label("save_as_text_file", None, "app.py:3")


def test_the_directory_appears_at_the_end(tmp_path: Path) -> None:
    with PartsDirectory(tmp_path / "out") as staging:
        WriteTextPart(staging, AT)(None, 0, ["a", 1])
        assert not (tmp_path / "out").exists()
    assert [(file.name, file.read_text()) for file in (tmp_path / "out").iterdir()] == [("part-00000", "a\n1\n")]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing() -> None:
        with PartsDirectory(tmp_path / "out") as staging:
            WriteTextPart(staging, AT)(None, 0, ["a"])
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_write_at_once_one_stays_whole(tmp_path: Path) -> None:
    one, two = PartsDirectory(tmp_path / "out"), PartsDirectory(tmp_path / "out")

    def overtaken() -> None:
        with one as first:
            WriteTextPart(first, AT)(None, 0, ["first"])
            with two as second:
                assert first != second
                WriteTextPart(second, AT)(None, 0, ["second"])

    with pytest.raises(StorageUnavailableError):
        overtaken()
    assert (tmp_path / "out" / "part-00000").read_text() == "second\n"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_repeated_task_replaces_what_it_wrote(tmp_path: Path) -> None:
    with PartsDirectory(tmp_path / "out") as staging:
        for _ in range(2):
            WriteTextPart(staging, AT)(None, 3, ["a"])
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["part-00003"]


def test_paths_that_cannot_work_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link", "absent/out", "file/out"):
        with pytest.raises(ConfigurationError) as raised:
            PartsDirectory(tmp_path / name)
        assert raised.value.hint


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailableError, match="could not be written"):
        WriteTextPart(str(tmp_path / "gone"), AT)(None, 0, ["a"])


def test_a_record_without_text_is_the_users_error(tmp_path: Path) -> None:
    class Mute:
        def __str__(self) -> str:
            raise ValueError("no text")

    for record in (Mute(), "\ud800"):
        with pytest.raises(UserCodeError) as raised:
            WriteTextPart(str(tmp_path), AT)(None, 0, [record])
        assert raised.value.operator == "save_as_text_file"

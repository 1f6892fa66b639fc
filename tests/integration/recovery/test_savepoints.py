"""Programs that begin from a savepoint, and checkpoints on object stores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.blocks.opening import open_log
from millstream.environment.opening import storage_of
from millstream.errors import ConfigurationError, CorruptSegmentError, IncompatibleCheckpointError
from millstream.recovery.identity import Identity, read_identity
from millstream.recovery.log_journal import LogJournal
from millstream.recovery.savepoint import Savepoint, read_savepoint, save
from millstream.testing import ManualClock


class Sums:
    """Sums by remainder, kept for ever."""

    def __init__(self) -> None:
        self.clock = ManualClock(10.0)
        self.seen: list[list[Any]] = []

    def run(self, numbers: list[int], checkpoint: str, **options: Any) -> None:
        settings = {"name": "sums", **options}
        ssc = ms.StreamingContext(1.0, environment=ms.Environment(self.clock), checkpoint=checkpoint, **settings)
        stream = ssc.memory_stream(name="numbers")
        sums = stream.map(lambda n: (n % 2, n)).update_state_by_key(lambda new, old: (old or 0) + sum(new), name="sums")
        sums.collect_to(self.seen)
        ssc.start()
        for n in numbers:
            stream.push(n)
            self.clock.advance(1.0)
        ssc.stop(graceful=False)


def pin(place: str, name: str) -> None:
    storage = storage_of(place)
    journal = LogJournal(open_log(storage, "journal", read_only=True))
    identity, written = read_identity(storage), journal.history.checkpoint
    assert identity is not None
    assert written is not None
    save(storage, Savepoint(name, identity, written))


@pytest.fixture(params=["disk", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "app") if request.param == "disk" else f"memory://{tmp_path.name}/app"


def test_a_program_goes_on_from_its_checkpoint(place: str) -> None:
    sums = Sums()
    sums.run([1, 2], place)
    sums.run([3], place)
    assert sums.seen[-1] == [(1, 4), (0, 2)]


def test_a_new_checkpoint_begins_with_a_savepoint_and_goes_its_own_way(place: str) -> None:
    sums = Sums()
    sums.run([1], place)
    pin(place, "one")
    for n in (5, 7, 9):  # Checkpoints move on; the savepoint keeps its files.
        sums.run([n], place)
    begin = f"{place}/savepoints/one"
    sums.run([3], f"{place}-2", name="again", savepoint=begin)
    assert sums.seen[-1] == [(1, 4)]
    sums.run([3], f"{place}-2", name="again", savepoint=begin)
    assert sums.seen[-1] == [(1, 7)]
    sums.run([1], place)
    assert sums.seen[-1] == [(1, 23)]


def test_a_savepoint_that_is_not_there_is_named_with_those_that_are(place: str) -> None:
    sums = Sums()
    sums.run([1], place)
    pin(place, "one")
    with pytest.raises(ConfigurationError, match="one"):
        sums.run([], f"{place}-2", savepoint=f"{place}/savepoints/two")


@pytest.mark.parametrize("field", ["key_groups", "hash_version"])
def test_a_savepoint_with_keys_in_other_key_groups_is_refused_and_nothing_is_made(tmp_path: Path, field: str) -> None:
    sums, place = Sums(), str(tmp_path / "app")
    sums.run([1], place)
    pin(place, "one")
    storage = storage_of(place)
    good, changed = read_savepoint(storage, "one"), dict[str, Any]({field: 99})
    save(storage, Savepoint("other", replace(good.identity, **changed), good.written))
    new = str(tmp_path / "new")
    with pytest.raises(IncompatibleCheckpointError, match=r"savepoints/other has .*\b99\b(.|\n)*wrote the savepoint"):
        sums.run([3], new, savepoint=f"{place}/savepoints/other")
    assert not (tmp_path / "new" / "checkpoint.json").exists()
    # A checkpoint that was made and not begun with, as by a crash in between, does not let it pass.
    made = Identity("sums", "l", 0, "l")
    assert storage_of(new).create("checkpoint.json", made.encode())
    with pytest.raises(IncompatibleCheckpointError, match="savepoints/other"):
        sums.run([3], new, savepoint=f"{place}/savepoints/other")
    sums.run([3], new, savepoint=f"{place}/savepoints/one")
    assert sums.seen[-1] == [(1, 4)]
    # One that has begun goes on as it is, whatever savepoint= says.
    sums.run([3], new, savepoint=f"{place}/savepoints/other")
    assert sums.seen[-1] == [(1, 7)]


@pytest.mark.parametrize("savepoint", ["one", "/tmp/one"])
def test_a_savepoint_is_named_by_its_place(savepoint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="savepoints/NAME"):
        ms.StreamingContext(1.0, checkpoint=tmp_path, savepoint=savepoint)
    with pytest.raises(ConfigurationError, match="checkpoint of its own"):
        ms.StreamingContext(1.0, savepoint="a/savepoints/one")


def test_a_state_file_that_is_gone_is_an_error_and_not_an_empty_state(tmp_path: Path) -> None:
    sums = Sums()
    sums.run([1], str(tmp_path))
    for file in (tmp_path / "state").iterdir():
        file.unlink()
    with pytest.raises(CorruptSegmentError, match="missing"):
        sums.run([2], str(tmp_path))


def test_an_operator_that_got_a_new_name_keeps_its_state_and_others_are_refused(tmp_path: Path) -> None:
    clock = ManualClock(10.0)

    def run(name: str, seen: list[Any], state: ms.StateOptions | None = None, **options: Any) -> None:
        environment = ms.Environment(clock)
        ssc = ms.StreamingContext(1.0, environment=environment, checkpoint=tmp_path, name="app", **options)
        numbers = ssc.memory_stream()
        pairs = numbers.map(lambda n: ("n", n))
        pairs.update_state_by_key(lambda new, old: (old or 0) + sum(new), name=name, state=state).collect_to(seen)
        ssc.start()
        numbers.push(1)
        clock.advance(1.0)
        ssc.stop(graceful=False)

    seen: list[Any] = []
    run("first", seen)
    with pytest.raises(IncompatibleCheckpointError, match="first"):
        run("second", seen)
    for partitions in (3, 2):
        run("second", seen, ms.StateOptions(renamed_from="first"), partitions=partitions)
    assert seen == [[("n", 1)], [("n", 2)], [("n", 3)]]


def test_a_program_from_a_savepoint_can_go_on_for_its_sinks(place: str, tmp_path: Path) -> None:
    """Its drivers come after all of the earlier program, which had several."""
    clock, written = ManualClock(10.0), str(tmp_path / "written")

    def run(n: int, checkpoint: str, **options: Any) -> None:
        environment = ms.Environment(clock)
        ssc = ms.StreamingContext(1.0, name="app", environment=environment, checkpoint=checkpoint, **options)
        numbers = ssc.memory_stream(name="numbers")
        numbers.map(str).save_as_text_files(written, name="out")
        ssc.start()
        numbers.push(n)
        clock.advance(1.0)
        ssc.stop()

    for n in range(3):
        run(n, place)
    pin(place, "end")
    for n in (3, 4):
        run(n, f"{place}-2", savepoint=f"{place}/savepoints/end", continue_sinks=True)
    assert ms.read_committed(written) == list("01234")

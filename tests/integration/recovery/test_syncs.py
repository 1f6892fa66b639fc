"""How often a batch waits for the disk, as docs/recovery.md says under "The life of a batch"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.environment.local_storage import LocalAppendFile
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.recovery.checkpoint import JOURNAL_FOLDER, WAL_FOLDER
from millstream.testing import ManualClock

BATCHES = 20


class OneRecord(ReplayableSource[int]):
    """One record a batch, that can be read again."""

    name = "one record"

    def open(self, position: Any) -> None: ...

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        number = 0 if after is None else after
        return Plan([Split(number, 1)], number + 1)

    def read(self, split: Split) -> Partition[int]:
        return Partition([split.data])


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Syncs by folder of the checkpoint."""
    counts: Counter[str] = Counter()
    append, sync = LocalAppendFile.append, LocalAppendFile.sync

    def counted(call: Callable[..., None]) -> Callable[..., None]:
        def note(file: LocalAppendFile, *arguments: Sequence[bytes]) -> None:
            counts[Path(file._path).parent.name] += 1
            call(file, *arguments)

        return note

    monkeypatch.setattr(LocalAppendFile, "append", counted(append))
    monkeypatch.setattr(LocalAppendFile, "sync", counted(sync))
    return counts


def run(
    place: Path, syncs: Counter[str], program: Callable[[ms.StreamingContext], Callable[[], object]]
) -> tuple[float, float]:
    """Give the syncs a batch of journal and write-ahead log."""
    clock = ManualClock(10.0)
    ssc = ms.StreamingContext(1.0, checkpoint=place, checkpoint_interval=3_600.0, environment=ms.Environment(clock))
    push = program(ssc)
    ssc.start()
    push()
    clock.advance(1.0)
    syncs.clear()
    for _ in range(BATCHES):
        push()
        clock.advance(1.0)
    counts = dict(syncs)
    ssc.stop()
    return counts.get(JOURNAL_FOLDER, 0) / BATCHES, counts.get(WAL_FOLDER, 0) / BATCHES


def total(new: Sequence[int], old: int | None) -> int:
    return sum(new) + (old or 0)


def nothing() -> None:
    """The source gives what there is."""


def test_a_batch_without_state_waits_for_its_plan_alone(tmp_path: Path, syncs: Counter[str]) -> None:
    def program(ssc: ms.StreamingContext) -> Callable[[], object]:
        ssc.stream(OneRecord()).map(str).print(0)
        return nothing

    assert run(tmp_path, syncs, program) == (1, 0)


def test_what_changed_in_all_tables_is_one_group_with_batch_prepared(tmp_path: Path, syncs: Counter[str]) -> None:
    def program(ssc: ms.StreamingContext) -> Callable[[], object]:
        pairs = ssc.stream(OneRecord()).map(lambda n: (n % 3, n))
        pairs.update_state_by_key(total, name="one").print(0)
        pairs.update_state_by_key(total, name="two").print(0)
        pairs.window(3.0, name="recent").count().print(0)
        return nothing

    assert run(tmp_path, syncs, program) == (2, 0)


def test_blocks_that_nobody_waits_for_are_durable_together_with_the_next_plan(
    tmp_path: Path, syncs: Counter[str]
) -> None:
    def program(ssc: ms.StreamingContext) -> Callable[[], object]:
        one, two = ssc.memory_stream(name="one"), ssc.memory_stream(name="two")
        one.union(two).print(0)

        def push() -> None:
            one.push(1)
            two.push(2)

        return push

    assert run(tmp_path, syncs, program) == (1, 1)

"""The directory of a checkpoint stays within the bound that docs/recovery.md states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.blocks.open_segment import GROUP_HEADER_BYTES, RECORD_HEADER_BYTES
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.local_storage import LocalAppendFile, LocalStorage
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.storage import Storage
from millstream.errors import StorageUnavailableError
from millstream.recovery.checkpoint import JOURNAL_FOLDER, STATE_FOLDER, WAL_FOLDER
from millstream.recovery.checkpoint_writer import CheckpointWriter
from millstream.testing import ManualClock

DAY_S = 86_400
INTERVAL_S = 60.0
CHECKPOINT_INTERVAL_S = 600.0
SEGMENT_BYTES = 64 << 10
KEYS = 400


class Written:
    """How many bytes each log was given, and how many until each checkpoint."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = dict.fromkeys((JOURNAL_FOLDER, WAL_FOLDER), 0)
        self.at_checkpoints = [0, 0, 0]
        self.whole_bytes_max = 0
        counted = self.bytes
        init, enqueue = SegmentLog.__init__, SegmentLog._enqueue

        def small(log: SegmentLog, *args: Any, **options: Any) -> None:
            init(log, *args, **{**options, "segment_bytes": SEGMENT_BYTES})

        def counting(log: SegmentLog, records: list[Any], **options: Any) -> Any:
            framing = GROUP_HEADER_BYTES + RECORD_HEADER_BYTES * len(records)
            counted[log._folder] += framing + sum(len(data) for _, data in records)
            return enqueue(log, records, **options)

        monkeypatch.setattr(SegmentLog, "__init__", small)
        monkeypatch.setattr(SegmentLog, "_enqueue", counting)

    def journal_bytes_max(self) -> int:
        """The bound on the journal: what came since the older of the two checkpoints kept, and two segments."""
        return self.bytes[JOURNAL_FOLDER] - self.at_checkpoints[-3] + 2 * SEGMENT_BYTES


def test_a_day_leaves_no_more_than_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path)
    # Thousands of syncs say nothing about size.
    monkeypatch.setattr(LocalAppendFile, "append", LocalAppendFile.write)
    clock, written = ManualClock(10.0), Written(monkeypatch)
    sizes: list[tuple[int, int, int]] = []
    ssc = ms.StreamingContext(
        INTERVAL_S,
        name="day",
        checkpoint=storage,
        checkpoint_interval=CHECKPOINT_INTERVAL_S,
        environment=ms.Environment(clock),
        partitions=2,
    )
    numbers = ssc.memory_stream(name="numbers")
    pairs = numbers.map(lambda n: (n % KEYS, n))
    pairs.update_state_by_key(lambda new, old: (old or 0) + sum(new), name="sums").foreach_rdd(lambda rdd: None)
    pairs.window(1_200.0, name="recent").count().foreach_batch(lambda rows, batch: None)

    class Notes(ms.StreamingListener):
        def on_checkpoint_written(self, event: ms.CheckpointWritten) -> None:
            written.at_checkpoints.append(written.bytes[JOURNAL_FOLDER])

    ssc.add_listener(Notes())
    ssc.start()
    for batch in range(int(DAY_S / INTERVAL_S)):
        numbers.push_many(range(batch * 7, batch * 7 + 10))
        clock.advance(INTERVAL_S)
        sizes.append(measured(storage, written))
    ssc.stop()
    journal, wal, state = (max(column) for column in zip(*sizes, strict=True))
    whole = written.whole_bytes_max
    print(f"largest in {len(sizes)} batches, bytes: journal {journal}, wal {wal}, state {state} (whole file {whole})")
    print(f"at the end of the day: journal {sizes[-1][0]}, wal {sizes[-1][1]}, state {sizes[-1][2]}")
    # A bound that is never come near to would hold nothing.
    assert journal > SEGMENT_BYTES
    assert wal >= SEGMENT_BYTES
    assert state > whole > 0


def measured(storage: Storage, written: Written) -> tuple[int, int, int]:
    files = {
        folder: [storage.size_bytes(f"{folder}/{name}") for name in storage.names(folder)]
        for folder in (JOURNAL_FOLDER, WAL_FOLDER, STATE_FOLDER)
    }
    written.whole_bytes_max = max([written.whole_bytes_max, *files[STATE_FOLDER]])
    journal, wal, state = map(sum, files.values())
    assert journal <= written.journal_bytes_max()
    assert wal <= 2 * SEGMENT_BYTES
    assert state <= 3.5 * written.whole_bytes_max
    return journal, wal, state


def test_files_of_checkpoints_that_a_crash_cut_short_are_removed(tmp_path: Path) -> None:
    clock = ManualClock(10.0)

    def run() -> None:
        ssc = ms.StreamingContext(
            1.0, name="left", checkpoint=tmp_path, checkpoint_interval=1.0, environment=ms.Environment(clock)
        )
        numbers = ssc.memory_stream(name="numbers")
        pairs = numbers.map(lambda n: (n, n))
        pairs.update_state_by_key(lambda new, old: (old or 0) + sum(new), name="sums").print(0)
        ssc.start()
        for n in range(3):
            numbers.push(n)
            clock.advance(1.0)
        ssc.stop()

    run()
    left, later = tmp_path / STATE_FOLDER / "11000-1-99", tmp_path / STATE_FOLDER / "11000-3-0"
    left.write_bytes(b"of the driver before")
    same = tmp_path / STATE_FOLDER / "11000-2-99"
    same.write_bytes(b"of a start that was cut short")
    later.write_bytes(b"of one that took over")
    run()
    assert not left.exists()
    assert not same.exists()
    assert later.exists()


def test_a_file_that_cannot_be_removed_goes_after_the_next_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock(10.0)
    ssc = ms.StreamingContext(
        1.0, name="kept", checkpoint=tmp_path, checkpoint_interval=1.0, environment=ms.Environment(clock)
    )
    numbers = ssc.memory_stream(name="numbers")
    pairs = numbers.map(lambda n: (0, n))
    pairs.update_state_by_key(lambda new, old: (old or 0) + sum(new), name="sums").print(0)
    remove = LocalStorage.remove
    refused: list[str] = []

    def refusing(storage: LocalStorage, name: str) -> None:
        if name.startswith(STATE_FOLDER) and not refused:
            refused.append(name)
            raise StorageUnavailableError("The file is held.", detail="For once.", hint="Try again.")
        remove(storage, name)

    monkeypatch.setattr(LocalStorage, "remove", refusing)
    ssc.start()
    batches = 0
    while not refused:
        batches += 1
        numbers.push(1)
        clock.advance(1.0)
        assert batches < 100
    assert "A file that no checkpoint needs any more stays for now: The file is held." in caplog.text
    assert (tmp_path / refused[0]).exists()
    while (tmp_path / refused[0]).exists():
        batches += 1
        numbers.push(1)
        clock.advance(1.0)
        assert batches < 100
    ssc.stop()


def test_lives_that_end_before_their_checkpoint_is_journalled_leave_one_file_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(10.0)

    def crash(*arguments: object) -> None:
        raise KeyboardInterrupt

    def live() -> None:
        ssc = ms.StreamingContext(
            1.0, name="short", checkpoint=tmp_path, checkpoint_interval=1.0, environment=ms.Environment(clock)
        )
        numbers = ssc.memory_stream(name="numbers")
        pairs = numbers.map(lambda n: (n, n))
        pairs.update_state_by_key(lambda new, old: (old or 0) + sum(new), name="sums").print(0)
        ssc.start()
        numbers.push_many(range(3))
        for _ in range(3):
            clock.advance(1.0)
        ssc.stop(graceful=False)

    live()
    needed = len(list((tmp_path / STATE_FOLDER).iterdir()))
    monkeypatch.setattr(CheckpointWriter, "_journal", crash)
    for _ in range(4):
        live()
        assert len(list((tmp_path / STATE_FOLDER).iterdir())) <= needed + 1


def test_what_starts_leave_on_an_object_store() -> None:
    place, clock, starts = "memory://claims-of-starts", ManualClock(10.0), 6
    storage = ObjectStorage.open(place)
    claims: list[int] = []
    for _ in range(starts):
        ssc = ms.StreamingContext(1.0, name="claims", checkpoint=place, environment=ms.Environment(clock))
        ssc.memory_stream(name="numbers").print(0)
        there = set(storage.names(WAL_FOLDER))
        ssc.start()
        (claim,) = set(storage.names(WAL_FOLDER)) - there
        claims.append(storage.size_bytes(f"{WAL_FOLDER}/{claim}"))
        ssc.stop()
    assert claims == [204 + 8 * earlier for earlier in range(starts)]
    assert sum(claims) <= 204 * starts + 4 * starts**2

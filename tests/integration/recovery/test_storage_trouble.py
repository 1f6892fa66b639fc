"""The disk of a checkpoint that fills up, or becomes read-only, while the program runs."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.environment.local_storage import LocalAppendFile, LocalStorage
from millstream.errors import InputFullError, LifecycleError, StorageUnavailableError
from millstream.ingest.block_buffer import BlockBuffer
from millstream.ingest.buffered_feed import BufferedFeed
from millstream.model.ports.block_feed import FeedEvent
from millstream.testing import ManualClock

RETRIES = 4


class TroubledStorage(LocalStorage):
    """Writes nothing from `code` on: the number of the operating system's error."""

    code: int | None = None

    def refuse(self) -> None:
        if self.code is not None:
            raise OSError(self.code, os.strerror(self.code))

    def create(self, name: str, data: bytes | memoryview) -> bool:
        with self._reported(name, "created"):
            self.refuse()
        return super().create(name, data)

    def append_file(self, name: str, *, size_bytes: int) -> LocalAppendFile:
        with self._reported(name, "created"):
            self.refuse()
        file = super().append_file(name, size_bytes=size_bytes)
        troubled: Any = TroubledFile(file._file, self)
        file._file = troubled
        return file


class TroubledFile:
    def __init__(self, file: Any, storage: TroubledStorage) -> None:
        self._file = file
        self._storage = storage

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._storage.refuse()
        self._file.write(pieces)

    def append(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._storage.refuse()
        self._file.append(pieces)

    def sync(self) -> None:
        self._storage.refuse()
        self._file.sync()

    def close(self) -> None:
        self._file.close()


class Sender(BufferedFeed):
    """Sends one number after the other, each again until it is acknowledged."""

    name = "numbers"

    def __init__(self, clock: ManualClock, acknowledged: int) -> None:
        self.acknowledged = acknowledged
        self.refusals: list[type[Exception]] = []
        self._buffer: BlockBuffer[int] = BlockBuffer(clock, name=self.name, on_full="raise")
        self._notify: Callable[[FeedEvent], None] = lambda event: None

    def start(self, *, interval_ms: int, zero_ms: int, notify: Callable[[FeedEvent], None]) -> None:
        self._buffer.start(interval_ms=interval_ms, zero_ms=zero_ms)
        self._notify = notify
        notify(FeedEvent("started"))

    def send(self) -> None:
        try:
            self._buffer.store_block([self.acknowledged], 1, self.acknowledged)
        except (StorageUnavailableError, InputFullError, LifecycleError) as error:
            self.refusals.append(type(error))
        else:
            self.acknowledged += 1

    def set_rate(self, records_per_s: float | None) -> None: ...

    def restart(self) -> None: ...

    def begin_stop(self) -> None:
        self._buffer.close()
        self._notify(FeedEvent("stopped"))

    def close(self) -> None:
        self._buffer.close()


class Table(ms.Sink[Any]):
    """Commits a batch in one step, and tells which was the newest."""

    name = "table"

    def __init__(self, batches: dict[int, list[Any]]) -> None:
        self.batches = batches

    def open(self, lineage: Any) -> int | None:
        return max(self.batches, default=None)

    def stage(self, batch: ms.Batch, partition: int, data: Any) -> Any:
        return list(data.rows())

    def commit(self, batch: ms.Batch, receipts: Sequence[Any]) -> None:
        assert batch.time_ms not in self.batches
        self.batches[batch.time_ms] = [row for rows in receipts for row in rows]

    def discard(self, batch: ms.Batch, receipts: Sequence[Any]) -> None: ...


class Notes(ms.StreamingListener):
    def __init__(self) -> None:
        self.held: list[bool] = []
        self.failed: list[ms.BatchAttemptFailed] = []

    def on_inputs_held(self, event: ms.InputsHeld) -> None:
        self.held.append(event.held)

    def on_batch_attempt_failed(self, event: ms.BatchAttemptFailed) -> None:
        self.failed.append(event)


def started(
    clock: ManualClock, storage: LocalStorage, table: Table, acknowledged: int
) -> tuple[ms.StreamingContext, Sender, Notes]:
    notes, sender = Notes(), Sender(clock, acknowledged)
    ssc = ms.StreamingContext(
        1.0,
        name="app",
        checkpoint=storage,
        environment=ms.Environment(clock),
        batch_retries=RETRIES,
        retry_pause=1.0,
        max_queued_batches=2,
    )
    ssc.add_listener(notes)
    ssc.stream(sender, name="numbers").write_to(table)
    ssc.start()
    return ssc, sender, notes


def run(clock: ManualClock, sender: Sender, seconds: int) -> None:
    for _ in range(seconds):
        sender.send()
        clock.advance(1.0)


@pytest.mark.parametrize(
    ("code", "advice"), [(errno.ENOSPC, "Free some space"), (errno.EROFS, "Mount the file system for writing")]
)
def test_a_disk_that_stays_full_or_read_only_ends_the_stream_and_loses_nothing(
    tmp_path: Path, code: int, advice: str
) -> None:
    clock, table = ManualClock(10.0), Table({})
    storage = TroubledStorage(tmp_path)
    ssc, sender, notes = started(clock, storage, table, 0)
    run(clock, sender, 3)
    sender.send()
    assert sender.acknowledged == 4
    storage.code = code
    committed = dict(table.batches)
    run(clock, sender, 20)
    with pytest.raises(StorageUnavailableError, match="storage is not available") as caught:
        ssc.await_termination(0)
    assert advice in str(caught.value)
    assert os.strerror(code) in str(caught.value)
    # Nothing went on as if it were written, and the sender knows of none of it.
    assert table.batches == committed
    assert sender.acknowledged == 4
    assert sender.refusals[0] is StorageUnavailableError
    assert InputFullError in sender.refusals
    assert notes.held == [True]
    assert len(notes.failed) == 1 + RETRIES
    assert len({event.batch_time_ms for event in notes.failed}) == 1
    assert all("storage is not available" in event.error for event in notes.failed)

    storage.code = None
    ssc, again, _ = started(clock, LocalStorage(tmp_path), table, sender.acknowledged)
    run(clock, again, 3)
    ssc.stop()
    assert again.acknowledged == 7
    assert [row for _, rows in sorted(table.batches.items()) for row in rows] == list(range(7))


def test_a_disk_that_has_room_again_in_time_lets_the_stream_go_on(tmp_path: Path) -> None:
    clock, table = ManualClock(10.0), Table({})
    storage = TroubledStorage(tmp_path)
    ssc, sender, notes = started(clock, storage, table, 0)
    run(clock, sender, 3)
    storage.code = errno.ENOSPC
    run(clock, sender, 5)
    storage.code = None
    run(clock, sender, 12)
    assert notes.held == [True, False]
    assert 0 < len(notes.failed) <= RETRIES
    ssc.stop()
    assert sender.acknowledged > 3
    assert [row for _, rows in sorted(table.batches.items()) for row in rows] == list(range(sender.acknowledged))

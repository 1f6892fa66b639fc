"""The writer of checkpoints: merges what batches changed into files, and lets the journal go behind them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from millstream.encoding.rows import Frame
from millstream.environment.environment import Environment
from millstream.environment.logger import logger
from millstream.errors import MillstreamError
from millstream.recovery.checkpoint import STATE_FOLDER, Checkpoint
from millstream.recovery.chunk_file import TableChunk, chunks_within, encode_chunk_file
from millstream.recovery.decisions import CheckpointWritten
from millstream.recovery.savepoint import files_held
from millstream.state.merge import merged

INTERVAL_MS = 10_000
"""How long after one checkpoint the next is written: a restart replays at most so much of the journal."""

DELTAS_BYTES_MAX = 64 << 20
"""State deltas of so many bytes are merged before the interval is over: they are in memory until then."""

INCREMENTS_MAX = 8
"""After so many files with changes a whole one is written: a restart reads them all."""


@dataclass(frozen=True, slots=True)
class _Increment:
    """What the files of one checkpoint add to those of the one before."""

    files: tuple[str, ...]
    size_bytes: int
    whole_bytes: int


class CheckpointWriter:
    """Writes checkpoints beside the batches.

    `batch_done` is called in the driver's thread after every batch. What is due is merged from encoded chunks alone,
    never from a live table, on another thread and without the GIL; the result is journalled by the driver's thread
    at a later batch. Each file repeats nothing: a whole one is followed by those with changes, until these are half
    its size.

    Args:
        checkpoint: what is written to.
        environment: clock and threads.
        interval_ms: pause between checkpoints.
        on_written: told of every checkpoint that is durable.
        on_failed: told of one that could not be written; it is tried again.
        snapshot: gives the whole state as of a batch that is done, at once; None: batches journal what they change.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        environment: Environment,
        interval_ms: int,
        on_written: Callable[[CheckpointWritten], None],
        on_failed: Callable[[BaseException], None],
        snapshot: Callable[[int], list[TableChunk]] | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._environment = environment
        self._interval_ms = interval_ms
        self._on_written = on_written
        self._on_failed = on_failed
        self._snapshot = snapshot
        self._last_ms = environment.clock.monotonic_ms()
        self._names = itertools.count()
        self._known_whole_bytes: int | None = None
        self._files = {name for written in checkpoint.history.checkpoints for name in written.files}
        self._has_swept = False
        self._writing: CheckpointWritten | None = None
        self._deltas_count = 0
        self._deltas_bytes = 0
        self._idle = threading.Event()
        self._idle.set()
        self._has_removed = threading.Event()
        self._has_removed.set()
        self._result: _Increment | BaseException | None = None

    def batch_done(self) -> None:
        """Take the result of the last merge over, and begin the next one when it is due."""
        if self._writing is not None:
            if self._idle.is_set():
                self._conclude()
            return
        deltas = self._checkpoint.history.deltas
        if len(deltas) < self._deltas_count:
            self._deltas_count = self._deltas_bytes = 0
        self._deltas_bytes += sum(len(delta.data) for delta in deltas[self._deltas_count :])
        self._deltas_count = len(deltas)
        now_ms = self._environment.clock.monotonic_ms()
        if now_ms - self._last_ms >= self._interval_ms or self._deltas_bytes >= DELTAS_BYTES_MAX:
            self._begin()
            if self._idle.is_set():
                self._conclude()

    def write(self) -> None:
        """Write a checkpoint of all batches that are done and return when it is durable.

        Raises:
            StorageUnavailableError: it could not be written; the journal still has everything.
        """
        self._wait()
        history = self._checkpoint.history
        newest = history.checkpoint
        if history.done_ms is None or (newest is not None and newest.time_ms == history.done_ms):
            return
        self._begin()
        self._wait(raising=True)

    def close(self) -> None:
        """Wait until the files that are being removed are gone."""
        self._has_removed.wait()

    def rewrite(self, chunks: list[TableChunk], program: Mapping[str, Any]) -> CheckpointWritten:
        """Write the whole state in the form of a changed program, before its first batch.

        The caller journals the result together with its start: from then on chunks of the earlier form are not read.

        Args:
            chunks: snapshots of all tables as of the batch whose state was loaded.
            program: the changed one.
        """
        history = self._checkpoint.history
        state_ms, newest = history.state_ms, history.checkpoint
        assert state_ms is not None  # Invariant: state is that of a batch that is done.
        data = encode_chunk_file(chunks)
        name = self._create(state_ms, history.epoch + 1, data)
        self._known_whole_bytes = len(data)
        # Batches that have to be repeated after it: it stands where the checkpoint stands that was loaded.
        base = newest if newest is not None and history.to_repeat else self._standing(state_ms)
        return replace(base, files=(name,), size_bytes=len(data), program=program)

    def write_whole(self, chunks: list[TableChunk]) -> None:
        """Write a checkpoint of a state that is at hand, and return when it is durable.

        Args:
            chunks: snapshots of all tables as of the newest batch that is done.

        Raises:
            StorageUnavailableError: it could not be written.
        """
        done_ms = self._checkpoint.history.done_ms
        assert done_ms is not None  # Invariant: state is that of a batch that is done.
        standing, data = self._standing(done_ms), encode_chunk_file(chunks)
        name = self._create(standing.time_ms, standing.epoch, data)
        self._journal(standing, _Increment((name,), len(data), len(data)))

    def _create(self, time_ms: int, epoch: int, data: memoryview) -> str:
        """Write a file under a name that is free: a start that was cut short may have left one of the same epoch."""
        while not self._checkpoint.storage.create(
            name := f"{STATE_FOLDER}/{time_ms}-{epoch}-{next(self._names)}", data
        ):
            self._sweep()
        self._files.add(name)
        return name

    def _standing(self, done_ms: int) -> CheckpointWritten:
        """Describe a checkpoint of where the program stands, with the files of the newest one."""
        history = self._checkpoint.history
        newest = history.checkpoint
        return CheckpointWritten(
            time_ms=done_ms,
            since=history.undone_number if history.undone is not None else self._checkpoint.journal.next_number,
            files=() if newest is None else newest.files,
            size_bytes=0 if newest is None else newest.size_bytes,
            epoch=history.epoch,
            program=history.program or {},
            positions=history.positions_now(),
            blocks=history.blocks.plain(),
            block_positions=dict(history.block_positions),
            downtimes=tuple((after_ms, until_ms) for after_ms, until_ms in history.downtimes),
            sinks=dict(history.sinks),
            rates=dict(history.rates),
        )

    def _wait(self, *, raising: bool = False) -> None:
        if self._writing is None:
            return
        self._idle.wait()
        self._conclude(raising=raising)

    def _begin(self) -> None:
        history = self._checkpoint.history
        if history.done_ms is None:
            return
        self._last_ms = self._environment.clock.monotonic_ms()
        writing = self._standing(history.done_ms)
        if self._snapshot is None:
            chunks = [TableChunk(delta.table, delta.partition, delta.data) for delta in history.deltas]
        else:
            writing = replace(writing, files=(), size_bytes=0)
            chunks = self._snapshot(history.done_ms)
        self._writing = writing
        self._idle.clear()
        self._environment.run_aside("millstream-checkpoint", lambda: self._merge(writing, chunks))

    def _merge(self, writing: CheckpointWritten, chunks: list[TableChunk]) -> None:
        """Merge and write, on any thread."""
        try:
            self._sweep()
            self._result = self._increment(writing, chunks)
        except BaseException as error:
            self._result = error
        finally:
            self._idle.set()

    def _increment(self, writing: CheckpointWritten, chunks: list[TableChunk]) -> _Increment:
        if not chunks:
            return _Increment(writing.files, writing.size_bytes, self._whole_bytes)
        changes = _merged(chunks, whole=not writing.files)
        changes_bytes = sum(len(chunk.data) for chunk in changes)
        increments_bytes = writing.size_bytes - self._whole_bytes + changes_bytes
        whole = not writing.files
        if writing.files and (len(writing.files) > INCREMENTS_MAX or increments_bytes > self._whole_bytes // 2):
            whole = True
            changes = _merged([*self._read(writing.files), *changes], whole=True)
        data = encode_chunk_file(changes)
        name = self._create(writing.time_ms, writing.epoch, data)
        if whole:
            return _Increment((name,), len(data), len(data))
        return _Increment((*writing.files, name), writing.size_bytes + len(data), self._whole_bytes)

    def _read(self, files: tuple[str, ...]) -> list[TableChunk]:
        storage = self._checkpoint.storage
        return [chunk for name in files for chunk in chunks_within(storage.read(name), f"{storage.place}/{name}")]

    def _conclude(self, *, raising: bool = False) -> None:
        """Journal what was merged, in the driver's thread."""
        writing, result = self._writing, self._result
        self._writing = self._result = None
        assert writing is not None
        try:
            if isinstance(result, BaseException):
                raise result
            assert result is not None
            self._journal(writing, result)
        except MillstreamError as error:
            if raising:
                raise
            logger.warning("A checkpoint could not be written; it is tried again: %s", error)
            self._on_failed(error)

    def _journal(self, writing: CheckpointWritten, result: _Increment) -> None:
        written = replace(writing, files=result.files, size_bytes=result.size_bytes)
        self._checkpoint.journal.append(written)
        self._known_whole_bytes = result.whole_bytes
        self._release()
        self._on_written(written)

    def _release(self) -> None:
        """Let go of what neither of the two newest checkpoints nor a savepoint needs."""
        checkpoint = self._checkpoint
        kept = checkpoint.history.checkpoints
        self._files.update(name for written in kept for name in written.files)
        if len(kept) < 2:
            return
        checkpoint.journal.release(min(written.since for written in kept))
        if self._has_removed.is_set():
            self._has_removed.clear()
            # Why named here: a file of the next checkpoint, which is made meanwhile, is not yet needed by any.
            outdated = self._files - {name for written in kept for name in written.files}
            self._environment.run_aside("millstream-removal", lambda: self._remove(outdated))

    def _remove(self, outdated: set[str]) -> None:
        """Remove files, on any thread: it takes the disk as long as some batches.

        Why not all files that are there: a driver that slept through a takeover would remove those of the next one.
        What that one needs of earlier files was needed by this one too.
        """
        storage = self._checkpoint.storage
        try:
            for name in outdated - files_held(storage):
                storage.remove(name)
                self._files.discard(name)
        except MillstreamError as error:
            logger.warning("A file that no checkpoint needs any more stays for now: %s", error)
        finally:
            self._has_removed.set()

    def _needed(self) -> set[str]:
        """Name the files of the checkpoints that are kept and of savepoints."""
        kept = self._checkpoint.history.checkpoints
        return {name for written in kept for name in written.files} | files_held(self._checkpoint.storage)

    def _sweep(self) -> None:
        """Remove the files that a crash kept from getting into a checkpoint; once, before this driver makes its first.

        Why then: a program that never lives until its first checkpoint is journalled leaves one file a life. Those of
        later epochs are of a driver that took over; of this one's, there may be one of a start that was cut short.
        """
        if self._has_swept:
            return
        storage, needed = self._checkpoint.storage, self._needed() | self._files
        for name in storage.names(STATE_FOLDER):
            _, epoch, _ = name.split("-")
            file = f"{STATE_FOLDER}/{name}"
            if int(epoch) <= self._checkpoint.history.epoch and file not in needed:
                storage.remove(file)
        self._has_swept = True

    @property
    def _whole_bytes(self) -> int:
        """The size of the newest whole file."""
        if self._known_whole_bytes is None:
            newest, storage = self._checkpoint.history.checkpoint, self._checkpoint.storage
            files = () if newest is None else newest.files
            self._known_whole_bytes = storage.size_bytes(files[0]) if files else 0
        return self._known_whole_bytes


def _merged(chunks: list[TableChunk], *, whole: bool) -> list[TableChunk]:
    """Merge the chunks of each partition of each table."""
    tables: dict[tuple[str, int], list[Frame]] = {}
    for chunk in chunks:
        tables.setdefault((chunk.table, chunk.partition), []).append(chunk.data)
    return [TableChunk(table, partition, merged(parts, final=whole)) for (table, partition), parts in tables.items()]

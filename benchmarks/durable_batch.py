"""What durability adds to a batch of one record: the journal on a local disk, without and with state.

The clock is moved by hand, so what is timed is the work of a batch and nothing else. Between batches, in the same run,
as many bytes as a batch was seen to write are written and synced to a preallocated file of their own, once for a
program without state and twice for one with it: that is what the disk asks for.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import millstream as ms
from benchmarks.figures import option, percentile, report
from millstream.environment.local_storage import LocalAppendFile
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.testing import ManualClock

RAW_BYTES = 64 << 20


class OneRecord(ReplayableSource[str]):
    """One record a batch, that can be read again."""

    name = "one record"

    def open(self, position: Any) -> None:
        """There is nothing to open."""

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Give the next number."""
        number = 0 if after is None else after
        return Plan([Split(number, 1)], number + 1)

    def read(self, split: Split) -> Partition[str]:
        """Give the record of the number."""
        return Partition([f"word{split.data % 100}"])


def count(key: str, value: int | None, state: ms.State[int]) -> tuple[str, int]:
    """Count."""
    total = (state.get() if state.exists() else 0) + (value or 0)
    state.update(total)
    return key, total


class RawFile:
    """Writes and syncs as a batch does, to a file of its own."""

    def __init__(self, folder: str, payload_bytes: int, syncs: int) -> None:
        self._file = os.open(os.path.join(folder, "raw"), os.O_CREAT | os.O_RDWR)
        os.posix_fallocate(self._file, 0, RAW_BYTES)
        self._payload = os.urandom(payload_bytes // syncs)
        self._syncs = syncs
        self._at = 0

    def write_ms(self) -> float:
        """Time one batch's writes and syncs."""
        began = time.perf_counter()
        for _ in range(self._syncs):
            os.pwrite(self._file, self._payload, self._at)
            os.fdatasync(self._file)
            self._at = (self._at + len(self._payload)) % (RAW_BYTES - len(self._payload))
        return (time.perf_counter() - began) * 1000.0


def run(batches: int, *, stateful: bool, durable: bool, raw: RawFile | None = None) -> tuple[list[float], list[float]]:
    """Time batches, and beside them raw writes; milliseconds each."""
    clock = ManualClock(1_000.0)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        place = Path(folder) / "checkpoint" if durable else None
        environment = ms.Environment(clock)
        ssc = ms.StreamingContext(0.002, environment=environment, checkpoint=place, checkpoint_interval=3600.0)
        pairs = ssc.stream(OneRecord()).map(lambda word: (word, 1))
        seen: list[Any] = []
        (pairs.map_with_state(count) if stateful else pairs).collect_to(seen.append)
        ssc.start()
        times, raw_times = [], []
        for _ in range(batches):
            began = time.perf_counter()
            clock.advance(0.002)
            times.append((time.perf_counter() - began) * 1000.0)
            if raw is not None:
                raw_times.append(raw.write_ms())
        ssc.stop(graceful=False)
    return times, raw_times


def bytes_of_batch(*, stateful: bool) -> int:
    """Give how many bytes a batch writes to the journal, the mean of some."""
    batches, written = 200, 0
    append = LocalAppendFile.append

    def counting(file: LocalAppendFile, pieces: Sequence[bytes | memoryview]) -> None:
        nonlocal written
        written += sum(memoryview(piece).nbytes for piece in pieces)
        append(file, pieces)

    with patch.object(LocalAppendFile, "append", counting):
        run(batches, stateful=stateful, durable=True)
    return written // batches


def figures(batches: int, *, stateful: bool) -> dict[str, float]:
    """Measure a program with its peers."""
    what, syncs = ("with state", 2) if stateful else ("stateless", 1)
    written = bytes_of_batch(stateful=stateful)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        raw = RawFile(folder, written, syncs)
        durable, disk = run(batches, stateful=stateful, durable=True, raw=raw)
    plain, _ = run(batches, stateful=stateful, durable=False)
    return {
        f"{what}: bytes that a batch writes": written,
        f"{what}: durable p50 ms": percentile(durable, 0.5),
        f"{what}: {syncs} raw sync(s) p50 ms": percentile(disk, 0.5),
        f"{what}: p50 ms above the raw syncs (target <= 0.3)": percentile(durable, 0.5) - percentile(disk, 0.5),
        f"{what}: durable p99 ms": percentile(durable, 0.99),
        f"{what}: raw p99 ms": percentile(disk, 0.99),
        f"{what}: without a checkpoint p50 ms": percentile(plain, 0.5),
    }


def main() -> None:
    """Run and report."""
    run(300, stateful=True, durable=True)
    batches = int(option("batches", 5_000))
    report("durable_batch", {**figures(batches, stateful=False), **figures(batches, stateful=True)})


if __name__ == "__main__":
    main()

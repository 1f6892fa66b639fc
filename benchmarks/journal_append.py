"""Durable appends to a log of 200-byte records, against the bare system calls on a preallocated file beside it.

Each round appends through the log and writes the same number of bytes with `pwrite` and `fdatasync`, in turn, so that
both meet the same disk. The disk is that of the working directory, or `--directory=`. Last, several threads append one
record at a time to one log, as receivers do: what waits together shares a sync.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial

from benchmarks.figures import median, option, percentile, report
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.local_storage import LocalStorage

RECORD_BYTES = 200
FILE_BYTES = 64 << 20
THREADS = 8


class RawFile:
    """A preallocated file and nothing else."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._descriptor, 0, FILE_BYTES)
        os.fsync(self._descriptor)
        self._end = 0

    def append(self, data: bytes) -> None:
        """Write at the end and sync."""
        os.pwrite(self._descriptor, data, self._end)
        getattr(os, "fdatasync", os.fsync)(self._descriptor)
        self._end += len(data)


def seconds(act: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def crowd_seconds(log: SegmentLog, appends: int) -> list[float]:
    """Time the appends of several threads to one log."""
    times: list[list[float]] = [[] for _ in range(THREADS)]
    record = (1, os.urandom(RECORD_BYTES))

    def use(mine: list[float]) -> None:
        mine += [seconds(partial(log.append, [record])) for _ in range(appends // THREADS)]

    threads = [threading.Thread(target=use, args=(mine,)) for mine in times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [value for mine in times for value in mine]


def directory() -> str:
    """The directory whose disk is measured."""
    given = [argument.partition("=")[2] for argument in sys.argv[1:] if argument.startswith("--directory=")]
    return given[0] if given else os.getcwd()


def main() -> None:
    """Run and report."""
    rounds = int(option("rounds", 3000))
    rows: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=directory()) as root:
        log = SegmentLog(LocalStorage(root), "journal", segment_bytes=FILE_BYTES)
        raw = RawFile(os.path.join(root, "raw"))
        for count in (1, 100):
            records = [(1, os.urandom(RECORD_BYTES)) for _ in range(count)]
            data = b"".join(payload for _, payload in records)
            logged, bare = [], []
            for _ in range(rounds if count == 1 else rounds // 3):
                logged.append(seconds(partial(log.append, records)) * 1e6)
                bare.append(seconds(partial(raw.append, data)) * 1e6)
            group = "one record" if count == 1 else f"group of {count}"
            rows[f"{group}: log p50 us"] = median(logged)
            rows[f"{group}: bare pwrite and fdatasync p50 us"] = median(bare)
            rows[f"{group}: above bare p50 us (target <= 50)"] = median(logged) - median(bare)
            rows[f"{group}: million records/s"] = count / median(logged)
            rows[f"{group}: log p99 us"] = percentile(logged, 0.99)
            rows[f"{group}: bare p99 us"] = percentile(bare, 0.99)
        crowd: list[float] = []
        took = seconds(lambda: crowd.extend(crowd_seconds(log, rounds)))
        rows[f"{THREADS} threads: appends/s"] = len(crowd) / took
        rows[f"{THREADS} threads: log p99 us"] = percentile(crowd, 0.99) * 1e6
        log.close()
    report("journal_append", rows)


if __name__ == "__main__":
    main()

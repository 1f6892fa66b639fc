"""Blocks of 100-byte records through the log, against a plain sequential write with the same syncs beside it.

Two things are written: opaque bytes of that size to the log, which shows the log alone, and records of 100 bytes to the
log of blocks, as columns of text and as Python rows, which are encoded on their way.

The plain file grows, as a program would write it that has no log; a preallocated one is measured too. All are
written in turn, in rounds, so that they meet the same disk: that of the working directory, or `--directory=`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from functools import partial

import pyarrow as pa

from benchmarks.figures import median, option, report
from benchmarks.journal_append import directory
from millstream.blocks.block_log import BlockLog
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.local_storage import LocalStorage
from millstream.model.partition import Columns, PartitionData
from millstream.model.ports.block_feed import Block

PATTERNS = [(64 << 10, 1), (64 << 10, 8), (256 << 10, 1), (1 << 20, 1), (1 << 20, 4)]
"""Bytes of a block, and how many blocks a sync."""

RECORD_BYTES = 100


def plain(path: str, block: bytes, blocks: int, per_sync: int, set_aside: int) -> float:
    """Write a file and sync after every few blocks; give the seconds."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    if set_aside and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, set_aside)
    os.fsync(descriptor)
    began = time.perf_counter()
    for index in range(1, blocks + 1):
        os.write(descriptor, block)
        if index % per_sync == 0:
            getattr(os, "fdatasync", os.fsync)(descriptor)
    elapsed = time.perf_counter() - began
    os.close(descriptor)
    os.unlink(path)
    return elapsed


def logged(log: SegmentLog, block: bytes, blocks: int, per_sync: int) -> float:
    """Write the same through the log, segments and all; give the seconds."""
    record: list[tuple[int, bytes | memoryview]] = [(1, block)]
    began = time.perf_counter()
    for index in range(1, blocks + 1):
        if index % per_sync:
            log.write(record)
        else:
            log.append(record)
    elapsed = time.perf_counter() - began
    log.release(log.next_number)
    return elapsed


def stored(blocks: BlockLog, data: PartitionData, records: int, count: int, per_sync: int) -> float:
    """Write blocks of records through the log of blocks, encoding and all; give the seconds."""
    numbers: list[int] = []
    began = time.perf_counter()
    for index in range(1, count + 1):
        if index % per_sync:
            numbers.append(blocks.write("lines", Block(data, records, 0)))
        else:
            numbers.append(blocks.store("lines", data, records, 0, index, 0))
    elapsed = time.perf_counter() - began
    blocks.settle(numbers)
    return elapsed


def records_of(block: bytes) -> Sequence[str]:
    """Cut a block into records of 100 characters."""
    text = block.hex()
    return [text[at : at + RECORD_BYTES] for at in range(0, len(block) // RECORD_BYTES * RECORD_BYTES, RECORD_BYTES)]


def main() -> None:
    """Run and report."""
    total_bytes = int(option("mb", 64)) << 20
    rows: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=directory()) as root:
        log = SegmentLog(LocalStorage(root), "wal", segment_bytes=64 << 20)
        block_log = BlockLog(SegmentLog(LocalStorage(root), "blocks", segment_bytes=64 << 20))
        path = os.path.join(root, "plain")
        for block_bytes, per_sync in PATTERNS:
            block = os.urandom(block_bytes // RECORD_BYTES) * RECORD_BYTES
            rows_of_block = list(records_of(block))
            columns = Columns(pa.table({"value": pa.array(rows_of_block, pa.large_string())}), scalar=True)
            records = len(rows_of_block)
            blocks = total_bytes // len(block) // per_sync * per_sync
            ways = {
                "log": partial(logged, log, block, blocks, per_sync),
                "columns": partial(stored, block_log, columns, records, blocks, per_sync),
                "rows": partial(stored, block_log, rows_of_block, records, blocks, per_sync),
                "growing": partial(plain, path, block, blocks, per_sync, 0),
                "set aside": partial(plain, path, block, blocks, per_sync, total_bytes),
            }
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(int(option("rounds", 5))):
                for way, act in ways.items():
                    seconds[way].append(act())
            label = f"{block_bytes >> 10} KiB blocks, a sync each {per_sync}"
            rows[f"{label}: log MB/s"] = blocks * len(block) / median(seconds["log"]) / 1e6
            for what in ("log", "columns", "rows"):
                for way in ("growing", "set aside"):
                    ratio = median([mine / other for mine, other in zip(seconds[way], seconds[what], strict=True)])
                    rows[f"{label}: {what}: share of a plain file, {way} (target >= 0.7)"] = ratio
        log.close()
        block_log.close()
    report("wal_write", rows)


if __name__ == "__main__":
    main()

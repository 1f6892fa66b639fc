"""The bytes of a log are those of docs/checkpoint-format.md, and those of version 1 are read for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.blocks.segment_bytes import Group, read_segment

from millstream.blocks.log import LogRecord
from millstream.blocks.segment import SegmentId
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.rng import seeded_rng
from millstream.errors import StorageUnavailableError
from millstream.testing.simulation.storage import SimulatedStorage

SEGMENTS = Path(__file__).with_name("segments")
"""A log of format version 1: two segments of four records, of which a third segment was begun and never used."""

RECORDS = [LogRecord(0, 1, b"zero"), LogRecord(1, 2, b"one"), LogRecord(2, 1, b"two" * 20), LogRecord(3, 3, b"")]


def storage_with_version_1() -> SimulatedStorage:
    storage = SimulatedStorage(seeded_rng(1))
    for line in (SEGMENTS / "version-1.hex").read_text().splitlines():
        name, _, content = line.partition(" ")
        storage.create(f"log/{name}", bytes.fromhex(content))
    return storage


def test_version_1_is_read_and_continued() -> None:
    storage = storage_with_version_1()
    assert list(SegmentLog(storage, "log", read_only=True).read()) == RECORDS
    log = SegmentLog(storage, "log")
    assert log.append([(9, b"new")]) == 4
    assert list(SegmentLog(storage, "log").read()) == [*RECORDS, LogRecord(4, 9, b"new")]


def test_version_1_is_written() -> None:
    storage = SimulatedStorage(seeded_rng(1))
    log = SegmentLog(storage, "log", segment_bytes=300)
    log.append([(1, b"zero"), (2, b"one")])
    log.append([(1, b"two" * 20)])
    log.append([(3, b"")])
    log.close()
    stored = storage_with_version_1()
    assert storage.names("log") == stored.names("log")[:2]
    for name in storage.names("log"):
        assert storage.read(f"log/{name}") == stored.read(f"log/{name}")


def test_every_byte_is_as_documented() -> None:
    storage = SimulatedStorage(seeded_rng(1))
    log = SegmentLog(storage, "log", segment_bytes=8000)
    log.write([(1, b"written")])
    log.append([(2, b"a"), (255, b"long" * 1500)])
    storage.faults.fail("sync")
    log.write([(3, b"kept")])
    with pytest.raises(StorageUnavailableError):
        log.append([(4, b"failed")])
    log.write([(5, b"kept too")])
    log.append([(6, b"b")])
    log.append([(7, b"y" * 8000)])
    log.release(3)
    log.append([(8, b"")])
    by_number = {segment.first: segment for name in storage.names("log") if (segment := SegmentId.of_name(name))}
    assert list(by_number) == [3, 7, 8]
    second, third, newest = (
        read_segment(segment, storage.read(f"log/{segment.name}")) for segment in by_number.values()
    )
    group = Group(3, 0, 0, [(3, 3, b"kept"), (5, 5, b"kept too"), (6, 6, b"b")])
    first_end = 52 + 44 + 3 * 16 + 7 + 1 + 6000
    assert second == (0, [(0, 0, first_end, 3)], [group])
    second_end = 52 + 32 + 44 + 3 * 16 + 4 + 8 + 1
    assert third == (0, [(0, 0, first_end, 3), (3, 1, second_end, 7)], [Group(7, 0, 0, [(7, 7, b"y" * 8000)])])
    third_end = 52 + 64 + 44 + 16 + 8000
    previous = [(0, 0, first_end, 3), (3, 1, second_end, 7), (7, 2, third_end, 8)]
    mark_end = 52 + 96 + 44
    assert newest == (3, previous, [Group(8, 0, 3, []), Group(8, mark_end, 3, [(8, 8, b"")])])

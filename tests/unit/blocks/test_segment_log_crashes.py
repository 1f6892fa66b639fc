"""Random appends, faults and crashes: what was acknowledged is read back in order, and nothing but what was written."""

from __future__ import annotations

import contextlib

import pytest

from millstream.blocks.segment_log import SegmentLog
from millstream.environment.rng import Rng, seeded_rng
from millstream.environment.storage import Storage
from millstream.errors import StorageUnavailableError
from millstream.testing.simulation.faults import Faults, Operation, Phase, SimulatedCrash
from millstream.testing.simulation.storage import SimulatedStorage

SEEDS = 300
LIVES = 6
STEPS = 25
OPENINGS = 20


class Owner:
    """Uses a log at random and knows what it may expect, by number of record."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.serial = 0
        self.acknowledged: dict[int, bytes] = {}
        self.written: dict[int, bytes] = {}
        self.failed: dict[int, bytes] = {}
        self.released = 0

    def records(self, log: SegmentLog) -> dict[int, bytes]:
        records = {}
        for number in range(log.next_number, log.next_number + self.rng.randint(1, 4)):
            self.serial += 1
            records[number] = b"%d:" % self.serial + self.rng.randbytes(self.rng.choice((0, 1, 20, 500, 5000)))
        return records

    def step(self, log: SegmentLog) -> None:
        match self.rng.choice(("append", "append", "append", "write", "release", "read")):
            case "append":
                self.append(log)
            case "write":
                records = self.records(log)
                self.written.update(records)
                assert log.write([(2, data) for data in records.values()]) == min(records)
            case "release":
                self.released = max(self.released, self.rng.randint(0, log.next_number))
                log.release(self.released)
            case "read":
                found = self.check(log, self.rng.randint(0, log.next_number))
                assert not found.keys() & self.failed.keys()

    def append(self, log: SegmentLog) -> None:
        records = self.records(log)
        self.failed.update(records)
        assert log.append([(1, data) for data in records.values()]) == min(records)
        self.acknowledged |= self.written | records
        self.written, self.failed = {}, {}

    def check(self, log: SegmentLog, first: int = 0) -> dict[int, bytes]:
        records = list(log.read(first))
        numbers = [record.number for record in records]
        assert numbers == sorted(set(numbers))
        found = {record.number: record.data for record in records}
        known = self.failed | self.written | self.acknowledged
        assert found == {number: known[number] for number in found}, "only what was written"
        first = max(first, self.released)
        assert {n for n in self.acknowledged if n >= first} <= found.keys(), "nothing acknowledged is lost"
        before = {n for n in self.written if first <= n < max(numbers, default=0)}
        assert before <= found.keys(), "nothing in front of what is there is lost"
        return found

    def after_crash(self, log: SegmentLog) -> None:
        """From here on, what is there stays."""
        self.acknowledged |= self.check(log)
        self.written, self.failed = {}, {}
        assert log.next_number > max(self.acknowledged, default=-1)


def crash_in(operations: int, faults: Faults) -> None:
    left = operations

    def hook(operation: Operation, phase: Phase) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise SimulatedCrash

    faults.hook = hook


def live(storage: Storage, owner: Owner, rng: Rng) -> None:
    """Open the log, as often as it takes, and use it."""
    for _ in range(OPENINGS):
        with contextlib.suppress(StorageUnavailableError):
            log = SegmentLog(storage, "log", segment_bytes=rng.choice((600, 3_000, 20_000)))
            owner.after_crash(log)
            break
    else:
        return
    for _ in range(rng.choice((0, 2, STEPS))):
        with contextlib.suppress(StorageUnavailableError):
            owner.step(log)
    if rng.random() < 0.5:
        log.close()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_was_acknowledged_is_read_back(seed: int) -> None:
    rng = seeded_rng(seed)
    faults = Faults(rng, rate=rng.choice((0.0, 0.0, 0.05, 0.2)))
    storage = SimulatedStorage(rng, faults=faults)
    owner = Owner(rng)
    for _ in range(LIVES):
        crash_in(rng.randint(0, 150), faults)
        with contextlib.suppress(SimulatedCrash):
            live(storage, owner, rng)
        storage = storage.crash(machine=rng.random() < 0.7)
    faults.rate, faults.hook = 0.0, None
    log = SegmentLog(storage, "log")
    owner.after_crash(log)
    owner.append(log)
    owner.check(log)

"""Several drivers of one log, each paused before any of its requests, whose requests go wrong: one history remains.

Each driver runs in a thread of its own, but only one at a time: before every request it gives its turn away, and the
seed says who is next. So each interleaving of requests can come about, and a seed brings it back.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from dataclasses import dataclass, field

import pytest

from millstream.blocks.log_object import decode_header, records_of
from millstream.blocks.object_log import ObjectLog
from millstream.environment.clock import ManualClock
from millstream.environment.environment import Environment
from millstream.environment.lease import Owner
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.rng import Rng, seeded_rng
from millstream.errors import FencedError, MillstreamError, StorageUnavailableError
from millstream.testing.simulation.objects import LATE_REQUESTS_MAX, Request, SimulatedBucket

SEEDS = 400
DRIVERS = 3
STEPS = 12
OPENINGS = 30


class Turns:
    """Lets one thread run at a time, by chance."""

    def __init__(self, rng: Rng, threads: int) -> None:
        self._rng = rng
        self._changed = threading.Condition()
        self._there: set[int] = set()
        self._missing = threads
        self._turn: int | None = None

    def give(self, me: int) -> None:
        """Give the turn away and wait for the next one."""
        with self._changed:
            if me not in self._there:
                self._there.add(me)
                self._missing -= 1
            self._choose()
            assert self._changed.wait_for(lambda: self._turn == me, 60)

    def leave(self, me: int) -> None:
        """Take part no more."""
        with self._changed:
            self._there.discard(me)
            self._choose()

    def _choose(self) -> None:
        if not self._missing:
            self._turn = self._rng.choice(sorted(self._there)) if self._there else None
            self._changed.notify_all()


@dataclass
class Seen:
    """What one driver knows of the log."""

    claimed_behind: int = -1
    found: dict[int, bytes] = field(default_factory=dict)
    released: int = 0
    acknowledged: dict[int, bytes] = field(default_factory=dict)
    tried: set[bytes] = field(default_factory=set)
    fenced: bool = False


class World:
    """Drivers of rising epochs on one bucket."""

    def __init__(self, seed: int) -> None:
        self.rng = seeded_rng(seed)
        self.bucket = SimulatedBucket(ManualClock())
        self.rate = self.rng.choice((0.0, 0.1, 0.3))
        self.turns = Turns(self.rng, DRIVERS)
        self.seen = [Seen() for _ in range(DRIVERS)]
        self.serial = itertools.count()
        self.failures: list[BaseException] = []

    def run(self) -> None:
        threads = [threading.Thread(target=self.drive, args=(index,)) for index in range(DRIVERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if self.failures:
            raise self.failures[0]
        client = self.bucket.client(self.rng)
        for _ in range(LATE_REQUESTS_MAX):
            client.list_objects("")

    def drive(self, index: int) -> None:
        try:
            self.turns.give(index)
            with contextlib.suppress(FencedError):
                self.use(index)
        except BaseException as failure:
            self.failures.append(failure)
        finally:
            self.turns.leave(index)

    def use(self, index: int) -> None:
        def paused(request: Request, name: str) -> None:
            self.turns.give(index)

        seen, rng = self.seen[index], self.rng
        client = self.bucket.client(rng, rate=self.rate, hook=paused)
        storage = ObjectStorage(client, Environment(ManualClock()), retry_s=0.0, reads_at_once=1, nonce=self.nonce)
        owner = Owner(index + 1, bytes([index]) * 16)
        log = opened(storage, owner)
        if log is None:
            return
        seen.claimed_behind = log.next_number
        try:
            while True:
                with contextlib.suppress(StorageUnavailableError):
                    seen.found = {record.number: record.data for record in log.read()}
                    break
            for _ in range(STEPS):
                with contextlib.suppress(StorageUnavailableError):
                    self.step(log, seen)
        except FencedError:
            seen.fenced = True
            raise

    def step(self, log: ObjectLog, seen: Seen) -> None:
        match self.rng.choice(("append", "append", "append", "write", "release")):
            case "append":
                records = self.records(seen)
                number = log.append([(1, data) for data in records])
                seen.acknowledged |= dict(enumerate(records, number))
            case "write":
                log.write([(2, data) for data in self.records(seen)])
            case "release":
                log.release(self.rng.randint(0, log.next_number))

    def records(self, seen: Seen) -> list[bytes]:
        records = [b"%d" % next(self.serial) for _ in range(self.rng.randint(1, 3))]
        seen.tried.update(records)
        return records

    def nonce(self) -> bytes:
        return self.rng.randbytes(16)


def opened(storage: ObjectStorage, owner: Owner) -> ObjectLog | None:
    for _ in range(OPENINGS):
        with contextlib.suppress(StorageUnavailableError):
            return ObjectLog(storage, "log", owner, object_bytes_max=20)
    return None


def history(bucket: SimulatedBucket) -> list[tuple[int, dict[int, bytes]]]:
    """Give epoch and records of every object that was ever made, in order of their numbers."""
    made: dict[int, bytes] = {}
    for name, data in bucket.made:
        if name.startswith("log/"):
            number = int(name[4:])
            # A name that was released may be taken again by a put that comes late; nobody looks there any more.
            assert number not in made or number < max(made), "the end of the log was made twice"
            made.setdefault(number, data)
    assert list(made) == sorted(made) == list(range(len(made))), "numbers without gaps, in order"
    headers = [decode_header(data, number, "made") for number, data in made.items()]
    return [
        (header.epoch, {record.number: record.data for record in records_of(made[header.number], header, 0, "made")})
        for header in headers
    ]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_drivers_leave_one_history(seed: int) -> None:
    world = World(seed)
    world.run()
    objects = history(world.bucket)
    epochs = [epoch for epoch, _ in objects]
    assert epochs == sorted(epochs), "no append of a fenced driver follows the claim of the next one"
    numbers = [number for _, records in objects for number in records]
    assert numbers == sorted(set(numbers)), "each number once, in order"
    whole = {number: data for _, records in objects for number, data in records.items()}
    assert len(set(whole.values())) == len(whole), "nothing is there twice"
    for epoch, seen in enumerate(world.seen, 1):
        mine = {number: data for wrote, records in objects if wrote == epoch for number, data in records.items()}
        assert set(mine.values()) <= seen.tried
        assert seen.acknowledged.items() <= mine.items(), "what was acknowledged is there, under its number"
        if seen.claimed_behind >= 0 and seen.found:
            before = {n: data for wrote, records in objects if wrote < epoch for n, data in records.items()}
            assert seen.found.items() <= before.items(), "a newcomer finds what the earlier ones wrote, and only that"
            first = min(seen.found)
            assert seen.found == {n: data for n, data in before.items() if n >= first}, "without gaps to the end"
    check_what_remains(world, whole)


def check_what_remains(world: World, whole: dict[int, bytes]) -> None:
    storage = ObjectStorage(world.bucket.client(world.rng), Environment(ManualClock()), reads_at_once=1)
    log = ObjectLog(storage, "log", Owner(99, bytes(16)))
    found = {record.number: record.data for record in log.read()}
    assert found.items() <= whole.items()
    assert found == {number: data for number, data in whole.items() if number >= min(found, default=1 << 60)}
    log.release(log.next_number)
    left = {name: data for name, data in world.bucket.objects.items() if name.startswith("log/")}
    headers = [decode_header(data, int(name[4:]), name) for name, data in left.items()]
    others = [header for header in headers if header.claim != header.number]
    assert len(others) <= 1, "besides claims only the newest object stays"


def test_the_runs_hold_what_they_are_for() -> None:
    """Of the seeds enough have a driver that was fenced in the middle, and puts that came late."""
    fenced = 0
    for seed in range(80):
        world = World(seed)
        with contextlib.suppress(MillstreamError):
            world.run()
        fenced += sum(seen.fenced for seen in world.seen)
    assert fenced >= 20

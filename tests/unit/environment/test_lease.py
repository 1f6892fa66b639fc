from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import pytest

from millstream.environment.clock import ManualClock
from millstream.environment.environment import Environment
from millstream.environment.lease import Lease
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.process_identity import has_ended, process_identity
from millstream.environment.rng import seeded_rng
from millstream.errors import FencedError, IncompatibleCheckpointError, StorageUnavailableError
from millstream.testing.simulation.objects import SimulatedBucket, SimulatedObjects


class Machine:
    """A machine with its own clock, whose programs share a bucket with those of others."""

    def __init__(self, bucket: SimulatedBucket, *, wall_s: float = 5_000.0, seed: int = 1) -> None:
        self.clock = ManualClock(wall_s)
        self.client: SimulatedObjects = bucket.client(seeded_rng(seed))
        self.storage = ObjectStorage(
            self.client, Environment(self.clock), retry_s=0.0, reads_at_once=1, pause=self.clock.advance
        )


class World:
    """Two machines, whose clocks differ by hours, and a bucket with a clock of its own."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_000.0)
        self.bucket = SimulatedBucket(self.clock)
        self.old = Machine(self.bucket)
        self.new = Machine(self.bucket, wall_s=90_000.0, seed=2)

    def pass_time(self, seconds: float, *machines: Machine) -> None:
        for _ in range(int(seconds)):
            for clock in (self.clock, *(machine.clock for machine in machines)):
                clock.advance(1.0)

    def lease(self) -> dict[str, object]:
        name = max(name for name in self.bucket.objects if name.startswith("lease/"))
        about: dict[str, object] = json.loads(self.bucket.objects[name])
        return about


def test_who_comes_second_is_told_who_holds_the_lease_and_how_long() -> None:
    world = World()
    lease = Lease(world.old.storage, "words")
    world.pass_time(7)
    with pytest.raises(FencedError) as caught:
        Lease(world.new.storage, "words")
    text = str(caught.value)
    assert f"process {os.getpid()}" in text
    assert "program 'words'" in text
    assert "the lease ends in 25 s" in text
    assert "takeover=True" in text
    lease.check()
    assert not [name for name in world.bucket.objects if name.startswith("probes/")]


def test_a_lease_that_is_renewed_lives_on_and_leaves_one_object() -> None:
    world = World()
    lease = Lease(world.old.storage, "words")
    world.pass_time(300, world.old)
    lease.check()
    assert len(world.bucket.objects) == 1
    with pytest.raises(FencedError, match="in use"):
        Lease(world.new.storage, "words")


def test_a_lease_that_nobody_renews_is_taken_over_by_the_clock_of_the_store() -> None:
    world = World()
    old = Lease(world.old.storage, "words")
    world.pass_time(31)
    with pytest.raises(FencedError, match="in use"):
        Lease(world.new.storage, "words")
    world.pass_time(1)
    new = Lease(world.new.storage, "words")
    assert new.owner.epoch > old.owner.epoch
    assert new.owner.nonce != old.owner.nonce


def test_a_holder_learns_that_its_lease_is_lost() -> None:
    world = World()
    told: list[str] = []
    old = Lease(world.old.storage, "words", on_lost=lambda: told.append("lost"))
    new = Lease(world.new.storage, "words 2", takeover=True)
    old.check()
    world.pass_time(11, world.old)
    with pytest.raises(FencedError, match="took over") as caught:
        old.check()
    assert "program 'words 2'" in str(caught.value)
    world.pass_time(60, world.old)
    assert told == ["lost"]
    old.release()
    new.check()
    assert world.lease()["state"] == "held"


def test_a_holder_that_slept_through_a_takeover_and_many_renewals_takes_nothing_back() -> None:
    world = World()
    old = Lease(world.old.storage, "words")
    new = Lease(world.new.storage, "words 2", takeover=True)
    world.pass_time(500, world.new)
    world.pass_time(30, world.old)
    with pytest.raises(FencedError):
        old.check()
    new.check()
    assert len(world.bucket.objects) == 1
    assert world.lease()["program"] == "words 2"


def test_a_lease_that_was_released_is_free_at_once() -> None:
    world = World()
    first = Lease(world.old.storage, "words")
    first.release()
    first.release()
    with pytest.raises(FencedError, match="not held any more"):
        first.check()
    second = Lease(world.new.storage, "words")
    assert second.owner.epoch > first.owner.epoch
    world.pass_time(100, world.old)
    second.check()


def test_a_holder_on_this_machine_that_has_ended_is_not_waited_for() -> None:
    world = World()
    Lease(world.old.storage, "words")
    about = world.lease()
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    pid = int(ended.stdout)
    assert has_ended(pid, process_identity()) == bool(process_identity())
    assert not has_ended(pid, {**process_identity(), "boot": "another"})
    if not process_identity():
        pytest.skip("This system does not say which process is which.")
    world.old.storage.create(f"lease/{7:020d}", json.dumps({**about, "pid": pid}).encode())
    assert Lease(world.new.storage, "words").owner.epoch == 9


def test_trouble_of_the_store_is_survived_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    lease = Lease(world.old.storage, "words")
    world.old.client.order("unsent", 2)
    with caplog.at_level(logging.WARNING, "millstream"):
        world.pass_time(29, world.old)
    assert [record.message for record in caplog.records if "was not renewed" in record.message] == [
        caplog.records[0].message
    ]
    world.pass_time(10, world.old)
    lease.check()


@pytest.mark.parametrize("fault", ["unanswered", "late"])
def test_a_renewal_whose_answer_was_lost_is_known_as_ours(fault: str) -> None:
    world = World()
    lease = Lease(world.old.storage, "words")
    for _ in range(5):
        world.old.client.order(fault)  # type: ignore[arg-type]
        world.pass_time(11, world.old)
        world.pass_time(11, world.old)
        lease.check()


def test_a_lease_that_cannot_be_given_back_runs_out(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    lease = Lease(world.old.storage, "words")
    world.old.client.order("unsent")
    lease.release()
    assert "others are refused until it runs out, in 30 s" in caplog.text
    world.pass_time(32, world.old)
    Lease(world.new.storage, "words").check()


def test_of_two_that_come_at_the_same_moment_one_gets_the_lease() -> None:
    world = World()
    came: list[Lease] = []

    def other_is_faster(request: str, name: str) -> None:
        if request == "put_new" and name.startswith("lease/") and not came:
            came.append(Lease(world.old.storage, "faster"))

    slow = ObjectStorage(
        world.bucket.client(seeded_rng(3), hook=other_is_faster), world.new.storage.environment, retry_s=0.0
    )
    with pytest.raises(FencedError, match="program 'faster'"):
        Lease(slow, "slower")
    came[0].check()


def test_a_lease_that_cannot_be_read_is_waited_for_like_any_other() -> None:
    world = World()
    world.old.storage.create(f"lease/{3:020d}", b"{")
    with pytest.raises(FencedError, match="left no readable name"):
        Lease(world.new.storage, "words")
    world.pass_time(33)
    assert Lease(world.new.storage, "words").owner.epoch == 5


def test_a_lease_of_a_newer_release_is_left_alone() -> None:
    world = World()
    world.old.storage.create(f"lease/{3:020d}", b'{"format": 2}')
    with pytest.raises(IncompatibleCheckpointError, match="format 2"):
        Lease(world.new.storage, "words", takeover=True)


def test_a_store_that_does_not_answer_gives_no_lease() -> None:
    world = World()
    world.new.client.order("unsent")
    with pytest.raises(StorageUnavailableError):
        Lease(world.new.storage, "words")
    Lease(world.new.storage, "words").check()


def test_the_system_clock_renews_in_a_thread() -> None:
    """The lease of a storage on the real clock stays alive without anybody moving it."""
    import threading

    bucket = SimulatedBucket()
    renewed = threading.Event()

    def seen(request: str, name: str) -> None:
        if request == "put_new" and name == f"lease/{1:020d}":
            renewed.set()

    storage = ObjectStorage(bucket.client(seeded_rng(1), hook=seen), Environment())
    lease = Lease(storage, "words", duration_s=0.05)
    assert renewed.wait(30)
    lease.release()

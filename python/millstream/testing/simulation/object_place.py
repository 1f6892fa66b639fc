"""The checkpoint of a simulated program on an object store, over all its lives."""

from __future__ import annotations

from collections.abc import Callable

from millstream.environment.clock import Clock
from millstream.environment.environment import Environment
from millstream.environment.lease import GRACE_MS, Lease
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.rng import Rng, seeded_rng
from millstream.testing.simulation.clock import SimulatedClock
from millstream.testing.simulation.faults import Faults
from millstream.testing.simulation.objects import Request, SimulatedBucket, SimulatedObjects

LEASE_S = 4.0
"""How long a lease lives: a crashed program comes back within a few batch intervals, and not at once."""

RETRY_S = 1.5
"""How long a put is tried again, so that some are given up."""

EXPIRY_MS = LEASE_S * 1000.0 + GRACE_MS + 1_000.0
"""After how long a lease has surely ended that is not renewed."""


class ObjectPlace:
    """A bucket, and the way of each driver to it.

    Drivers keep each other away by the lease and by the log's conditional puts alone: one that sleeps while another
    takes over finds its requests answered when it wakes, like those of anyone else.

    Args:
        rng: chance.
        faults: how often requests go wrong; a bucket is never full.

    Attributes:
        faults: as given.
    """

    def __init__(self, rng: Rng, faults: Faults) -> None:
        self.faults = faults
        self._rng = rng
        self._clock = _StoreClock()
        self._bucket = SimulatedBucket(self._clock)
        self._clients: list[SimulatedObjects] = []

    @property
    def sizes(self) -> dict[str, int]:
        """The size of every object, bytes, by name."""
        return {name: len(data) for name, data in self._bucket.objects.items()}

    def opened(
        self, environment: Environment, clock: SimulatedClock, hook: Callable[[Request, str], None]
    ) -> ObjectStorage:
        """Give one driver its storage.

        Args:
            environment: of the driver.
            clock: its clock, which the store follows from now on.
            hook: called before every request; may pause or end the driver there.
        """
        self._clock.follow(clock)
        client = self._bucket.client(self._rng, rate=self.faults.rate, hook=hook)
        self._clients.append(client)
        return _LeasedStorage(
            client,
            environment,
            retry_s=RETRY_S,
            reads_at_once=1,
            # What is due meanwhile comes later: the thread of the driver waits for the answer.
            pause=lambda seconds: clock.pass_time(seconds * 1000.0),
            nonce=lambda: self._rng.randbytes(16),
        )

    def renewed(self) -> ObjectPlace:
        """Give an empty place with which the same goes wrong."""
        return ObjectPlace(self._rng, self.faults)

    def copied(self) -> ObjectStorage:
        """Give a storage of its own with the same objects, with which nothing goes wrong."""
        bucket = SimulatedBucket(self._clock)
        for name, data in self._bucket.objects.items():
            bucket.put(name, data, "")
        return ObjectStorage(bucket.client(seeded_rng(0)), reads_at_once=1)

    def calm_down(self) -> None:
        """Let no request go wrong any more."""
        self.faults.rate = 0.0
        for client in self._clients:
            client.rate = 0.0

    def crash(self, *, machine: bool = True) -> ObjectPlace:
        """Give the place as the next process finds it: what was put is there, whichever machine is gone."""
        return self

    def take_over(self) -> ObjectPlace:
        """Give another driver the place, while this one sleeps."""
        return self


class _LeasedStorage(ObjectStorage):
    """A storage whose lease is short."""

    def lock(self, holder: str, *, takeover: bool = False) -> Lease:
        return Lease(self, holder, takeover=takeover, duration_s=LEASE_S)


class _StoreClock(Clock):
    """The clock of the store: it goes on with whichever driver is the newest, and nobody sets it."""

    def __init__(self) -> None:
        self._base_ms = 0.0
        self._began_ms = 0.0
        self._clock: Clock | None = None

    def wall_ms(self) -> float:
        return self._base_ms + (0.0 if self._clock is None else self._clock.monotonic_ms() - self._began_ms)

    def monotonic_ms(self) -> float:
        return self.wall_ms()

    def follow(self, clock: Clock) -> None:
        """Go on with another clock; between the two lies the time in which no driver was there."""
        down_ms = 0.0 if self._clock is None else max(0.0, clock.wall_ms() - self._clock.wall_ms())
        self._base_ms = self.wall_ms() + down_ms
        self._clock, self._began_ms = clock, clock.monotonic_ms()

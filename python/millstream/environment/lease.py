"""A lease on an object store: who drives a checkpoint, and since when nobody does."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from millstream.environment.lock import Lock
from millstream.environment.logger import logger
from millstream.environment.object_client import PROBES
from millstream.environment.process_identity import has_ended, process_identity
from millstream.errors import (
    FencedError,
    IncompatibleCheckpointError,
    MillstreamError,
    StorageUnavailableError,
)

if TYPE_CHECKING:
    from millstream.environment.object_storage import ObjectStorage

FOLDER = "lease"

FORMAT_VERSION = 1

DURATION_S = 30.0
"""How long a lease lives without renewal, seconds: the longest wait for a driver that died on another machine."""

RENEWALS = 3
"""Renewals in the life of a lease, so that two may fail."""

GRACE_MS = 2_000
"""Stores give times in whole seconds, so a difference of two is wrong by up to one; the other is for its own clocks."""

TRIES_MAX = 20
"""How often others may be faster while the lease is taken."""


class Owner(NamedTuple):
    """A driver, as what it writes names it.

    Attributes:
        epoch: at least 1, and greater than that of every driver before.
        nonce: 16 bytes that tell it from all others.
    """

    epoch: int
    nonce: bytes


class Lease(Lock):
    """The right to drive a checkpoint on an object store, kept alive in the background.

    It is a row of objects `lease/<number>`, each made by a conditional put; the newest says who holds the lease. It
    keeps a second driver away politely, and gives each holder an `epoch`, greater than all before. It is no fence: a
    holder that was paused may go on for a moment after another one took over. What fences it is that every append to
    a log on the store is a conditional put of the next number, of which one of two drivers gets a refusal.

    How old a lease is, is the difference of two times by the clock of the store; the clocks of the machines do not
    matter. A holder on the same machine whose process has ended is not waited for.

    Args:
        storage: where.
        holder: the name of the program, for those who are refused.
        takeover: take the lease of a holder that is alive, too.
        duration_s: how long the lease lives without renewal, seconds.
        on_lost: called once, from the thread of the lease, when somebody else holds it.

    Raises:
        FencedError: somebody else holds the lease; says who and for how long.
        StorageUnavailableError: the store does not answer.
        IncompatibleCheckpointError: the lease was written by a newer release.

    Attributes:
        owner: this holder, as it names itself in what it writes.
    """

    def __init__(
        self,
        storage: ObjectStorage,
        holder: str,
        *,
        takeover: bool = False,
        duration_s: float = DURATION_S,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        self._storage = storage
        self._clock = storage.environment.clock
        self._duration_ms = duration_s * 1000.0
        self._on_lost = on_lost
        self._guard = threading.Lock()
        self._lost: FencedError | None = None
        self._released = False
        self._failing = False
        nonce = storage.nonce()
        self._about = {
            "format": FORMAT_VERSION,
            "program": holder,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process": process_identity(),
            "nonce": nonce.hex(),
            "since_ms": int(self._clock.wall_ms()),
            "duration_ms": int(self._duration_ms),
        }
        self._number = self._take(takeover)
        # Why the number: it rises with each object, whatever became of what the earlier ones held.
        self.owner = Owner(self._number + 1, nonce)
        self._due_ms = self._clock.monotonic_ms() + self._duration_ms / RENEWALS
        self._loop = storage.environment.drive("millstream-lease", self._step)

    def check(self) -> None:
        if self._lost is not None:
            raise self._lost
        if self._released:
            raise FencedError(
                "The lease on the checkpoint is not held any more.",
                detail=f"This driver released {self._storage.place}.",
                hint="Start the program again.",
            )

    def release(self) -> None:
        with self._guard:
            held, self._released = self._lost is None and not self._released, True
            if held:
                try:
                    self._put(self._number + 1, "released")
                except StorageUnavailableError as error:
                    logger.warning(
                        "The lease at %s could not be given back; others are refused until it runs out, in %.0f s. %s",
                        self._storage.place,
                        self._duration_ms / 1000.0,
                        error,
                    )
        self._loop.wake()

    def _take(self, takeover: bool) -> int:
        for _ in range(TRIES_MAX):
            newest = self._newest()
            if newest is not None and not takeover:
                self._refuse_if_alive(newest)
            number = 0 if newest is None else newest.number + 1
            if self._put(number, "held"):
                self._forget(number)
                return number
        raise StorageUnavailableError(
            f"The lease at {self._storage.place} could not be taken.",
            detail=f"Others were faster {TRIES_MAX} times.",
            hint="Several programs start with one checkpoint again and again: give each a checkpoint of its own.",
        )

    def _newest(self) -> _LeaseObject | None:
        while names := self._storage.names(FOLDER):
            try:
                data = self._storage.read(f"{FOLDER}/{names[-1]}")
            except FileNotFoundError:
                continue  # Renewed between the two requests: the store says so at once to whoever lists again.
            return _decoded(self._storage.place, int(names[-1]), data)
        return None

    def _refuse_if_alive(self, newest: _LeaseObject) -> None:
        if not newest.held or has_ended(newest.pid, newest.process):
            return
        left_ms = newest.duration_ms + GRACE_MS - self._age_ms(newest.number)
        if left_ms <= 0:
            return
        raise FencedError(
            "The checkpoint is in use.",
            detail=f"{self._storage.place} is held by {newest.holder}; unless it is renewed, the lease ends in "
            f"{left_ms / 1000.0:.0f} s.",
            hint="Stop that program first, or give this one a checkpoint of its own. If it is dead, wait until the "
            "lease ends, or start with takeover=True.",
        )

    def _age_ms(self, number: int) -> float:
        """Tell how long ago an object was made, by the clock of the store, which stamps a second one for that."""
        now = f"{PROBES}/{self._storage.nonce().hex()}"
        self._storage.create(now, b"now")
        try:
            now_ms = self._storage.entry(now).modified_ms
            return now_ms - self._storage.entry(_name(number)).modified_ms
        except FileNotFoundError:
            return 0.0  # The holder has just renewed it.
        finally:
            self._storage.remove(now)

    def _put(self, number: int, state: str) -> bool:
        return self._storage.create(_name(number), json.dumps({**self._about, "state": state}).encode())

    def _forget(self, before: int) -> None:
        old = [name for name in self._storage.names(FOLDER) if int(name) < before]
        self._storage.remove_each([f"{FOLDER}/{name}" for name in old])

    def _step(self) -> float | None:
        with self._guard:
            if self._released or self._lost is not None:
                return None
            left_ms = self._due_ms - self._clock.monotonic_ms()
            if left_ms <= 0:
                self._try_to_renew()
                left_ms = self._duration_ms / RENEWALS
                self._due_ms = self._clock.monotonic_ms() + left_ms
            lost = self._lost is not None
        if lost and self._on_lost is not None:
            self._on_lost()
        return None if lost else self._clock.wall_ms() + left_ms

    def _try_to_renew(self) -> None:
        try:
            self._renew()
            self._failing = False
        except MillstreamError as error:
            if not self._failing:
                logger.warning("The lease at %s was not renewed; trying again. %s", self._storage.place, error)
            self._failing = True

    def _renew(self) -> None:
        newest = self._adopted()
        # Why look first: the number after ours may be free again, when its owner renewed and removed it.
        if newest is None or newest.number <= self._number:
            if self._put(self._number + 1, "held"):
                self._number += 1
                self._forget(self._number)
                return
            newest = self._adopted()
            if newest is not None and newest.number == self._number:
                return
        self._lost = FencedError(
            "Another driver took over the checkpoint.",
            detail=f"{self._storage.place} is held by {newest.holder if newest else 'another process'}.",
            hint="This program must stop. Run one driver for each checkpoint.",
        )

    def _adopted(self) -> _LeaseObject | None:
        """Give the newest object; one that an earlier renewal of ours left after its answer was lost counts as ours."""
        newest = self._newest()
        if newest is not None and newest.nonce == self._about["nonce"]:
            self._number = newest.number
        return newest


@dataclass(frozen=True, slots=True)
class _LeaseObject:
    """One object of the lease as it was read; what cannot be read is held by somebody unknown until its time is up."""

    number: int
    held: bool = True
    holder: str = "a process that left no readable name"
    pid: int = 0
    process: dict[str, str] = field(default_factory=dict)
    duration_ms: float = DURATION_S * 1000.0
    nonce: str = ""


def _decoded(place: str, number: int, data: bytes) -> _LeaseObject:
    try:
        about = json.loads(data)
        version = int(about["format"])
        if version <= FORMAT_VERSION:
            return _LeaseObject(
                number,
                about["state"] != "released",
                f"process {about['pid']} on {about['host']} (program {about['program']!r})",
                int(about["pid"]),
                dict(about["process"]),
                float(about["duration_ms"]),
                str(about["nonce"]),
            )
    except (ValueError, KeyError, TypeError):
        return _LeaseObject(number)
    raise IncompatibleCheckpointError(
        "The lease of the checkpoint was written by a newer release.",
        detail=f"{place}/{_name(number)} has format {version}, this release reads {FORMAT_VERSION}.",
        hint="Upgrade millstream.",
    )


def _name(number: int) -> str:
    return f"{FOLDER}/{number:020d}"

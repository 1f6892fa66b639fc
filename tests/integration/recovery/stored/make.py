"""Makes the stored checkpoints: `python -m tests.integration.recovery.stored.make disk|objects FOLDER`.

It gives the same bytes each time, under every version of Python. What it made once is not made anew: see README.md.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
from pathlib import Path
from unittest import mock

from tests.integration.recovery.stored.program import Crash, Program, Ride

import millstream as ms
from millstream.environment import lease
from millstream.environment.environment import Environment
from millstream.environment.local_storage import LocalStorage
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.obstore_client import ObstoreClient, obstore_of
from millstream.environment.storage import Storage
from millstream.errors import UserCodeError
from millstream.recovery.maintenance import pin, skip_batch
from millstream.testing import ManualClock

BEGIN_S = 1_700_000_000.0
SAVEPOINT = "first"

FIRST: tuple[Ride, ...] = tuple((f"taxi-{n:02}", n, f"{n}.50") for n in range(36))
"""What the radio receives for the first batch: so many keys that checkpoints behind the first write increments."""

SAVED: tuple[Ride, ...] = (("taxi-01", 10, "12.30"), ("taxi-02", 20, "21.10"))
"""What is pushed for the second batch, the last before the savepoint."""

POISON: tuple[Ride, ...] = (("taxi-01", 1, "free"),)
"""What no batch can process."""

REASON = "the fare is no number"
"""Why a person gave that batch up."""

LATER: tuple[tuple[Ride, ...], ...] = tuple((("taxi-03", n, "0.1"), (f"taxi-{n:02}", 5, "5")) for n in range(4, 9))
"""What is received for each batch behind the one that is given up."""

CRASHED: tuple[Ride, ...] = (("taxi-04", 7, "7.77"), ("taxi-99", 99, "99"))
"""What the batch has that is cut short."""

WAITING: tuple[Ride, ...] = (("taxi-05", 3, "3.33"),)
"""What no batch had."""


class SmallSegments(LocalStorage):
    """A directory whose segments are set aside in a size that can be stored."""

    segment_bytes = 4 << 10


class AnyDay(Environment):
    """An environment of a clock that is not the machine's."""

    def __init__(self) -> None:
        super().__init__(ManualClock(BEGIN_S), seed=1)


def live(storage: Storage, program: Program) -> None:
    """Run three lives of the program: one is stopped, one fails, one ends in the middle of a batch."""
    ssc = program.start(storage)
    program.batch(radio=FIRST)
    program.batch(pushed=SAVED)
    ssc.stop(graceful=False)
    pin(storage, SAVEPOINT)
    program.clock.advance(60.0)
    ssc = program.start(storage)
    poisoned_ms = program.batch(pushed=POISON)
    expect(UserCodeError, ssc)
    skip_batch(storage, poisoned_ms, REASON)
    ssc = program.start(storage)
    for rides in LATER:
        program.batch(radio=rides)
    program.waiting = WAITING
    program.crashes = True
    program.batch(radio=CRASHED[:1], pushed=CRASHED[1:])
    expect(Crash, ssc)


def expect(error: type[BaseException], ssc: ms.StreamingContext) -> None:
    """Have a life be over because of an error."""
    try:
        ssc.await_termination(0)
    except error:
        return
    raise AssertionError(f"The program goes on without {error.__name__}.")


def make_directory(folder: Path) -> None:
    """Make the checkpoint in a directory."""
    environment = AnyDay()
    assert isinstance(environment.clock, ManualClock)
    live(SmallSegments(folder, clock=environment.clock), Program(environment.clock))


def make_objects(folder: Path) -> None:
    """Make the checkpoint on an object store, and write each object into the file of its key."""
    environment, numbers, url = AnyDay(), itertools.count(1), f"memory://stored{folder}"
    assert isinstance(environment.clock, ManualClock)
    storage = ObjectStorage(ObstoreClient(url), environment, nonce=lambda: next(numbers).to_bytes(16))
    live(storage, Program(environment.clock))
    store = obstore_of(url)
    for page in store.list():
        for meta in page:
            file = folder / meta["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(store.get(meta["path"]).bytes())


def hide_origin() -> None:
    """Have checkpoints not say by which process on which machine they were made, and where the program's file is."""
    for method in (Program.start, Program._show):
        method.__code__ = method.__code__.replace(co_filename="program.py")
    mock.patch.object(socket, "gethostname", return_value="stored").start()
    mock.patch.object(os, "getpid", return_value=1).start()
    mock.patch.object(lease, "process_identity", return_value={}).start()


if __name__ == "__main__":
    hide_origin()
    {"disk": make_directory, "objects": make_objects}[sys.argv[1]](Path(sys.argv[2]))

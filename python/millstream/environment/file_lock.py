"""A lock file on a local disk, held for the life of a process."""

from __future__ import annotations

import fcntl
import json
import os
import socket

from millstream.environment.clock import Clock
from millstream.environment.lock import Lock
from millstream.errors import FencedError

LOCK_BYTES_MAX = 4096
"""How much of a lock file is read: pid, host, program and start time take some hundred bytes."""


class FileLock(Lock):
    """An exclusive lock on a file, which the operating system frees when the process ends, however it ends.

    The file stays where it is when the lock is released: removing it would let two processes lock two files of one
    name. It holds one JSON object: `pid`, `host`, `program`, `since_ms` (milliseconds since the epoch).

    Args:
        path: the lock file; made when it is missing.
        holder: the name of the program.
        clock: for the start time that others are shown.

    Raises:
        FencedError: somebody else holds the lock, in this process or in another.
        OSError: the file cannot be opened or locked.
    """

    def __init__(self, path: str, holder: str, clock: Clock) -> None:
        self._path = path
        # Why close-on-exec: a child that inherits the descriptor would keep the lock after the death of its parent.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._descriptor: int | None = descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held_by = os.pread(descriptor, LOCK_BYTES_MAX, 0)
            os.close(descriptor)
            raise _refused(path, held_by, clock) from error
        except BaseException:
            os.close(descriptor)
            raise
        about = {"pid": os.getpid(), "host": socket.gethostname(), "program": holder, "since_ms": int(clock.wall_ms())}
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(about).encode(), 0)
        except BaseException:
            self.release()
            raise

    def check(self) -> None:
        descriptor = self._descriptor
        if descriptor is not None:
            mine = os.fstat(descriptor)
            try:
                there = os.stat(self._path)
            except FileNotFoundError:
                there = None
            if there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                return
        raise FencedError(
            "The lock on the checkpoint is not held any more.",
            detail=f"{self._path} was {'released' if descriptor is None else 'removed or replaced'}.",
            hint="Leave the files of a checkpoint alone while a program uses it; start the program again.",
        )

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _refused(path: str, held_by: bytes, clock: Clock) -> FencedError:
    try:
        about = json.loads(held_by)
        seconds = max(0.0, clock.wall_ms() - about["since_ms"]) / 1000.0
        who = f"process {about['pid']} on {about['host']} (program {about['program']!r}, started {seconds:.0f} s ago)"
        hint = f"Stop process {about['pid']} on {about['host']} first, or give this program a checkpoint of its own."
    except (ValueError, KeyError, TypeError):
        # It has the lock and has not written its name yet.
        who = "another process"
        hint = "Stop the other program first, or give this one a checkpoint of its own."
    return FencedError("The checkpoint is in use.", detail=f"{path} is locked by {who}.", hint=hint)

"""The port of locks: one holder of a checkpoint at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Lock(ABC):
    """The right of one driver to a storage, from `Storage.lock` until `release` or the end of the process."""

    @abstractmethod
    def check(self) -> None:
        """Return when the lock is still held.

        It may be lost right after: whoever can lose it while they run (a lease on an object store) must be fenced
        in what they write too.

        Raises:
            FencedError: it is held by somebody else, or by nobody; stop.
        """

    @abstractmethod
    def release(self) -> None:
        """Give the lock back; a second call does nothing."""

"""The port of storage: a tree of named byte files in which a checkpoint lives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from millstream.environment.lock import Lock
from millstream.errors import ConfigurationError


class AppendFile(ABC):
    """A new file that is written at its end only. One thread uses it at a time.

    After an error the file is finished: what is in it up to the last `sync` that returned is durable, everything
    behind may be there, in part or not at all. A second `sync` after a failed one proves nothing and is never made.
    """

    @abstractmethod
    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Write pieces one behind another at the end; a crash may lose or tear them until `sync` has returned.

        Raises:
            StorageUnavailableError: no space, no permission, the disk does not answer.
        """

    @abstractmethod
    def sync(self) -> None:
        """Make all that was written durable.

        Raises:
            StorageUnavailableError: it may be durable or not.
        """

    def append(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Write pieces at the end and make them, and all before them, durable.

        Raises:
            StorageUnavailableError: they may be durable or not.
        """
        self.write(pieces)
        self.sync()

    @abstractmethod
    def close(self) -> None:
        """Let go of the file, cut to what was written; does not sync."""


class Storage(ABC):
    """A tree of files under one root; names are relative, with `/`. Folders come into being with their files.

    All methods may be called from any thread.
    """

    place: str
    """The root, for errors and people."""

    segment_bytes: int = 8 << 20
    """How large the files of a log get that are appended to."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Give the whole of a file.

        Raises:
            FileNotFoundError: there is none.
            StorageUnavailableError: it cannot be read now.
        """

    def read_each(self, names: Sequence[str]) -> Iterator[bytes]:
        """Give the whole of several files, in this order; raises as `read` does, when the file's turn has come."""
        return map(self.read, names)

    @abstractmethod
    def create(self, name: str, data: bytes | memoryview) -> bool:
        """Make a file with this content, whole, durable, and only if there is none of this name.

        A crash leaves the whole file or none.

        Returns:
            False when a file of this name exists; it is left alone.

        Raises:
            StorageUnavailableError: the file may exist or not; look before doing it again.
        """

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """List the names of the files directly in a folder, without the folder, sorted; [] when there is no folder."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file for good, also for a crash after this returns; one that is gone already is fine.

        Raises:
            StorageUnavailableError: it cannot be removed.
        """

    def remove_each(self, names: Sequence[str]) -> None:
        """Remove several files; some may be gone when it raises as `remove` does."""
        for name in names:
            self.remove(name)

    @abstractmethod
    def size_bytes(self, name: str) -> int:
        """Give the size of a file; raises as `read` does."""

    def append_file(self, name: str, *, size_bytes: int) -> AppendFile:
        """Make a new file to be appended to; its name is durable when this returns.

        Args:
            name: must not exist.
            size_bytes: space to set aside, so that appending need not write the file's metadata.

        Raises:
            StorageUnavailableError: it cannot be made.
            ConfigurationError: the storage has whole files only.
        """
        raise _cannot(self, "append to files", "append_file")

    def lock(self, holder: str, *, takeover: bool = False) -> Lock:
        """Take the storage for this process alone; all who write to it hold this lock.

        Args:
            holder: the name of the program, for those who are refused.
            takeover: take a lease from its holder, too, who is fenced from then on. A lock that the operating system
                keeps cannot be taken so, and is free when its holder is dead.

        Raises:
            FencedError: somebody else holds it; says who.
            StorageUnavailableError: it cannot be taken now.
            ConfigurationError: the storage cannot be locked.
        """
        raise _cannot(self, "be locked", "lock")


def _cannot(storage: Storage, what: str, method: str) -> ConfigurationError:
    return ConfigurationError(
        f"This storage cannot {what}, as a checkpoint needs.",
        detail=f"{type(storage).__name__} has no method {method}.",
        hint=f"Define {method}, or give a path or a URL as checkpoint=.",
    )

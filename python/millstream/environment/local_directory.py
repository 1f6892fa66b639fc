"""A directory on a local disk: what was written is there after a crash."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

NAME_TRIES_MAX = 10_000
"""How many names `create` tries; more would mean that something else makes the same names."""


class LocalDirectory:
    """A directory tree below `root`; all paths are relative to it, with `/` between the parts."""

    def __init__(self, root: str) -> None:
        self.root = root

    def full(self, path: str) -> str:
        """Give the path as the operating system knows it."""
        return os.path.join(self.root, path)

    def make(self, path: str) -> None:
        """Make a directory and those above it, durably; nothing happens when it is there."""
        full = os.path.abspath(self.full(path))
        missing = []
        while not os.path.isdir(full):
            missing.append(full)
            full = os.path.dirname(full)
        for directory in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory)
            _sync_directory(os.path.dirname(directory))

    def create(self, name_of: Callable[[int], str], write: Callable[[BinaryIO], object]) -> tuple[str, int]:
        """Write a new file under the first of `name_of(0)`, `name_of(1)`, ... that is free, and sync it.

        The entry in its directory is not synced yet. When `write` raises, the file is removed.

        Returns:
            The path and the size in bytes.
        """
        for number in range(NAME_TRIES_MAX):
            path = name_of(number)
            try:
                descriptor = os.open(self.full(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                continue
            try:
                with open(descriptor, "wb") as file:
                    write(file)
                    file.flush()
                    _sync(file.fileno())
                    return path, file.tell()
            except BaseException:
                self.remove(path)
                raise
        raise FileExistsError(f"{name_of(0)} and {NAME_TRIES_MAX} names like it are taken in {self.root}.")

    def link_new(self, existing: str, path: str) -> bool:
        """Give a file a second name, durably; False, with nothing changed, when that name is taken."""
        try:
            os.link(self.full(existing), self.full(path))
            made = True
        except FileExistsError:
            made = False
        # Why in both cases: who made the name before may have been stopped before its own sync.
        self.sync(os.path.dirname(path))
        return made

    def sync(self, path: str) -> None:
        """Make the entries of a directory durable."""
        _sync_directory(self.full(path))

    def read(self, path: str) -> bytes | None:
        """Give the content of a file, or None when there is none."""
        try:
            with open(self.full(path), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def exists(self, path: str) -> bool:
        """Say whether there is a file or directory."""
        return os.path.exists(self.full(path))

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens when it is gone."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.full(path))

    def remove_if_empty(self, path: str) -> None:
        """Remove a directory that has no entries."""
        with contextlib.suppress(OSError):
            os.rmdir(self.full(path))

    def names(self, path: str) -> Iterator[str]:
        """Give the names in a directory, in no order; none when it is not there."""
        try:
            with os.scandir(self.full(path)) as entries:
                for entry in entries:
                    yield entry.name
        except (FileNotFoundError, NotADirectoryError):
            return


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        # Why: fsync there leaves the data in the drive's own cache.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def _sync_directory(full: str) -> None:
    descriptor = os.open(full, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A directory of a file sink on a local disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import BinaryIO

from millstream.environment.local_directory import LocalDirectory
from millstream.errors import ConfigurationError
from millstream.sinks.sink_directory import SinkDirectory

_NEVER_A_DIRECTORY = {errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


class LocalSinkDirectory(SinkDirectory):
    """Files below a directory; a name is given exclusively by a hard link to a file that is complete and synced.

    Args:
        root: the directory; made by `prepare` when missing.
    """

    def __init__(self, root: str) -> None:
        self.place = root
        self._directory = LocalDirectory(root)
        self._temporary = ""

    def prepare(self, folder: str) -> None:
        directory = self._directory
        self._temporary = f"{folder}/temporary"
        try:
            directory.make(self._temporary)
        except OSError as error:
            if error.errno not in _NEVER_A_DIRECTORY:
                raise
            raise ConfigurationError(
                "The directory of a file sink cannot be used.",
                detail=f"{self.place}: {error.strerror}.",
                hint="Give a directory that can be made, or one that this user may write in.",
            ) from error

    def tidy(self) -> None:
        self.remove([f"{self._temporary}/{name}" for name in self.names(self._temporary)])

    def write(self, name_of: Callable[[int], str], write: Callable[[BinaryIO], object]) -> tuple[str, int]:
        self._directory.make(os.path.dirname(name_of(0)))
        return self._directory.create(name_of, write)

    def keep(self, paths: Sequence[str]) -> None:
        for folder in dict.fromkeys(map(os.path.dirname, paths)):
            self._directory.sync(folder)

    def publish(self, path: str, content: bytes) -> bool:
        directory = self._directory
        directory.make(os.path.dirname(path))
        start = f"{self._temporary}/{os.path.basename(path)}"
        temporary, _ = directory.create(lambda number: f"{start}-{number}", lambda file: file.write(content))
        try:
            return directory.link_new(temporary, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise ConfigurationError(
                "This file system cannot create a file under a name that is free, and only then.",
                detail=f"Hard links in {self.place}: {error.strerror}.",
                hint="Exactly-once files need hard links: write to a local disk such as ext4, xfs, btrfs or APFS.",
            ) from error
        finally:
            directory.remove(temporary)

    def read(self, path: str) -> bytes | None:
        return self._directory.read(path)

    def exists(self, path: str) -> bool:
        return self._directory.exists(path)

    def is_there(self) -> bool:
        return os.path.isdir(self.place)

    def names(self, folder: str) -> list[str]:
        return list(self._directory.names(folder))

    def remove(self, paths: Sequence[str]) -> None:
        for path in paths:
            self._directory.remove(path)

    def remove_if_empty(self, folder: str) -> None:
        self._directory.remove_if_empty(folder)

    def full(self, path: str) -> str:
        return self._directory.full(path)

"""Listing the files of a directory, and knowing without listing that nothing has changed."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from typing import TypeAlias

from millstream.environment.clock import Clock
from millstream.errors import ConfigurationError, SourceUnavailableError

SETTLED_MS = 2_000
"""How old the last change of a directory must be before its time stamp is believed: the coarsest stamps that file
systems make count in two seconds, so a later change may have the stamp of an earlier one."""

RELIST_MS = 10_000
"""How long an unchanged time stamp is believed: not every network file system keeps one."""


DirectoryStamp: TypeAlias = tuple[int, ...]
"""When each of the directories changed last, nanoseconds since the epoch."""


class DirectoryListing:
    """The files that a directory or a glob means.

    Names that begin with `.` or `_` are left out, and so are directories.

    Args:
        path: absolute; a directory, or a glob of directories and files.
        clock: the wall clock, the one that the file system stamps with.
        recursive: the files of the directories below are meant too, save for links to directories.
    """

    def __init__(self, path: str, clock: Clock, *, recursive: bool = False) -> None:
        self.path = path
        self._clock = clock
        self._recursive = recursive
        self._walked: list[str] = []
        self._devices: dict[str, int] = {}
        self._listed_ms = 0.0

    def check(self) -> None:
        """Check that the directory, or the part of a glob above its first wildcard, can be listed.

        Raises:
            ConfigurationError: it is missing, is a file, or may not be read.
        """
        directory = _above_wildcards(self.path)
        if not os.path.exists(directory):
            problem = "does not exist"
        elif not os.path.isdir(directory):
            problem = "is a file"
        elif not os.access(directory, os.R_OK | os.X_OK):
            problem = "may not be read by this user"
        else:
            return
        raise ConfigurationError(
            "The directory of a file stream cannot be read.",
            detail=f"{directory} {problem}.",
            hint="Give a directory of this machine that exists, or a glob of directories or files in one.",
        )

    def stamp(self) -> DirectoryStamp | None:
        """Give what stays the same as long as no file comes or goes; None: only listing can tell."""
        now_ms = self._clock.wall_ms()
        if glob.has_magic(self.path) or not 0 <= now_ms - self._listed_ms < RELIST_MS:
            return None
        try:
            # Why not the time of modification: programs that copy directories set it back.
            changed_ns = tuple([os.stat(directory).st_ctime_ns for directory in self._walked])
        except OSError:
            return None
        return changed_ns if now_ms - max(changed_ns, default=0) / 1e6 > SETTLED_MS else None

    def entries(self) -> Iterator[os.DirEntry[str]]:
        """Give the files, in no order.

        Raises:
            SourceUnavailableError: a directory is gone, may not be read any more, or is another disk's now.
        """
        self._listed_ms = self._clock.wall_ms()
        walked: list[str] = []
        try:
            self._check_device(_above_wildcards(self.path))
            for directory, meant in self._directories():
                yield from self._files(directory, meant, walked)
        except OSError as error:
            raise _unlistable(self.path, error) from error
        self._walked = walked

    def _files(self, directory: str, meant: set[str] | None, walked: list[str]) -> Iterator[os.DirEntry[str]]:
        waiting = [directory]
        while waiting:
            current = waiting.pop()
            try:
                self._check_device(current)
                entries = os.scandir(current)
            except FileNotFoundError:
                if current == directory:
                    raise
                # Why not an error: below, directories may come and go; this one went while we were listing.
                continue
            walked.append(current)
            with entries:
                for entry in entries:
                    if entry.name[0] in "._":
                        continue
                    if entry.is_dir():
                        if self._recursive and meant is None and not entry.is_symlink():
                            waiting.append(entry.path)
                    elif meant is None or entry.path in meant:
                        yield entry

    def _directories(self) -> Iterator[tuple[str, set[str] | None]]:
        """Give each directory, with the files of it that are meant, or None for all."""
        if not glob.has_magic(self.path):
            yield self.path, None
            return
        files: dict[str, set[str]] = {}
        for match in sorted(glob.glob(self.path)):
            if os.path.isdir(match):
                yield match, None
            else:
                files.setdefault(os.path.dirname(match), set()).add(match)
        yield from files.items()

    def check_device(self) -> None:
        """Check that the directory is on the disk that it was on.

        Raises:
            SourceUnavailableError: it is not, or is gone.
        """
        directory = _above_wildcards(self.path)
        try:
            self._check_device(directory)
        except OSError as error:
            raise _unlistable(directory, error) from error

    def _check_device(self, directory: str) -> None:
        """Refuse the empty directory that stays when a disk is unmounted: every file would come back as new."""
        device = os.stat(directory).st_dev
        if self._devices.setdefault(directory, device) != device:
            raise SourceUnavailableError(
                "A directory of files is on another disk than before.",
                detail=f"{directory}: device {device}, before {self._devices[directory]}.",
                hint="Mount the disk again; or start the program anew, if the change was meant.",
            )


def _unlistable(path: str, error: OSError) -> SourceUnavailableError:
    return SourceUnavailableError(
        "A directory of files cannot be listed.",
        detail=f"{error.filename or path}: {error.strerror or error}.",
        hint="Bring the directory back, or give this user the right to read it; it is tried again.",
    )


def _above_wildcards(path: str) -> str:
    while glob.has_magic(path):
        path = os.path.dirname(path)
    return path

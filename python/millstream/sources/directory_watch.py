"""Being told by the system which files of a directory come and go."""

from __future__ import annotations

import errno
import fnmatch
import importlib.util
import os
import re
from dataclasses import dataclass

from millstream.environment.logger import logger
from millstream.sources.file_place import FileChanges

LOCAL_FILE_SYSTEMS = frozenset(
    [
        "bcachefs",
        "btrfs",
        "exfat",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "jfs",
        "ntfs3",
        "overlay",
        "ramfs",
        "tmpfs",
        "vfat",
        "xfs",
        "zfs",
    ]
)
"""Where every change is made by this machine, so that its system can tell. What other machines do on a network file
system nobody is told of."""

MOUNTS = "/proc/self/mountinfo"

ALL_NAMES = re.compile("")


@dataclass(frozen=True, slots=True)
class _Watched:
    """A directory that is watched.

    Attributes:
        path: of it.
        files: matches the names of the files that are meant.
        below: matches the names of the directories that are watched too, or None for none.
    """

    path: str
    files: re.Pattern[str]
    below: re.Pattern[str] | None


class DirectoryWatch:
    """Files of a directory that come and go, by notifications of Linux (inotify).

    Nothing runs beside the caller: the system keeps what happens in a queue of limited length, and `changes` empties
    it. What happened before the call is in it, so that a test that writes a file and then plans always finds it.

    Args:
        path: a directory, or a glob whose last part alone has wildcards.
        recursive: the files of directories below too.
    """

    def __init__(self, path: str, *, recursive: bool) -> None:
        from inotify_simple import INotify, flags

        self._flags = flags
        self._recursive = recursive
        came, went = flags.CREATE | flags.MOVED_TO | flags.CLOSE_WRITE, flags.MOVED_FROM | flags.DELETE
        self._mask: int = came | went | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
        self._lost: int = flags.Q_OVERFLOW | flags.UNMOUNT | flags.IGNORED | flags.DELETE_SELF | flags.MOVE_SELF
        self._inotify = INotify()
        self._watched: dict[int, _Watched] = {}
        below = ALL_NAMES if recursive else None
        directory, name = os.path.split(path)
        try:
            if has_wildcards(name):
                pattern = re.compile(fnmatch.translate(name))
                self._add(_Watched(directory, pattern, pattern), None)
            else:
                self._add(_Watched(path, ALL_NAMES, below), None)
        except BaseException:
            self.close()
            raise

    @classmethod
    def begun(cls, path: str, *, recursive: bool) -> DirectoryWatch | None:
        """Begin to watch, where the system tells of every change; what happens from now on is in `changes`.

        Returns:
            None: the system cannot, or the place is not local.

        Raises:
            OSError: the directory is gone.
        """
        if not can_watch(path):
            return None
        try:
            return cls(path, recursive=recursive)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EMFILE, errno.ENOSYS):
                raise
            logger.warning(
                "%s is listed instead of watched: %s (see fs.inotify in the settings of the kernel).",
                path,
                error.strerror,
            )
            return None

    def changes(self) -> FileChanges | None:
        """Give what happened since the last call; None: not all of it is known, so list, and begin anew."""
        appeared: dict[str, None] = {}
        gone: dict[str, None] = {}
        flags = self._flags
        for event in self._inotify.read(timeout=0):
            watched = self._watched.get(event.wd)
            if watched is None or event.mask & self._lost:
                return None
            if not event.name or event.name[0] in "._":
                continue
            path = os.path.join(watched.path, event.name)
            went = event.mask & (flags.DELETE | flags.MOVED_FROM)
            if event.mask & flags.ISDIR:
                if watched.below is None or not watched.below.match(event.name):
                    continue
                if went or not self._add_new(path, appeared):
                    return None
            elif watched.files.match(event.name):
                if went:
                    appeared.pop(path, None)
                    gone[path] = None
                else:
                    appeared[path] = None
        return FileChanges(list(appeared), list(gone))

    def _add_new(self, path: str, appeared: dict[str, None]) -> bool:
        found: list[str] = []
        try:
            self._add(self._inside(path), found)
        except OSError:
            # Such as the limit of watched directories: the next beginning says so.
            return False
        appeared.update(dict.fromkeys(found))
        return True

    def close(self) -> None:
        """Watch no more."""
        self._inotify.close()

    def _inside(self, path: str) -> _Watched:
        return _Watched(path, ALL_NAMES, ALL_NAMES if self._recursive else None)

    def _add(self, watched: _Watched, found: list[str] | None) -> None:
        """Watch a directory and those below; put the files that are there already into `found`, if it is one."""
        waiting = [watched]
        while waiting:
            current = waiting.pop()
            try:
                self._watched[self._inotify.add_watch(current.path, self._mask)] = current
                if found is not None or current.below is not None:
                    waiting += self._below(current, found)
            except FileNotFoundError:
                # Why not an error: below, directories may come and go; this one went while we were looking.
                if current is watched and found is None:
                    raise

    def _below(self, watched: _Watched, found: list[str] | None) -> list[_Watched]:
        below: list[_Watched] = []
        with os.scandir(watched.path) as entries:
            for entry in entries:
                if entry.name[0] in "._":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if watched.below is not None and watched.below.match(entry.name):
                        below.append(self._inside(entry.path))
                elif found is not None:
                    found.append(entry.path)
        return below


def has_wildcards(name: str) -> bool:
    """Tell whether a name is a pattern.

    Example:
        >>> has_wildcards("2026-*"), has_wildcards("2026")
        (True, False)
    """
    return any(character in name for character in "*?[")


def can_watch(path: str) -> bool:
    """Tell whether the system tells of every change of a directory, or of a glob's in its last part."""
    directory, name = os.path.split(path)
    # The library is installed where the system has what it binds: on Linux.
    if has_wildcards(directory) or importlib.util.find_spec("inotify_simple") is None:
        return False
    kind = file_system_of(directory if has_wildcards(name) else path)
    return kind in LOCAL_FILE_SYSTEMS


def file_system_of(path: str) -> str:
    """Give the kind of the file system that a directory is on, "" when the system does not say.

    Example:
        >>> file_system_of("/proc")
        'proc'
    """
    real = os.path.realpath(path)
    longest, kind = "", ""
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                fields, _, rest = line.partition(" - ")
                point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields.split()[4])
                # Later mounts cover earlier ones at the same point.
                if len(point) >= len(longest) and (real == point or real.startswith(point.rstrip("/") + "/")):
                    longest, kind = point, rest.split()[0]
    except OSError:
        return ""
    return kind

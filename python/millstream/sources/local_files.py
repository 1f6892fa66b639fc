"""Files of a directory of this machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from millstream.environment.clock import Clock
from millstream.errors import SourceUnavailableError
from millstream.model.ports.replayable_source import Split
from millstream.sources.directory_listing import DirectoryListing, DirectoryStamp
from millstream.sources.directory_watch import DirectoryWatch
from millstream.sources.file_place import FileChanges, FilePlace, FoundFile, changed

SWEEP_PAUSE_MS = 60_000
"""How long after one sweep the next begins: a watched directory is gone through all the same, for what nobody told."""

SWEEP_ENTRIES = 1_000
"""How much of a sweep is done at once: some 0.7 ms."""


class LocalFiles(FilePlace):
    """Files of a directory, or of a glob of directories and files.

    What comes and goes is known by notifications of the system where it gives them; then a call costs what happened,
    not what is there. Where it does not, on network file systems and on other systems than Linux, the directory is
    listed, unless its time stamp says that it has been quiet for some seconds.

    Args:
        path: absolute.
        clock: the clock that the file system stamps files with.
        recursive: the files of the directories below too.
        watch: False never asks for notifications.
    """

    looks_again = True

    def __init__(self, path: str, clock: Clock, *, recursive: bool, watch: bool) -> None:
        self.path = path
        self._listing = DirectoryListing(path, clock, recursive=recursive)
        self._clock = clock
        self._recursive = recursive
        self._may_watch = watch
        self._watch: DirectoryWatch | None = None
        self._stamp: DirectoryStamp | None = None
        self._sweep: Iterator[os.DirEntry[str]] | None = None
        self._swept_ms = 0.0

    def __getstate__(self) -> dict[str, Any]:
        # Why so little: executors only read.
        return {"path": self.path}

    def check(self) -> None:
        self._listing.check()

    def changes(self) -> FileChanges | None:
        if self._watch is None:
            stamp = self._listing.stamp()
            if stamp is not None and stamp == self._stamp:
                return FileChanges()
            self._stamp = stamp
            return None
        self._listing.check_device()
        changes = self._watch.changes()
        if changes is None:
            self._unwatch()
            return None
        swept = self._swept()
        return FileChanges([*changes.appeared, *swept], changes.gone) if swept else changes

    def listing(self, after: str | None) -> Iterator[tuple[str, Any]]:
        self._unwatch()
        if self._may_watch:
            # Why first: what comes while the directory is listed is in the listing, or told.
            self._begin_watch()
        for entry in self._listing.entries():
            yield entry.path, entry
        self._swept_ms = self._clock.wall_ms()

    def look(self, path: str, entry: Any = None) -> FoundFile | None:
        try:
            status = os.stat(path) if entry is None else entry.stat()
        except OSError:
            return None
        return FoundFile(path, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None

    @contextmanager
    def reading(self, split: Split) -> Iterator[bytes | None]:
        try:
            _check_unchanged(split)
            try:
                yield None
            finally:
                # Why after an error too: a file that is still being written is the usual cause of one.
                _check_unchanged(split)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise SourceUnavailableError(
                "A file could not be read.",
                detail=f"{split.data['path']}: {error.strerror or error}.",
                hint="Check its permissions and the disk; it is tried again.",
            ) from error

    def close(self) -> None:
        self._unwatch()

    def _begin_watch(self) -> None:
        try:
            self._watch = DirectoryWatch.begun(self.path, recursive=self._recursive)
        except OSError:
            # The listing that comes says what is wrong.
            return
        self._may_watch = self._watch is not None

    def _unwatch(self) -> None:
        self._sweep = None
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _swept(self) -> list[str]:
        """Go through the next part of the directory, if it is time for that."""
        now_ms = self._clock.wall_ms()
        if self._sweep is None:
            if 0 <= now_ms - self._swept_ms < SWEEP_PAUSE_MS:
                return []
            self._sweep = self._listing.entries()
        found = [entry.path for entry in islice(self._sweep, SWEEP_ENTRIES)]
        if len(found) < SWEEP_ENTRIES:
            self._sweep = None
            self._swept_ms = now_ms
        return found


def _check_unchanged(split: Split) -> None:
    status = os.stat(split.data["path"])
    now = FoundFile(split.data["path"], status.st_size, status.st_mtime_ns)
    if (now.size, now.mtime_ns) != (split.data["size"], split.data["mtime_ns"]):
        raise changed(split, now)

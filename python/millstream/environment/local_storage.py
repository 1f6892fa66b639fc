"""Storage in a directory on a local disk."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from millstream.environment.clock import Clock, SystemClock
from millstream.environment.file_lock import FileLock
from millstream.environment.local_directory import LocalDirectory
from millstream.environment.lock import Lock
from millstream.environment.storage import AppendFile, Storage
from millstream.errors import ConfigurationError, StorageUnavailableError

if TYPE_CHECKING:
    from millstream._core import AppendFile as CoreAppendFile

UNFINISHED = ".unfinished"
"""Folder of files that `create` has not finished; what is there when the lock is taken was left by a crash."""

LOCK = "lock"
"""Name of the lock file."""

PIECE_BYTES = 256 << 10
"""Longer files are synced after so much each. A sync of another file, such as the journal's, waits for what the disk
was given before: beside a file of 20 MB that was written at once 16 ms at p90, in pieces 7 ms, as beside none. Pieces
of this size go through the page cache, so that a merge reads the file from memory: beside one that read it from the
disk, an append to the journal took 11 ms."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM}
_BROKEN = {errno.EIO, errno.ENXIO, errno.ESTALE}


class LocalStorage(Storage):
    """Files below one directory of a file system that keeps what was synced.

    Names in directories are synced with the files: when a call returns, both survive a crash.

    Args:
        root: the directory; made, with those above it, by the first call that writes.
        clock: for the start time in the lock.

    Raises:
        ConfigurationError: the root is a file.

    Example:
        >>> import tempfile
        >>> storage = LocalStorage(tempfile.mkdtemp())
        >>> storage.create("a/b", b"data"), storage.create("a/b", b"other")
        (True, False)
        >>> storage.read("a/b"), storage.names("a"), storage.size_bytes("a/b")
        (b'data', ['b'], 4)
    """

    def __init__(self, root: str | os.PathLike[str], *, clock: Clock | None = None) -> None:
        self.place = os.path.abspath(os.fspath(root))
        if os.path.exists(self.place) and not os.path.isdir(self.place):
            raise ConfigurationError(
                "A checkpoint needs a directory.",
                detail=f"{self.place} is a file.",
                hint="Give the path of a directory, or of one that does not exist yet.",
            )
        self._directory = LocalDirectory(self.place)
        self._clock = clock if clock is not None else SystemClock()
        self._folders_made: set[str] = set()
        self._unfinished_numbers = itertools.count()

    def read(self, name: str) -> bytes:
        with self._reported(name, "read"), open(self._directory.full(name), "rb") as file:
            return file.read()

    def create(self, name: str, data: bytes | memoryview) -> bool:
        directory = self._directory
        with self._reported(name, "created"):
            if directory.exists(name):
                # Why: who made it before may have been stopped before its own sync.
                directory.sync(os.path.dirname(name))
                return False
            self._make_folder(UNFINISHED)
            self._make_folder(os.path.dirname(name))
            unfinished = self._write_unfinished(data)
            try:
                return directory.link_new(unfinished, name)
            finally:
                directory.remove(unfinished)

    def names(self, folder: str) -> list[str]:
        with self._reported(folder, "listed"):
            full = self._directory.full(folder)
            return sorted(name for name in self._directory.names(folder) if os.path.isfile(os.path.join(full, name)))

    def remove(self, name: str) -> None:
        with self._reported(name, "removed"):
            if self._directory.exists(name):
                self._directory.remove(name)
                self._directory.sync(os.path.dirname(name))

    def size_bytes(self, name: str) -> int:
        with self._reported(name, "read"):
            return os.stat(self._directory.full(name)).st_size

    def append_file(self, name: str, *, size_bytes: int) -> LocalAppendFile:
        from millstream._core import AppendFile as CoreAppendFile

        with self._reported(name, "created"):
            self._make_folder(os.path.dirname(name))
            full = self._directory.full(name)
            file = CoreAppendFile(full, size_bytes)
            try:
                self._directory.sync(os.path.dirname(name))
            except OSError:
                file.close()
                self._directory.remove(name)
                raise
            return LocalAppendFile(file, full)

    def lock(self, holder: str, *, takeover: bool = False) -> Lock:
        with self._reported(LOCK, "locked"):
            self._make_folder("")
            lock = FileLock(self._directory.full(LOCK), holder, self._clock)
        try:
            self._remove_unfinished()
        except BaseException:
            lock.release()
            raise
        return lock

    def _remove_unfinished(self) -> None:
        for name in self.names(UNFINISHED):
            self.remove(f"{UNFINISHED}/{name}")

    def _write_unfinished(self, data: bytes | memoryview) -> str:
        """Write a file that has no name of its own yet, durably, and give where it is."""
        if len(data) <= PIECE_BYTES:
            return self._directory.create(self._unfinished_name, lambda file: file.write(data))[0]
        unfinished, file = self._open_unfinished(len(data))
        try:
            view = memoryview(data)
            for begin in range(0, len(view), PIECE_BYTES):
                file.append([view[begin : begin + PIECE_BYTES]])
            file.close()
        except BaseException:
            self._directory.remove(unfinished)
            raise
        return unfinished

    def _open_unfinished(self, size_bytes: int) -> tuple[str, CoreAppendFile]:
        from millstream._core import AppendFile as CoreAppendFile

        while True:
            unfinished = self._unfinished_name(0)
            # Names of this process are free, unless it has the number of one that was killed.
            with contextlib.suppress(FileExistsError):
                return unfinished, CoreAppendFile(self._directory.full(unfinished), size_bytes)

    def _unfinished_name(self, _attempt: int) -> str:
        return f"{UNFINISHED}/{os.getpid()}-{next(self._unfinished_numbers)}"

    def _make_folder(self, folder: str) -> None:
        if folder not in self._folders_made:
            self._directory.make(folder)
            self._folders_made.add(folder)

    @contextlib.contextmanager
    def _reported(self, name: str, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                if done == "read":
                    raise
                # Somebody removed a folder: the next try makes it again.
                self._folders_made.clear()
            raise _unavailable(self._directory.full(name), done, error) from error


class LocalAppendFile(AppendFile):
    """A file of the core that is written at its end only."""

    def __init__(self, file: CoreAppendFile, path: str) -> None:
        self._file = file
        self._path = path

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        try:
            self._file.write(pieces)
        except (OSError, RuntimeError) as error:
            raise _unavailable(self._path, "written", error) from error

    def append(self, pieces: Sequence[bytes | memoryview]) -> None:
        try:
            self._file.append(pieces)
        except (OSError, RuntimeError) as error:
            raise _unavailable(self._path, "written", error) from error

    def sync(self) -> None:
        try:
            self._file.sync()
        except (OSError, RuntimeError) as error:
            raise _unavailable(self._path, "synced", error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except (OSError, RuntimeError) as error:
            raise _unavailable(self._path, "closed", error) from error


def _unavailable(path: str, done: str, error: OSError | RuntimeError) -> StorageUnavailableError:
    code = error.errno if isinstance(error, OSError) else None
    if code in _NO_SPACE:
        hint = "Free some space on the disk, raise the quota, or keep fewer savepoints."
    elif code in _NOT_ALLOWED:
        hint = "Give the user that runs the program the right to write there."
    elif code == errno.EROFS:
        hint = "Mount the file system for writing; after errors of the disk the system may have made it read-only."
    elif code in _BROKEN:
        hint = "Look at the disk and the system's log; the disk may be failing or gone."
    elif code == errno.EFBIG:
        hint = "Raise the limit on the size of files (ulimit -f)."
    elif code in {errno.EMFILE, errno.ENFILE}:
        hint = "Raise the limit on open files (ulimit -n)."
    else:
        hint = "Look at the directory and its file system."
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return StorageUnavailableError(
        "The checkpoint's storage is not available.", detail=f"{path} cannot be {done}: {reason}.", hint=hint
    )

"""Records of the files that appear in a directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from millstream.environment.clock import Clock, SystemClock
from millstream.environment.logger import logger
from millstream.errors import (
    ArgumentTypeError,
    ConfigurationError,
    DataError,
    SourceUnavailableError,
    UserCodeError,
    shown,
)
from millstream.model.accumulator import Accumulator
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.sources.directory_listing import DirectoryListing, DirectoryStamp
from millstream.sources.formats.file_format import FileFormat, FileRecords, MalformedFileError

T = TypeVar("T")

OnMissing: TypeAlias = Literal["fail", "skip"]
"""What happens when a file is gone before it was read."""


@dataclass(frozen=True, slots=True, order=True)
class _File:
    """A file that no batch has taken; sorted by age, then by path."""

    mtime_ns: int
    path: str
    size: int


class FileSource(ReplayableSource[T]):
    r"""The records of files in a directory, each file exactly once, as one split.

    Every file that appears is taken by the next batch, however late it appears and however old its time of
    modification is; older files come first, those of one age by path. Names of files that were taken are remembered
    while they are listed, so a file that is removed and comes back is a new one. Left out are names that begin with
    `.` or `_`, directories, and files as long as they are empty.

    Write a file elsewhere on the same disk, and move it into the directory when it is whole: one that still grows
    when its batch reads it is refused. What is appended to a file after it was read is not noticed.

    Args:
        path: a directory of this machine, or a glob such as `/data/2026-*` or `/data/*.log`, whose directories
            and files are meant.
        format: how files are read.
        new_files_only: leave out the files that are there at the very first start.
        filter: given a path, says whether the file is taken; called once for each file that is listed and not
            remembered, in every batch. None takes all.
        recursive: take the files of the directories below too, whatever their depth; not of those whose names begin
            with `.` or `_`, and not through links.
        on_missing: what happens when a file is gone before its batch reads it: `fail` stops the stream, `skip` goes
            on without its records, with a warning.
        clock: the clock that the file system stamps files with; None: the machine's.
        operator: the method that made it, for errors of the filter.

    Raises:
        ConfigurationError: an argument cannot work.

    Example:
        >>> import pathlib, tempfile
        >>> directory = pathlib.Path(tempfile.mkdtemp())
        >>> from millstream.sources.formats.text_format import TextFormat
        >>> source = FileSource(directory, TextFormat())
        >>> source.open(None)
        >>> _ = (directory / "a.txt").write_text("one\ntwo\n")
        >>> plan = source.plan(1_000, None, None)
        >>> source.read(plan.splits[0]).rows()
        ['one', 'two']
        >>> source.plan(2_000, plan.position, None).splits
        []
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        format: FileFormat[T],
        *,
        new_files_only: bool = True,
        filter: Callable[[str], bool] | None = None,
        recursive: bool = False,
        on_missing: OnMissing = "fail",
        clock: Clock | None = None,
        operator: str = "file_stream",
    ) -> None:
        if on_missing not in get_args(OnMissing):
            raise ConfigurationError(
                "on_missing has a value that it cannot have.",
                detail=f"on_missing={shown(on_missing)}.",
                hint='Give "fail" or "skip".',
            )
        if not isinstance(path, (str, os.PathLike)):
            raise ArgumentTypeError(
                "A file stream needs a directory.",
                detail=f"{shown(path)} is of type {type(path).__name__}.",
                hint="Give a path of this machine, or a glob of directories or files.",
            )
        self.path = os.path.abspath(os.fspath(path))
        self.name = f"{format.name} files {self.path}"
        self.format = format
        self._new_files_only = new_files_only
        self._filter = filter
        self._operator = operator
        self._on_missing = on_missing
        self._listing = DirectoryListing(self.path, clock if clock is not None else SystemClock(), recursive=recursive)
        self._first: dict[str, int] = {}
        self._quiet: tuple[DirectoryStamp, Any] | None = None
        self._invalid = Accumulator(0)

    def __getstate__(self) -> dict[str, Any]:
        # Why without these: executors only read, and what is remembered may be long.
        return {**self.__dict__, "_filter": None, "_first": {}, "_quiet": None, "_listing": None}

    def open(self, position: Any) -> None:
        """Check the directory, and note what is there at the very first start.

        Raises:
            ConfigurationError: the directory is missing, is a file, or may not be read.
        """
        self._listing.check()
        if position is None and self._new_files_only:
            self._first = {entry.path: 0 for entry in self._listing.entries() if _looked_at(entry) is not None}

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Take the files that no batch has taken.

        The position is the files that were taken and are still listed, each with the batch that took it (0: it was
        there at the very first start). A directory that has been quiet for some seconds is not listed again.

        Raises:
            SourceUnavailableError: the directory is gone, may not be read any more, or is another disk's now.
            UserCodeError: the filter raised.
        """
        taken: dict[str, int] = self._first if after is None else after
        stamp = self._listing.stamp()
        if stamp is not None and self._quiet is not None and stamp == self._quiet[0] and taken is self._quiet[1]:
            return Plan([], taken, 0)
        still: list[str] = []
        found: list[_File] = []
        all_taken = True
        for entry in self._listing.entries():
            if entry.path in taken:
                still.append(entry.path)
                continue
            all_taken = False
            if self._is_meant(entry.path) and (file := _looked_at(entry)) is not None:
                found.append(file)
        found.sort()
        batch = found if limit is None else found[:limit]
        position = taken
        if batch or len(still) < len(taken):
            position = {**{path: taken[path] for path in still}, **{file.path: batch_ms for file in batch}}
        # Why not while a file waits that was left out: it may be taken later without a change of the directory.
        self._quiet = (stamp, position) if stamp is not None and all_taken else None
        return Plan([_split(file) for file in batch], position, len(found) - len(batch))

    @property
    def invalid(self) -> int:
        """How many records were malformed."""
        return self._invalid.value

    def read(self, split: Split) -> Partition[T]:
        """Read the records of one file.

        Raises:
            DataError: the file has changed since it was planned; it is gone and `on_missing` is `fail`; or it, or a
                record of it, cannot be understood, and the policy of the format is to fail.
            SourceUnavailableError: it could not be read.
        """
        path = split.data["path"]
        try:
            _check_unchanged(split)
            try:
                found = self._found(path)
            finally:
                # Why after an error too: a file that is still being written is the usual cause of one.
                _check_unchanged(split)
        except FileNotFoundError as error:
            if self._on_missing == "fail":
                raise _gone(split) from error
            logger.warning("%s was gone before it was read, and is left out.", path)
            return Partition([])
        except OSError as error:
            raise SourceUnavailableError(
                "A file could not be read.",
                detail=f"{path}: {error.strerror or error}.",
                hint="Check its permissions and the disk; it is tried again.",
            ) from error
        self._invalid.add(found.invalid)
        return found.partition

    def _found(self, path: str) -> FileRecords[T]:
        try:
            found = self.format.read(path)
        except MalformedFileError as error:
            if self.format.on_malformed != "skip":
                raise
            logger.warning("%s is left out. %s", path, error)
            return FileRecords(Partition([]), 1)
        if found.invalid:
            first = f" The first: {found.first}" if found.first else ""
            logger.warning("%s has %d %s.%s", path, found.invalid, self.format.invalid_text, first)
        return found

    def _is_meant(self, path: str) -> bool:
        if self._filter is None:
            return True
        try:
            return bool(self._filter(path))
        except Exception as error:
            raise UserCodeError(
                f"The filter of {self.name} raised {type(error).__name__}: {error}",
                operator=self._operator,
                record=shown(path),
                detail=f"It was given {path}.",
                hint="The traceback of the cause shows the line.",
            ) from error


def _looked_at(entry: os.DirEntry[str]) -> _File | None:
    """Give the file unless it is gone, still empty, or no file."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        return None
    if status.st_size == 0 or not stat.S_ISREG(status.st_mode):
        return None
    return _File(status.st_mtime_ns, entry.path, status.st_size)


def _split(file: _File) -> Split:
    data = {"path": file.path, "size": file.size, "mtime_ns": file.mtime_ns}
    return Split(data, description=file.path)


def _check_unchanged(split: Split) -> None:
    path, size, mtime_ns = (split.data[name] for name in ("path", "size", "mtime_ns"))
    status = os.stat(path)
    if (status.st_size, status.st_mtime_ns) == (size, mtime_ns):
        return
    raise DataError(
        "A file has changed since its batch was planned.",
        detail=f"{path} had {size} bytes and has {status.st_size}; modified at {mtime_ns} ns, and at "
        f"{status.st_mtime_ns} ns.",
        hint="Write a file elsewhere on the same disk and move it into the directory when it is whole.",
    )


def _gone(split: Split) -> DataError:
    return DataError(
        "A file was gone before its batch read it.",
        detail=f"{split.data['path']}, {split.data['size']} bytes when the batch was planned.",
        hint='Keep files until their batch is done; or give on_missing="skip" to go on without their records.',
    )

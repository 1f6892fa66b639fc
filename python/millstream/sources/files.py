"""Records of the files that appear in a directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, TypeVar

from millstream.environment.clock import Clock, SystemClock
from millstream.environment.logger import logger
from millstream.environment.object_url import is_object_url
from millstream.errors import (
    ArgumentTypeError,
    ConfigurationError,
    DataError,
    UserCodeError,
    shown,
)
from millstream.model.accumulator import Accumulator
from millstream.model.choices import one_of
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.sources.file_place import FileChanges, FilePlace, FoundFile
from millstream.sources.formats.file_format import FileFormat, FileRecords, MalformedFileError
from millstream.sources.local_files import LocalFiles
from millstream.sources.object_files import ObjectFiles
from millstream.sources.taken_files import TakenFiles
from millstream.sources.waiting_files import WaitingFiles

T = TypeVar("T")

OnMissing: TypeAlias = Literal["fail", "skip"]
"""What happens when a file is gone before it was read."""


class FileSource(ReplayableSource[T]):
    r"""The records of files in a directory, each file exactly once, as one split.

    Every file that appears is taken by the next batch, however late it appears and however old its time of
    modification is; older files come first, those of one age by path. Names of files that were taken are remembered
    while they are there, so a file that is removed and comes back is a new one. Left out are names that begin with
    `.` or `_`, directories, and files as long as they are empty.

    Write a file elsewhere on the same disk, and move it into the directory when it is whole: one that still grows
    when its batch reads it is refused. What is appended to a file after it was read is not noticed.

    Args:
        path: a directory of this machine, or a glob such as `/data/2026-*` or `/data/*.log`, whose directories
            and files are meant; or the URL of a prefix on an object store, such as `s3://bucket/in`.
        format: how files are read.
        new_files_only: leave out the files that are there at the very first start.
        filter: given a path, says whether the file is taken; called in every batch for each file that is there and
            was not taken. None takes all.
        recursive: take the files of the directories below too, whatever their depth; not of those whose names begin
            with `.` or `_`, and not through links.
        on_missing: what happens when a file is gone before its batch reads it: `fail` stops the stream, `skip` goes
            on without its records, with a warning.
        clock: the clock that the file system stamps files with; None: the machine's.
        operator: the method that made it, for errors of the filter.
        watch: have Linux tell what comes and goes, where it can; False lists the directory instead.
        names_grow: every later object has a greater name (by time, or numbered with zeros in front); then a listing
            begins after the greatest that was taken, and a smaller name that comes later is never read. For object
            stores alone.
        storage_options: settings of the object store by obstore's names.

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
        watch: bool = True,
        names_grow: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        one_of("on_missing", on_missing, OnMissing)
        if not isinstance(path, (str, os.PathLike)):
            raise ArgumentTypeError(
                "A file stream needs a directory.",
                detail=f"{shown(path)} is of type {type(path).__name__}.",
                hint="Give a path of this machine, a glob of directories or files, or a URL such as s3://bucket/in.",
            )
        text = os.fspath(path)
        self._place: FilePlace
        if is_object_url(text):
            self._place = ObjectFiles(text.rstrip("/"), storage_options, recursive=recursive)
        else:
            _check_local(text, names_grow, storage_options)
            wall = clock if clock is not None else SystemClock()
            self._place = LocalFiles(os.path.abspath(text), wall, recursive=recursive, watch=watch)
        self.path = self._place.path
        self.name = f"{format.name} files {self.path}"
        self.format = format
        self._new_files_only = new_files_only
        self._filter = filter
        self._operator = operator
        self._on_missing = on_missing
        self._names_grow = names_grow
        self._taken = TakenFiles(only_greatest=names_grow)
        self._waiting = WaitingFiles(by_name=names_grow)
        self._gone: dict[str, None] = {}
        self._is_listed = False
        self._invalid = Accumulator(0)

    def __getstate__(self) -> dict[str, Any]:
        # Why without these: executors only read, and what is remembered may be long.
        return {**self.__dict__, "_filter": None, "_taken": None, "_waiting": None, "_gone": None}

    def open(self, position: Any) -> None:
        """Check the directory, and note what is there at the very first start.

        Raises:
            ConfigurationError: the directory is missing, is a file, or may not be read.
        """
        self._place.check()
        first: list[str] = []
        if position is None and self._new_files_only:
            for path, entry in self._place.listing(None):
                file = self._place.look(path, entry)
                if file is not None and file.size:
                    first.append(path)
                elif file is not None:
                    self._waiting.unready[path] = None
            self._is_listed = True
        self._taken.begin(position, first)

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Take the files that no batch has taken.

        The position is the files that were taken and are still there, each with the batch that took it (0: it was
        there at the very first start), told as what changed.

        Raises:
            SourceUnavailableError: the directory is gone, may not be read any more, or is another disk's now.
            UserCodeError: the filter raised.
        """
        match self._taken.go_on_from(after):
            case "settled":
                self._waiting.settle()
                self._gone.clear()
            case "undone":
                self._waiting.put_back()
            case "elsewhere":
                self._waiting.clear()
                self._gone.clear()
                self._is_listed = False
        self._notice()
        look = self._look_again if self._place.looks_again else _as_it_was
        batch = self._waiting.take(limit, look)
        position = self._taken.take([file.path for file in batch], self._gone, batch_ms)
        return Plan([file.split() for file in batch], position, len(self._waiting))

    def _notice(self) -> None:
        """Find out what is there."""
        changes = self._place.changes() if self._is_listed else None
        # Why: when this is interrupted by an error, what was told is lost, and only a listing helps.
        self._is_listed = False
        if changes is None:
            self._list()
        else:
            self._follow(changes)
        self._is_listed = True

    def _list(self) -> None:
        """Go through all that is there."""
        seen: set[str] = set()
        for path, entry in self._place.listing(self._taken.greatest if self._names_grow else None):
            seen.add(path)
            if path not in self._taken and (path not in self._waiting or not self._place.looks_again):
                self._consider(path, entry)
        self._waiting.forget_all_but(seen)
        if not self._names_grow:
            self._gone = dict.fromkeys(path for path in self._taken if path not in seen)

    def _follow(self, changes: FileChanges) -> None:
        """Take in what happened."""
        for path in changes.gone:
            self._waiting.discard(path)
            if path in self._taken:
                self._gone[path] = None
        again = list(self._waiting.unready)
        for path in dict.fromkeys([*changes.appeared, *again]):
            # Why not what waits: it is looked at when a batch takes it.
            if path not in self._waiting and (path not in self._taken or path in self._gone):
                self._consider(path)

    def _consider(self, path: str, entry: Any = None) -> None:
        """Have a file wait if it is meant, and has something in it."""
        is_meant = self._is_meant(path)
        file = self._place.look(path, entry)
        if file is not None and is_meant and self._waiting.get(path) == file:
            return
        self._waiting.discard(path)
        if file is not None and is_meant and file.size:
            self._waiting.add(file)
        elif file is not None:
            self._waiting.unready[path] = None

    def _look_again(self, file: FoundFile) -> FoundFile | None:
        return self._place.look(file.path)

    def close(self) -> None:
        """Watch no more."""
        self._place.close()

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
            with self._place.reading(split) as content:
                found = self._found(path, content)
        except FileNotFoundError as error:
            if self._on_missing == "fail":
                raise _gone(split) from error
            logger.warning("%s was gone before it was read, and is left out.", path)
            return Partition([])
        self._invalid.add(found.invalid)
        return found.partition

    def _found(self, path: str, content: bytes | None) -> FileRecords[T]:
        try:
            found = self.format.read(path) if content is None else self.format.read(path, content)
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


def _as_it_was(file: FoundFile) -> FoundFile | None:
    return file


def _check_local(path: str, names_grow: bool, storage_options: Mapping[str, Any] | None) -> None:
    if "://" in path:
        raise ConfigurationError(
            "A file stream does not know this kind of place.",
            detail=f"{path.partition('://')[0]}:// is no object store.",
            hint="Give a path of this machine, or s3://bucket/path, gs://bucket/path, az://container/path.",
        )
    given = [name for name, value in (("names_grow", names_grow), ("storage_options", storage_options)) if value]
    if given:
        raise ConfigurationError(
            f"{given[0]} is for object stores.",
            detail=f"{path} is a directory of this machine.",
            hint=f"Leave {given[0]} out, or give a URL such as s3://bucket/in.",
        )


def _gone(split: Split) -> DataError:
    return DataError(
        "A file was gone before its batch read it.",
        detail=f"{split.data['path']}, {split.data['size']} bytes when the batch was planned.",
        hint='Keep files until their batch is done; or give on_missing="skip" to go on without their records.',
    )

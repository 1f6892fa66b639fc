"""Files of this machine as they are when an RDD of them is made, and sources that read them later."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from millstream.errors import ArgumentTypeError, ConfigurationError, DataError, SourceUnavailableError, shown
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as it was when it was listed.

    Attributes:
        path: absolute.
        size: bytes.
        mtime_ns: when it was last written, nanoseconds since the epoch.
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> ListedFile:
        """Take a file out of the data of a split."""
        return cls(data["path"], data["size"], data["mtime_ns"])

    def data(self) -> dict[str, Any]:
        """Give the file as data of a split."""
        return asdict(self)

    @contextmanager
    def read_by(self, method: str) -> Iterator[None]:
        """Have the file read in a `with` block.

        Args:
            method: what listed it, for errors.

        Raises:
            DataError: it has changed since it was listed.
            SourceUnavailableError: it cannot be read.
        """
        try:
            self._check_unchanged(method)
            yield
        except OSError as error:
            raise SourceUnavailableError(
                "A file cannot be read.",
                detail=f"{self.path}: {type(error).__name__}: {error}",
                hint=f"It was there when {method}() listed it: put it back and run the action again.",
            ) from error

    def _check_unchanged(self, method: str) -> None:
        stat = os.stat(self.path)
        if stat.st_size != self.size or stat.st_mtime_ns != self.mtime_ns:
            raise DataError(
                "A file has changed since it was listed.",
                detail=f"{self.path} had {self.size} bytes and now has {stat.st_size}.",
                hint=f"Call {method}() again, when nobody writes into the file any more.",
            )


class ListedFiles(ReplayableSource[T]):
    """A source whose splits are all known at the start.

    Args:
        splits: in the order of their records.
    """

    def __init__(self, splits: list[Split]) -> None:
        self._splits = splits

    def splits(self) -> list[Split]:
        """Give all splits, in the order of their records."""
        return self._splits

    def open(self, position: Any) -> None:
        """There is nothing to get ready."""

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Put everything into the first batch."""
        return Plan([] if after else self._splits, position=True)


def listed_files(path: str | os.PathLike[str], method: str, kind: str = "file") -> list[ListedFile]:
    """List the files that a path stands for, in the order of their names.

    Args:
        path: a file, a directory (all files in it but those named `.…` or `_…`) or a glob.
        method: what lists, for errors.
        kind: what it reads, for errors.

    Raises:
        ConfigurationError: there is no such file.
        SourceUnavailableError: a file cannot be looked at.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentTypeError(
            f"{method} needs a path.",
            detail=f"path={shown(path)} is of type {type(path).__name__}.",
            hint="Give a file, a directory or a glob such as 'logs/*.txt'.",
        )
    name = os.fspath(path)
    place = Path(name)
    if place.is_dir():
        found = [file for file in sorted(place.iterdir()) if file.is_file() and file.name[0] not in "._"]
        nothing = "The directory has no files but hidden ones."
    elif place.exists():
        found = [place]
    else:
        found = [Path(match) for match in sorted(glob.glob(name)) if os.path.isfile(match)]
        nothing = "Nothing has this name or matches it as a glob."
    if not found:
        raise ConfigurationError(
            f"There is no such {kind}.",
            detail=f"path={name!r}. {nothing} Relative paths start at {os.getcwd()}.",
            hint=f"Check the path; {method} reads files of this machine.",
        )
    return _looked_at(found)


def _looked_at(files: Sequence[Path]) -> list[ListedFile]:
    try:
        stats = [(str(file.absolute()), file.stat()) for file in files]
    except OSError as error:
        raise SourceUnavailableError(
            "A file cannot be looked at.",
            detail=f"{type(error).__name__}: {error}",
            hint="Check that it is still there and that this user may read it.",
        ) from error
    return [ListedFile(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]

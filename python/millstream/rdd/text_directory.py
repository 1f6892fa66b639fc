"""A directory of text files that becomes visible as a whole."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from millstream.errors import ConfigurationError, StorageUnavailableError
from millstream.model.label import Label
from millstream.model.partition import PartitionData, rows_of
from millstream.rdd.failures import function_failed


class TextDirectory:
    """Makes a directory under a temporary name; it gets its own when the `with` block ends without an error.

    Args:
        path: the directory to make.

    Raises:
        ConfigurationError: `path` exists, or its parent does not.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        if self.path.exists() or self.path.is_symlink():
            raise ConfigurationError(
                "The directory to write exists already.",
                detail=f"path={os.fspath(path)!r}.",
                hint="Name a new directory, or remove this one first: what is there is never overwritten.",
            )
        if not self.path.parent.is_dir():
            raise ConfigurationError(
                "The directory to write has no parent directory.",
                detail=f"{str(self.path.parent)!r} is not a directory.",
                hint="Make it first, or name a place that exists.",
            )

    def __enter__(self) -> str:
        self._staging = self._made()
        return str(self._staging)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            shutil.rmtree(self._staging, ignore_errors=True)
            return
        try:
            # Renaming replaces an empty directory that somebody made meanwhile, and nothing else.
            self._staging.rename(self.path)
        except OSError as problem:
            shutil.rmtree(self._staging, ignore_errors=True)
            raise _not_written(self.path, problem) from problem

    def _made(self) -> Path:
        for attempt in itertools.count():
            staging = self.path.with_name(f".{self.path.name}.{os.getpid()}-{attempt}.partial")
            try:
                staging.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise _not_written(self.path, error) from error
            return staging
        raise AssertionError


@dataclass(frozen=True, slots=True)
class WriteTextPart:
    """Writes the records of one partition as lines, in a task.

    Args:
        directory: where to.
        label: the operator, for errors.
    """

    directory: str
    label: Label

    def __call__(self, _batch: Any, index: int, data: PartitionData) -> None:
        path = Path(self.directory, f"part-{index:05d}")
        # A repeated task writes beside what an earlier attempt may still be writing, and takes its place whole.
        attempt = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with attempt.open("wb") as file:
                file.writelines(self._line(record) for record in rows_of(data))
            attempt.rename(path)
        except OSError as error:
            raise _not_written(path, error) from error

    def _line(self, record: object) -> bytes:
        try:
            return (record if isinstance(record, bytes) else str(record).encode()) + b"\n"
        except Exception as error:
            raise function_failed(self.label, error, "writing", record) from error


def _not_written(path: Path, error: OSError) -> StorageUnavailableError:
    return StorageUnavailableError(
        "Text files could not be written.",
        detail=f"{path}: {type(error).__name__}: {error}",
        hint="Check that the disk has room and that this user may write there.",
    )

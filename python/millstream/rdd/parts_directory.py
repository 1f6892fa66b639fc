"""A directory of files, one for each partition, that becomes visible as a whole."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from millstream.errors import ConfigurationError, StorageUnavailableError


class PartsDirectory:
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


def write_part(directory: str, index: int, chunks: Iterable[bytes]) -> None:
    """Write the file of one partition, in a task.

    A repeated task writes beside what an earlier attempt may still be writing, and takes its place whole.

    Args:
        directory: where to, a `PartsDirectory` that is being made.
        index: the partition.
        chunks: what the file consists of.

    Raises:
        StorageUnavailableError: the file cannot be written.
    """
    path = Path(directory, f"part-{index:05d}")
    attempt = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with attempt.open("wb") as file:
            file.writelines(chunks)
        attempt.rename(path)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> StorageUnavailableError:
    return StorageUnavailableError(
        "Files could not be written.",
        detail=f"{path}: {type(error).__name__}: {error}",
        hint="Check that the disk has room and that this user may write there.",
    )

"""The port of places where files appear, and what it tells about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from millstream.errors import DataError
from millstream.model.ports.replayable_source import Split


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as it is now.

    Attributes:
        path: absolute, or the URL of an object.
        size: bytes; 0 is a file that waits to be filled.
        mtime_ns: when it was last written, nanoseconds since the epoch.
        tag: changes with the content, where the place has such tags.
    """

    path: str
    size: int
    mtime_ns: int
    tag: str = ""

    def split(self) -> Split:
        """Give the split that pins the file."""
        data = {"path": self.path, "size": self.size, "mtime_ns": self.mtime_ns}
        return Split(data | ({"tag": self.tag} if self.tag else {}), description=self.path)


@dataclass(frozen=True, slots=True)
class FileChanges:
    """What happened to the files of a place.

    Attributes:
        appeared: paths that came, or were written; some may be known.
        gone: paths that went, and may be back.
    """

    appeared: Sequence[str] = ()
    gone: Sequence[str] = ()


class FilePlace(ABC):
    """A directory, a glob of them, or a prefix on an object store.

    `check`, `changes`, `listing`, `look` and `close` are called on the driver, from one thread; `reading` on executors,
    on a pickled copy.
    """

    path: str
    """The place as people know it."""

    looks_again: bool
    """Whether a file is looked at again when a batch takes it; otherwise what `listing` said of it holds."""

    @abstractmethod
    def check(self) -> None:
        """Check that the place can be listed.

        Raises:
            ConfigurationError: it never can.
        """

    @abstractmethod
    def changes(self) -> FileChanges | None:
        """Tell what happened since the last call, or since the listing; None: only a listing can tell.

        Raises:
            SourceUnavailableError: the place is gone.
        """

    @abstractmethod
    def listing(self, after: str | None) -> Iterator[tuple[str, Any]]:
        """Give the paths of all files, in no order, each with what `look` may know it by.

        Args:
            after: only paths greater than this one are wanted; only for places that can do that.

        Raises:
            SourceUnavailableError: the place cannot be listed now.
        """

    @abstractmethod
    def look(self, path: str, entry: Any = None) -> FoundFile | None:
        """Look at a file; None: it is gone, or no file."""

    @abstractmethod
    def reading(self, split: Split) -> AbstractContextManager[bytes | None]:
        """Check, before and after a `with` block, that a file is what was planned; give its bytes if it is remote.

        Raises:
            DataError: it has changed.
            FileNotFoundError: it is gone.
            SourceUnavailableError: it could not be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""


def changed(split: Split, now: FoundFile | None) -> DataError:
    """Make the error of a file that is not what was planned.

    Args:
        split: what was planned.
        now: what it is, or None when nobody knows.
    """
    path, size, mtime_ns = (split.data[name] for name in ("path", "size", "mtime_ns"))
    if now is None:
        detail = f"{path} had {size} bytes, and has been replaced."
    else:
        detail = f"{path} had {size} bytes and has {now.size}; modified at {mtime_ns} ns, and at {now.mtime_ns} ns."
    return DataError(
        "A file has changed since its batch was planned.",
        detail=detail,
        hint="Write a file elsewhere on the same disk and move it into the directory when it is whole.",
    )

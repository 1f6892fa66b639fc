"""The port of directories: what file sinks and their readers need of a disk or an object store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO


class SinkDirectory(ABC):
    """A tree of files that are written once, whole, and never changed.

    Paths are relative, with `/` between the parts. Folders come into being with their files. Any thread may use it.

    Methods raise OSError or StorageUnavailableError when the place does not answer, which may pass, and
    ConfigurationError when it can never work.
    """

    place: str
    """The path or the URL, without anything secret, for errors and people."""

    @abstractmethod
    def prepare(self, folder: str) -> None:
        """Get ready for writing.

        Args:
            folder: where the manifests of this output will lie; nobody else writes there.

        Raises:
            ConfigurationError: it is no directory that can be written, or cannot create a file exclusively.
        """

    def tidy(self) -> None:  # noqa: B027 - where `publish` is one request it leaves nothing
        """Clear away what `publish` left unfinished when it was interrupted."""

    @abstractmethod
    def write(self, name_of: Callable[[int], str], write: Callable[[BinaryIO], object]) -> tuple[str, int]:
        """Write a new file under the first of `name_of(0)`, `name_of(1)`, ... that is free.

        Its content is durable when this returns, its name from `keep` on. When `write` raises, nothing is left.

        Returns:
            The path and the size in bytes.
        """

    @abstractmethod
    def keep(self, paths: Sequence[str]) -> None:
        """Make the names of files durable that `write` has written, perhaps in another process."""

    @abstractmethod
    def publish(self, path: str, content: bytes) -> bool:
        """Create a file with this content, whole and durable, if and only if there is none of this name.

        Of all who try, at any time and from anywhere, one succeeds.

        Returns:
            False when there is such a file, which is left alone. It may be what an earlier try of the same call made.
        """

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """Give the content of a file, or None when there is none."""

    def read_each(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        """Give the contents of files in their order, as `read` does."""
        return map(self.read, paths)

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Say whether there is a file."""

    @abstractmethod
    def is_there(self) -> bool:
        """Say whether the directory itself is there."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Give the names of files and folders in a folder, in no order; none when it is not there."""

    @abstractmethod
    def remove(self, paths: Sequence[str]) -> None:
        """Remove files; those that are gone already are fine."""

    def remove_if_empty(self, folder: str) -> None:  # noqa: B027 - object stores have no folders
        """Remove a folder that has no entries."""

    @abstractmethod
    def full(self, path: str) -> str:
        """Give the path for people and errors."""

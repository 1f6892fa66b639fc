"""The port of object stores: the few requests that a checkpoint makes of a bucket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

PROBES = "probes"
"""Folder of throw-away objects, which tell what a store does and what time it has."""


class StoredObject(NamedTuple):
    """An object as it was read.

    Attributes:
        data: its bytes.
        mark: what its maker gave `put_new`; None where the store does not keep it.
    """

    data: bytes
    mark: str | None


class ObjectEntry(NamedTuple):
    """An object as it was listed.

    Attributes:
        name: its name under the prefix; from `list_objects`, inside the folder.
        size_bytes: how long it is.
        modified_ms: when it was made, by the clock of the store, milliseconds since the epoch (UTC); stores give
            whole seconds.
    """

    name: str
    size_bytes: int
    modified_ms: float


class ObjectClient(ABC):
    """Requests to one bucket under one prefix; names are relative, with `/`. Any thread may call it.

    Objects appear whole or not at all, and what one request made or removed every later one sees: S3, GCS and Azure
    promise both.
    """

    place: str
    """The URL of the prefix, without anything secret, for errors and people."""

    @abstractmethod
    def put_new(self, name: str, data: bytes, mark: str) -> bool:
        """Make an object if there is none of this name.

        Args:
            name: where.
            data: the content.
            mark: kept beside the object, so that its maker knows it again; hexadecimal digits.

        Returns:
            True when this request made it. False when the store refused: an object is there, or, by what S3 calls
            a conflict, is not: look. It may be there by an earlier try of the same request.

        Raises:
            StorageUnavailableError: the object may be there or not, or come to be there later.
            ConfigurationError: no such bucket, or no right to it.
        """

    @abstractmethod
    def get(self, name: str) -> StoredObject:
        """Read an object.

        Raises:
            FileNotFoundError: there is none.
            StorageUnavailableError: the store does not answer.
            ConfigurationError: as in `put_new`.
        """

    @abstractmethod
    def list_objects(self, folder: str) -> list[ObjectEntry]:
        """List the objects directly in a folder, sorted by name; [] when there are none. Raises as `get` does."""

    @abstractmethod
    def list_names(self, folder: str) -> list[str]:
        """List the names of the objects and of the folders directly in a folder, sorted. Raises as `get` does."""

    @abstractmethod
    def look(self, name: str) -> ObjectEntry:
        """Give an object's entry; raises as `get` does."""

    @abstractmethod
    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; those that are gone already are fine. Some may be removed when it raises as `get` does."""

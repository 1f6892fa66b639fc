"""A directory of a file sink on an object store."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from millstream.environment.object_client import ObjectClient
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.obstore_client import RETRY_S, ObstoreClient
from millstream.errors import ConfigurationError
from millstream.sinks.sink_directory import SinkDirectory

NAME_TRIES_MAX = 1_000
"""How many names `write` tries; more would mean that something else makes the same names."""


class ObjectSinkDirectory(SinkDirectory):
    """Files as objects under a prefix; a name is given exclusively by a conditional put.

    Args:
        url: `s3://bucket/path`, `gs://bucket/path`, `az://container/path`, or for tests `memory://name`.
        storage_options: settings of the store by obstore's names.
        client: makes the requests; None: obstore.
        retry_s: how long a request is tried again, seconds.
        pause: waits so many seconds between two tries; None: in real time.

    Raises:
        ConfigurationError: a wrong URL or setting, or obstore is not installed.
    """

    def __init__(
        self,
        url: str,
        storage_options: Mapping[str, Any] | None = None,
        *,
        client: ObjectClient | None = None,
        retry_s: float = RETRY_S,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._client = client if client is not None else ObstoreClient(url, storage_options, retry_s=retry_s)
        self._storage = ObjectStorage(self._client, retry_s=retry_s, pause=pause)
        self._in_memory = url.startswith("memory://")
        self.place = self._client.place

    def prepare(self, folder: str) -> None:
        self._storage.probe()

    def write(self, name_of: Callable[[int], str], write: Callable[[BinaryIO], object]) -> tuple[str, int]:
        content = io.BytesIO()
        write(content)
        data = content.getvalue()
        for number in range(NAME_TRIES_MAX):
            path = name_of(number)
            if self._storage.create(path, data):
                return path, len(data)
        raise FileExistsError(f"{name_of(0)} and {NAME_TRIES_MAX} names like it are taken in {self.place}.")

    def keep(self, paths: Sequence[str]) -> None:
        if self._in_memory and not all(map(self.exists, paths)):
            raise ConfigurationError(
                "Objects in memory are seen by one process only.",
                detail=f"{self.place} does not hold what other processes wrote.",
                hint="Use memory:// with the threads backend, and a real store or a local directory otherwise.",
            )

    def publish(self, path: str, content: bytes) -> bool:
        return self._storage.create(path, content)

    def read(self, path: str) -> bytes | None:
        try:
            return self._storage.read(path)
        except FileNotFoundError:
            return None

    def read_each(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        # Nothing that is committed is ever removed, so what was listed can be read.
        return self._storage.read_each(paths)

    def exists(self, path: str) -> bool:
        try:
            self._storage.entry(path)
        except FileNotFoundError:
            return False
        return True

    def is_there(self) -> bool:
        return bool(self.names(""))

    def names(self, folder: str) -> list[str]:
        return self._storage.listing(folder)

    def remove(self, paths: Sequence[str]) -> None:
        if paths:
            self._storage.remove_each(paths)

    def full(self, path: str) -> str:
        return f"{self.place}/{path}"

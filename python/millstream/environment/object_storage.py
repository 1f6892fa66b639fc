"""Storage on an object store, where making an object that is not there yet is the one exclusive step."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from millstream.environment.environment import Environment
from millstream.environment.lease import Lease
from millstream.environment.nonce import Nonce, fresh_nonce
from millstream.environment.object_client import PROBES, ObjectClient, ObjectEntry, StoredObject
from millstream.environment.obstore_client import RETRY_S, ObstoreClient
from millstream.environment.storage import Storage
from millstream.errors import ConfigurationError, StorageUnavailableError

READS_AT_ONCE = 16
"""How many objects are read side by side: one takes 10 to 50 ms, and 16 keep a link of 1 Gbit/s busy."""

REMOVED_AT_ONCE = 1_000
"""How many names one request to remove may hold on S3."""

PROBING_S = 15.0
"""How long requests are tried again while a storage is opened: somebody waits who may have mistyped the endpoint."""

PROBE_MS = 3_600_000
"""Age at which a throw-away object was surely left by a crash."""

PAUSE_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Waits between the tries of a put whose outcome is unknown; the last one repeats."""


class ObjectStorage(Storage):
    """Files as objects of a bucket: made by conditional puts, never changed, removed.

    `create` settles what the network left open: it tries the same put again until the store says yes or no, and after
    a no reads the object, whose mark tells whether an earlier try of the same call made it. So it answers rightly
    where an answer was lost, and gives up with StorageUnavailableError only after `retry_s`.

    Args:
        client: the bucket.
        environment: the clock of the retries.
        retry_s: how long a put is tried again, seconds; at most twice as long passes, as the last try may take long.
        reads_at_once: how many objects `read_each` reads side by side, at least 1.
        pause: waits so many seconds between two tries.
        nonce: what marks come from.
    """

    def __init__(
        self,
        client: ObjectClient,
        environment: Environment | None = None,
        *,
        retry_s: float = RETRY_S,
        reads_at_once: int = READS_AT_ONCE,
        pause: Callable[[float], object] | None = None,
        nonce: Nonce = fresh_nonce,
    ) -> None:
        self.place = client.place
        self.environment = environment if environment is not None else Environment()
        self._client = client
        self._retry_ms = retry_s * 1000.0
        self._reads_at_once = reads_at_once
        self._pause = pause if pause is not None else threading.Event().wait
        self.nonce = nonce

    @classmethod
    def open(
        cls,
        url: str,
        storage_options: Mapping[str, Any] | None = None,
        environment: Environment | None = None,
        *,
        retry_s: float = RETRY_S,
    ) -> ObjectStorage:
        """Open a place on an object store and prove that it can hold a checkpoint.

        Args:
            url: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or for tests `memory://name`.
            storage_options: settings of the store by obstore's names; what is not given comes from the environment
                variables and profiles of the store's own tools.
            environment: the clock of the retries.
            retry_s: how long a request is tried again, seconds.

        Raises:
            ConfigurationError: a wrong URL, bucket or setting, no rights, or a store without conditional puts.
            StorageUnavailableError: the store does not answer.

        Example:
            >>> storage = ObjectStorage.open("memory://readme")
            >>> storage.create("greeting", b"hello"), storage.create("greeting", b"again")
            (True, False)
            >>> storage.read("greeting"), storage.names("")
            (b'hello', ['greeting'])
        """
        probing_s = min(retry_s, PROBING_S)
        cls(ObstoreClient(url, storage_options, retry_s=probing_s), environment, retry_s=probing_s).probe()
        return cls(ObstoreClient(url, storage_options, retry_s=retry_s), environment, retry_s=retry_s)

    def probe(self) -> None:
        """Prove by two throw-away puts that the store makes an object only once; raises as `open` does."""
        name = f"{PROBES}/{self.nonce().hex()}"
        try:
            first = self._create(name, b"first")
            second = self._create(name, b"second")
            kept = self._client.get(name).data
            old_ms = self._client.look(name).modified_ms - PROBE_MS
            # What a crash left is older; a young one may be another program's, which looks at it right now.
            left = [entry.name for entry in self._client.list_objects(PROBES) if entry.modified_ms < old_ms]
            self._client.delete([name, *(f"{PROBES}/{each}" for each in left)])
        except FileNotFoundError as error:
            raise StorageUnavailableError(
                f"The object store at {self.place} lost an object right after it was written.",
                detail=name,
                hint="Check that nothing else, such as a rule of the bucket, removes objects there.",
            ) from error
        if not first or second or kept != b"first":
            raise ConfigurationError(
                f"The object store at {self.place} does not keep to conditional puts.",
                detail="An object was made twice under one name, though the second put said: only if it is not there.",
                hint="A checkpoint is safe from a second driver only where the store supports If-None-Match on puts. "
                "S3, Google Cloud Storage, Azure and newer versions of MinIO do.",
            )

    def read(self, name: str) -> bytes:
        return self._get(name).data

    def read_each(self, names: Sequence[str]) -> Iterator[bytes]:
        if self._reads_at_once == 1 or len(names) < 2:
            yield from map(self.read, names)
            return
        under_way: deque[Future[bytes]] = deque()
        with ThreadPoolExecutor(min(self._reads_at_once, len(names)), "millstream-reads") as pool:
            try:
                for name in names:
                    under_way.append(pool.submit(self.read, name))
                    if len(under_way) > 2 * self._reads_at_once:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:
                for reading in under_way:
                    reading.cancel()

    def create(self, name: str, data: bytes | memoryview) -> bool:
        try:
            return self._create(name, bytes(data))
        except ConfigurationError as error:
            raise _lost(error) from error

    def names(self, folder: str) -> list[str]:
        return [entry.name for entry in self.entries(folder)]

    def entries(self, folder: str) -> list[ObjectEntry]:
        """List the objects directly in a folder, sorted by name, with sizes and times by the clock of the store.

        Raises:
            StorageUnavailableError: it cannot be listed now.
        """
        try:
            return self._client.list_objects(folder)
        except ConfigurationError as error:
            raise _lost(error) from error

    def listing(self, folder: str) -> list[str]:
        """List the names of files and folders directly in a folder, sorted; raises as `entries` does."""
        try:
            return self._client.list_names(folder)
        except ConfigurationError as error:
            raise _lost(error) from error

    def entry(self, name: str) -> ObjectEntry:
        """Give one object's entry; raises as `read` does."""
        try:
            return self._client.look(name)
        except ConfigurationError as error:
            raise _lost(error) from error

    def remove(self, name: str) -> None:
        self.remove_each([name])

    def remove_each(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), REMOVED_AT_ONCE):
            try:
                self._client.delete(names[start : start + REMOVED_AT_ONCE])
            except ConfigurationError as error:
                raise _lost(error) from error

    def size_bytes(self, name: str) -> int:
        return self.entry(name).size_bytes

    def lock(self, holder: str, *, takeover: bool = False) -> Lease:
        return Lease(self, holder, takeover=takeover)

    def _get(self, name: str) -> StoredObject:
        try:
            return self._client.get(name)
        except ConfigurationError as error:
            raise _lost(error) from error

    def _create(self, name: str, data: bytes) -> bool:
        mark = self.nonce().hex()
        clock = self.environment.clock
        give_up_ms = clock.monotonic_ms() + self._retry_ms
        tries = 0
        while True:
            try:
                if self._client.put_new(name, data, mark):
                    return True
                there = self._client.get(name)
                return there.data == data and there.mark in (mark, None)
            except FileNotFoundError:
                # Refused, and nothing is there: a put beside this one failed, or the object was just removed.
                trouble = StorageUnavailableError(
                    f"The object store at {self.place} refuses an object again and again that is not there.",
                    detail=name,
                    hint="Check that nothing else writes and removes objects there, and the state of the store.",
                )
            except StorageUnavailableError as error:
                trouble = error
            if clock.monotonic_ms() >= give_up_ms:
                raise trouble
            self._pause(PAUSE_S[min(tries, len(PAUSE_S) - 1)])
            tries += 1


def _lost(error: ConfigurationError) -> StorageUnavailableError:
    # It was right when the storage was opened: rights were taken away, or credentials ran out and may be renewed.
    return StorageUnavailableError(error.message, detail=error.detail, hint=error.hint)

"""Reading the objects of others on an object store: listing what is there, and reading one as it was listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from millstream.environment.obstore_client import RETRY_S, ObstoreClient


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as it was listed.

    Attributes:
        name: its name under the prefix.
        size: bytes.
        modified_ms: when it was made, by the clock of the store, milliseconds since the epoch (UTC).
        tag: changes with the content, or "" where a store has none.
    """

    name: str
    size: int
    modified_ms: int
    tag: str


class ObjectReader(ObstoreClient):
    """Objects that others write under a prefix.

    Args:
        url: as in `obstore_of`.
        storage_options: as in `obstore_of`.
        retry_s: how long a request is tried again, seconds.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None, *, retry_s: float = RETRY_S) -> None:
        super().__init__(url, storage_options, retry_s=retry_s)
        from obstore.exceptions import NotModifiedError, PreconditionError

        self._changed = (PreconditionError, NotModifiedError)

    def listed(self, *, recursive: bool, after: str | None = None) -> Iterator[ListedObject]:
        """List the objects under the prefix, 1,000 a request.

        Args:
            recursive: those in folders below too.
            after: only names greater than this one; what is before it costs nothing.

        Raises:
            StorageUnavailableError: the store does not answer.
            ConfigurationError: no such bucket, or no right to it.
        """
        try:
            if not recursive and after is None:
                # Why another request: it does not go through the objects of the folders below.
                pages: Any = [self._obstore.list_with_delimiter(self._store)["objects"]]
            else:
                pages = self._obstore.list(self._store, offset=after, chunk_size=1_000)
            for page in pages:
                for meta in page:
                    if recursive or "/" not in meta["path"]:
                        modified_ms = round(meta["last_modified"].timestamp() * 1000.0)
                        yield ListedObject(meta["path"], meta["size"], modified_ms, meta["e_tag"] or "")
        except self._errors as error:
            raise self._trouble("list", "", error) from None

    def read_listed(self, name: str, tag: str) -> tuple[bytes, ListedObject] | None:
        """Read an object if it is still the one that was listed.

        Args:
            name: under the prefix.
            tag: from the listing; "" reads any.

        Returns:
            Its bytes, and what it is now; None: another object has its name.

        Raises:
            FileNotFoundError: it is gone.
            StorageUnavailableError: the store does not answer.
            ConfigurationError: no right to read it.
        """
        try:
            answer = self._obstore.get(self._store, name, options={"if_match": tag} if tag else None)
            meta = answer.meta
            modified_ms = round(meta["last_modified"].timestamp() * 1000.0)
            return answer.bytes().to_bytes(), ListedObject(name, meta["size"], modified_ms, meta["e_tag"] or "")
        except self._changed:
            return None
        except self._errors as error:
            raise self._trouble("read", name, error) from None

"""Object stores through obstore: S3 and what speaks its protocol, Google Cloud Storage, Azure, memory for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from millstream.environment.object_client import ObjectClient, ObjectEntry, StoredObject
from millstream.environment.object_url import STATUS, shown_url, told
from millstream.errors import ConfigurationError, StorageUnavailableError

if TYPE_CHECKING:
    from obstore.store import MemoryStore, ObjectStore

RETRY_S = 60.0
"""How long a request is tried again, seconds; credentials and the payload stay valid for minutes."""

MARK = "millstreammark"
"""Name of the metadata that holds an object's mark. Azure takes letters, digits and `_` only."""

_CLIENT_OPTIONS = frozenset(
    (
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "default_content_type",
        "default_headers",
        "http1_only",
        "http2_keep_alive_interval",
        "http2_keep_alive_timeout",
        "http2_keep_alive_while_idle",
        "http2_only",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_url",
        "proxy_ca_certificate",
        "proxy_excludes",
        "randomize_addresses",
        "read_timeout",
        "root_certificate",
        "timeout",
        "user_agent",
    )
)
"""Settings of HTTP, which obstore takes apart from those of the store."""

_MEMORY: dict[str, MemoryStore] = {}
"""The stores of `memory://` by URL, so that a program that starts again in one process finds what it wrote."""

_WRONG_REGION = "incorrectly configured region"
"""What obstore says of a redirect that leads nowhere."""

_NOT_SENT = "builder error"
"""What obstore says of a request that it does not even send."""

_FINAL = {301, 307, 501, *range(400, 500)} - {404, 408, 409, 412, 425, 429}
"""Answers that another try would get too."""


def obstore_of(url: str, storage_options: Mapping[str, Any] | None = None, *, retry_s: float = RETRY_S) -> ObjectStore:
    """Make obstore's store of a URL.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or for tests `memory://name`.
        storage_options: settings by obstore's names, such as `endpoint`, `region`, `access_key_id`,
            `secret_access_key`, `account_name`, `allow_http`, `timeout`; what is not given comes from the
            environment variables and profiles of the store's own tools.
        retry_s: how long a request is tried again, seconds.

    Raises:
        ConfigurationError: no such kind of store, an unknown setting, or obstore is not installed.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import MemoryStore, from_url
    except ImportError as error:
        raise ConfigurationError(
            "A checkpoint or files on an object store need obstore, which is not installed.",
            detail=f"place: {shown_url(url)}",
            hint="pip install 'millstream[objects]'",
        ) from error
    if url.startswith("memory://"):
        return _MEMORY.setdefault(url.rstrip("/"), MemoryStore())
    options = dict(storage_options or {})
    client_options = {key: options.pop(key) for key in list(options) if key in _CLIENT_OPTIONS}
    try:
        # Its overloads want typed dicts of one kind of store each; a URL may be of any.
        made: Callable[..., ObjectStore] = from_url
        return made(url, config=options or None, client_options=client_options or None, retry_config=_retries(retry_s))
    except (BaseError, ValueError, TypeError) as error:
        # Why from None: the store's text may hold the settings, keys among them.
        raise ConfigurationError(
            f"{shown_url(url)} is no place on an object store that can be opened.",
            detail=told(error),
            hint=f"Write s3://bucket/prefix, gs://bucket/prefix or az://container/prefix; settings of the store go "
            f"into storage_options, here {sorted(storage_options or ())}.",
        ) from None


def _retries(retry_s: float) -> dict[str, Any]:
    backoff = {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=5), "base": 2}
    return {"max_retries": 10, "retry_timeout": timedelta(seconds=retry_s), "backoff": backoff}


class ObstoreClient(ObjectClient):
    """An object store through obstore, which sends what failed in passing again for up to `retry_s`.

    Args:
        url: as in `obstore_of`.
        storage_options: as in `obstore_of`.
        retry_s: how long a request is tried again, seconds.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None, *, retry_s: float = RETRY_S) -> None:
        self.place = shown_url(url)
        self._store = obstore_of(url, storage_options, retry_s=retry_s)
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        self._obstore = obstore
        self._refused = (AlreadyExistsError, PreconditionError)
        # obstore gives Python's own FileNotFoundError, ValueError and PermissionError for some of its errors.
        self._errors = (BaseError, OSError, ValueError)

    def put_new(self, name: str, data: bytes, mark: str) -> bool:
        try:
            self._obstore.put(self._store, name, data, mode="create", use_multipart=False, attributes={MARK: mark})
        except self._refused:
            return False
        except self._errors as error:
            raise self._trouble("write", name, error) from None
        return True

    def get(self, name: str) -> StoredObject:
        try:
            result = self._obstore.get(self._store, name)
            return StoredObject(result.bytes().to_bytes(), result.attributes.get(MARK))
        except self._errors as error:
            raise self._trouble("read", name, error) from None

    def list_objects(self, folder: str) -> list[ObjectEntry]:
        prefix = f"{folder}/" if folder else ""
        found = self._listed(folder, prefix)["objects"]
        # Why the test of the length: some stores list a folder's own marker, an empty name.
        return sorted(
            ObjectEntry(meta["path"][len(prefix) :], meta["size"], meta["last_modified"].timestamp() * 1000.0)
            for meta in found
            if len(meta["path"]) > len(prefix)
        )

    def list_names(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        found = self._listed(folder, prefix)
        paths = [*(meta["path"] for meta in found["objects"]), *found["common_prefixes"]]
        return sorted(name for path in paths if (name := path[len(prefix) :].rstrip("/")))

    def _listed(self, folder: str, prefix: str) -> Any:
        try:
            return self._obstore.list_with_delimiter(self._store, prefix or None)
        except self._errors as error:
            raise self._trouble("list", folder, error) from None

    def look(self, name: str) -> ObjectEntry:
        try:
            meta = self._obstore.head(self._store, name)
        except self._errors as error:
            raise self._trouble("look at", name, error) from None
        return ObjectEntry(name, meta["size"], meta["last_modified"].timestamp() * 1000.0)

    def delete(self, names: Sequence[str]) -> None:
        try:
            self._obstore.delete(self._store, list(names))
        except FileNotFoundError:
            # GCS and Azure refuse to remove what is gone: those that were there beside it are removed one by one.
            for name in names if len(names) > 1 else ():
                self.delete([name])
        except self._errors as error:
            raise self._trouble("remove", names[0], error) from None

    def _trouble(self, doing: str, name: str, error: Exception) -> Exception:
        text = str(error)
        status = STATUS.search(text)
        code = int(status[1]) if status else 0
        no_bucket = code == 404 and (doing in ("write", "list") or "Bucket" in text or "Container" in text)
        if isinstance(error, FileNotFoundError) and not no_bucket:
            return FileNotFoundError(f"{self.place}/{name}")
        detail = f"{name}: {told(error)}"
        # An address of the cloud's own machines is asked for credentials when none are given.
        if code in (401, 403) or isinstance(error, PermissionError) or "169.254." in text or _denied(error):
            return ConfigurationError(
                f"The object store at {self.place} refuses to {doing}.",
                detail=detail,
                hint="Give credentials that may read, write, list and delete there: by storage_options, or the "
                "environment variables of the store's own tools.",
            )
        if _NOT_SENT in text:
            return ConfigurationError(
                f"The object store at {self.place} cannot be asked.",
                detail=detail,
                hint="Check the endpoint. One that begins with http:// needs allow_http=True in storage_options.",
            )
        if no_bucket or code in _FINAL or _WRONG_REGION in text:
            return ConfigurationError(
                f"The object store at {self.place} cannot {doing}.",
                detail=detail,
                hint="Check that the bucket or container is there, and its region and endpoint.",
            )
        return StorageUnavailableError(
            f"The object store at {self.place} did not {doing} an object.",
            detail=detail,
            hint="It was tried again up to the limit. Check the network and the state of the store.",
        )


def _denied(error: Exception) -> bool:
    return type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError")

"""The storage that a place names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from millstream.environment.environment import Environment
from millstream.environment.local_storage import LocalStorage
from millstream.environment.object_url import is_object_url, shown_url
from millstream.environment.storage import Storage
from millstream.errors import ConfigurationError


def storage_of(
    place: str | os.PathLike[str],
    storage_options: Mapping[str, Any] | None = None,
    environment: Environment | None = None,
) -> Storage:
    """Open the storage at a place.

    Args:
        place: a directory, or the URL of a prefix on an object store: `s3://bucket/prefix`, `gs://bucket/prefix`,
            `az://container/prefix`, or for tests `memory://name`.
        storage_options: settings of the object store by obstore's names, such as `endpoint`, `region`,
            `access_key_id`, `account_name`; what is not given comes from the environment variables and profiles of
            the store's own tools.
        environment: clock and threads.

    Raises:
        ConfigurationError: the place cannot hold a checkpoint; says why.
        StorageUnavailableError: the object store does not answer.

    Example:
        >>> storage_of("memory://opening").create("a", b"data")
        True
    """
    environment = environment if environment is not None else Environment()
    url = os.fspath(place)
    if is_object_url(url):
        # Why here: a program without object stores need not load what they take.
        from millstream.environment.object_storage import ObjectStorage

        return ObjectStorage.open(url, storage_options, environment)
    if storage_options:
        raise ConfigurationError(
            "storage_options are for object stores.",
            detail=f"{url} is a directory; the options are {sorted(storage_options)}.",
            hint="Leave them out, or write the place as a URL such as s3://bucket/prefix.",
        )
    if "://" in url:
        raise ConfigurationError(
            "This kind of place cannot hold a checkpoint.",
            detail=f"{shown_url(url)} is neither a directory nor on an object store that is known.",
            hint="Give a directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix.",
        )
    return LocalStorage(url, clock=environment.clock)

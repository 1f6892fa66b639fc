"""Where file sinks write: a path on a local disk, or a URL on an object store."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from millstream.environment.object_url import is_object_url, shown_url
from millstream.errors import ConfigurationError
from millstream.sinks.local_sink_directory import LocalSinkDirectory
from millstream.sinks.sink_directory import SinkDirectory

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def place_of(path: str | os.PathLike[str]) -> str:
    """Give an absolute path, or the URL of an object store as it is.

    Raises:
        ConfigurationError: a URL of something else.

    Example:
        >>> place_of("/var/lib/../out/"), place_of("s3://bucket/out/")
        ('/var/out', 's3://bucket/out')
    """
    text = os.fspath(path)
    if not _URL.match(text):
        return os.path.abspath(text)
    if not is_object_url(text):
        raise ConfigurationError(
            "Files are written exactly once on local disks, and on object stores that can create conditionally.",
            detail=f"{shown_place(text)} is a URL of neither.",
            hint="Give the path of a local directory, or s3://bucket/path, gs://bucket/path, az://container/path.",
        )
    return text.rstrip("/")


def shown_place(place: str) -> str:
    """Give a place without anything secret that a URL may hold."""
    return shown_url(place) if _URL.match(place) else place


def directory_at(place: str, storage_options: Mapping[str, Any] | None = None) -> SinkDirectory:
    """Give the directory of a place.

    Args:
        place: from `place_of`.
        storage_options: settings of an object store.

    Raises:
        ConfigurationError: the store cannot be used, or there are settings without a store.
    """
    if is_object_url(place):
        from millstream.sinks.object_sink_directory import ObjectSinkDirectory

        return ObjectSinkDirectory(place, storage_options)
    if storage_options:
        raise ConfigurationError(
            "A local directory has no settings of an object store.",
            detail=f"{place} was given storage_options with {', '.join(sorted(storage_options))}.",
            hint="Leave storage_options out, or give a URL such as s3://bucket/path.",
        )
    return LocalSinkDirectory(place)

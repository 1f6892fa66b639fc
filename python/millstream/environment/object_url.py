"""What people write and see of an object store: URLs, and messages without what is secret in them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "memory")

STATUS = re.compile(r"status code: (\d{3})")
"""Where obstore's errors hold the answer of the store."""

_CODE = re.compile(r"<Code>(\w+)</Code>|\"(?:reason|code)\": ?\"(\w+)\"")
_QUERY = re.compile(r"\?[^\s\"')]*|(?<=://)[^/\s@]+@")
TOLD_MAX = 300
"""Characters of a store's message that an error shows."""


def is_object_url(place: str) -> bool:
    """Tell whether a place is a URL of an object store.

    Example:
        >>> is_object_url("s3://bucket/app"), is_object_url("/var/app"), is_object_url("file:///var/app")
        (True, False, False)
    """
    scheme, found, _ = place.partition("://")
    return bool(found) and scheme.lower() in SCHEMES


def shown_url(url: str) -> str:
    """Give a URL as people may see it: without user, password and query.

    Example:
        >>> shown_url("s3://key:secret@bucket/app/?sig=x")
        's3://bucket/app'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def told(error: Exception) -> str:
    """Give what a store said, in short and without what may be secret: signatures and keys are in URLs and bodies.

    Example:
        >>> told(ValueError("https://me:pw@x/y?sig=abc: status code: 403 Forbidden: <Code>AccessDenied</Code> key"))
        'HTTP status 403, AccessDenied'
        >>> told(ValueError("error sending request for https://me:pw@x/y?sig=abc"))
        'error sending request for https://x/y'
    """
    text = str(error)
    status = STATUS.search(text)
    if status:
        code = _CODE.search(text)
        return f"HTTP status {status[1]}" + (f", {code[1] or code[2]}" if code else "")
    first = text.strip().partition("\n")[0] or type(error).__name__
    return _QUERY.sub("", first)[:TOLD_MAX]

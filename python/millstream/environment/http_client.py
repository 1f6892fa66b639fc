"""Clients of HTTP services, which show no secret of their URLs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from millstream.environment.optional_package import optional_package
from millstream.errors import ConfigurationError, shown

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT_S = 4.0
"""How long a service may take to accept: less than the engine waits for the end of a receiver."""


def http_client(url: str, *, timeout_s: float | None, connections: int = 1, verify: Any = True) -> httpx.Client:
    """Make a client for one service.

    It follows no redirects, and takes proxies from the environment variables that are usual for it.

    Args:
        url: what will be asked for; it is not in any log, except for scheme and host.
        timeout_s: how long each step of a request may take; None: reading may take for ever.
        connections: how many at once, >= 1.
        verify: how certificates are checked: True, or an `ssl.SSLContext`.
    """
    import httpx

    _hide(url)
    connect_s = CONNECT_TIMEOUT_S if timeout_s is None else min(timeout_s, CONNECT_TIMEOUT_S)
    return httpx.Client(
        timeout=httpx.Timeout(timeout_s, connect=connect_s),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        verify=verify,
    )


def checked_url(url: Any, needed_by: str, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """Give a URL back if a request can be sent to it.

    Raises:
        ConfigurationError: it cannot, or `millstream[http]` is not installed.

    Example:
        >>> checked_url("https://example.org/hook", "save_to_http")
        'https://example.org/hook'
    """
    optional_package("httpx", extra="http", needed_by=needed_by)
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        fits = parts is not None and parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationError(
            f"{needed_by} needs a URL.",
            # Why only its beginning: the rest may be a secret.
            detail=f"url={shown(url)[:20]}...",
            hint=f"Write one that begins with {' or '.join(f'{scheme}://' for scheme in schemes)} and names a host.",
        )
    return str(url)


def shown_service(url: str) -> str:
    """Give the part of a URL that people may see: paths, queries and user names are secrets of many services.

    Example:
        >>> shown_service("https://user:pass@hooks.example.org:8443/T0/B0/x7?key=1")
        'https://hooks.example.org:8443'
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def request_headers(token: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Give the headers of a request with its token, as text that can be sent.

    Raises:
        ConfigurationError: one cannot be sent; the value is not shown.

    Example:
        >>> request_headers("s3cret", {"X-Kind": "ids"})
        {'X-Kind': 'ids', 'authorization': 'Bearer s3cret'}
    """
    made = {**(headers or {}), **({} if token is None else {"authorization": f"Bearer {token}"})}
    for name, value in made.items():
        is_text = isinstance(name, str) and isinstance(value, str)
        if not is_text or not name or not (name + value).isascii() or any(c in name + value for c in "\r\n\0"):
            raise ConfigurationError(
                "A header cannot be sent.",
                # Why not the value: it may be a secret.
                detail=f"The header {shown(name)}.",
                hint="Names and values are ASCII text without line ends; strip the line end of one read from a file.",
            )
    return made


class _HideUrls(logging.Filter):
    """Keeps the URLs of our services out of what the client library logs of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.services: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(self._seen(arg) for arg in record.args)
        return True

    def _seen(self, arg: object) -> object:
        import httpx

        if isinstance(arg, httpx.URL) and (service := shown_service(str(arg))) in self.services:
            return service
        return arg


_HIDDEN = _HideUrls()


def _hide(url: str) -> None:
    _HIDDEN.services.add(shown_service(url))
    logging.getLogger("httpx").addFilter(_HIDDEN)

"""The address of a TCP server."""

from __future__ import annotations

from typing import Any

from millstream.errors import ConfigurationError, shown


def check_address(host: Any, port: Any) -> None:
    """Refuse what is no address of a server.

    Raises:
        ConfigurationError: host or port cannot work.
    """
    if not isinstance(host, str) or not host:
        raise ConfigurationError(
            "The host of a socket stream is missing.",
            detail=f"host={shown(host)}.",
            hint='Give a name or an address, such as "localhost".',
        )
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        raise ConfigurationError(
            "A socket stream needs a port.", detail=f"port={shown(port)}.", hint="Give a whole number, 1 to 65535."
        )

"""Messages that a service sends over a WebSocket."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millstream.environment.http_client import CONNECT_TIMEOUT_S, checked_url, shown_service
from millstream.environment.optional_package import optional_package
from millstream.errors import SourceUnavailableError
from millstream.sources.http.service_receiver import ServiceLink, ServiceReceiver

PING_S = 20.0
PONG_S = 60.0
"""Longer than the library's own: a stream that is held back does not read, and so does not see the answers."""

_SILENT = logging.getLogger("millstream.websocket")
_SILENT.disabled = True
"""The library logs headers, and with them tokens."""


@dataclass(frozen=True, slots=True)
class WebSocketRequest:
    """How the service is connected to.

    Attributes:
        url: `ws://` or `wss://`.
        headers: of the first request; may be secrets.
        send: messages that are sent on each new connection, such as what to subscribe to.
        max_message_bytes: the longest message.
        ssl: an `ssl.SSLContext` for `wss://`, or None for the usual one.
    """

    url: str
    headers: Mapping[str, str]
    send: Sequence[str | bytes]
    max_message_bytes: int
    ssl: Any = None


class WebSocketReceiver(ServiceReceiver[str | bytes]):
    """Stores the messages of a service: text as str, binary ones as bytes.

    What the service sends while nobody is connected is lost.

    Args:
        request: how it is connected to.

    Raises:
        ConfigurationError: the URL cannot work, or `millstream[http]` is not installed.
    """

    def __init__(self, request: WebSocketRequest) -> None:
        optional_package("websockets", extra="http", needed_by="websocket_stream")
        super().__init__(f"messages of {shown_service(checked_url(request.url, 'websocket_stream', ('ws', 'wss')))}")
        self._request = request

    def link(self) -> ServiceLink:
        return _WebSocketLink(self, self._request)


class _WebSocketLink(ServiceLink):
    """One connection."""

    def __init__(self, receiver: WebSocketReceiver, request: WebSocketRequest) -> None:
        super().__init__()
        self._receiver = receiver
        self._request = request
        self._connection: Any = None

    def receive(self) -> bool:
        from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidHandshake
        from websockets.sync.client import connect

        request = self._request
        try:
            with connect(
                request.url,
                additional_headers=dict(request.headers),
                max_size=request.max_message_bytes,
                open_timeout=CONNECT_TIMEOUT_S,
                close_timeout=1.0,
                ping_interval=PING_S,
                ping_timeout=PONG_S,
                ssl=request.ssl,
                logger=_SILENT,
            ) as connection:
                self._connection = connection
                if not self.closed.is_set():
                    self._store_all(connection)
        except ConnectionClosedOK:
            pass
        except (ConnectionClosedError, InvalidHandshake, TimeoutError, OSError) as error:
            raise SourceUnavailableError(
                f"{self._receiver.name} {'broke off' if self._connection is not None else 'cannot be had'}.",
                detail=f"{type(error).__name__}: {error}.",
                hint="Check the URL, the token and the service; the connection is made again.",
            ) from error
        return True

    def wake(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _store_all(self, connection: Any) -> None:
        for message in self._request.send:
            connection.send(message)
        while True:
            message = connection.recv()
            if self.closed.is_set():
                return
            self._receiver.store(message)

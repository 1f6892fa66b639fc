"""Events that a service sends over one long answer of HTTP: server-sent events."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from millstream.environment.environment import Environment
from millstream.environment.http_client import checked_url, http_client, shown_service
from millstream.environment.optional_package import optional_package
from millstream.errors import SourceUnavailableError
from millstream.ingest.receiver_feed import ReceiverFeed
from millstream.model.ports.block_feed import BlockStore
from millstream.model.server_sent_event import ServerSentEvent
from millstream.sources.http.service_receiver import ServiceLink, ServiceReceiver

if TYPE_CHECKING:
    import httpx

Position = tuple[int, str]
"""How many events were stored, which orders positions, and the id of the newest, by which the service goes on."""

RETRY_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class SseRequest:
    """What is asked of the service.

    Attributes:
        url: of the events.
        headers: of the request; may be secrets.
        last_event_id: behind which event a program without a position begins; None: where the service does.
        idle_timeout_s: after so long without a byte the connection counts as broken; None: never.
        max_event_bytes: the longest event.
        verify: how certificates are checked: True, or an `ssl.SSLContext`.
    """

    url: str
    headers: Mapping[str, str]
    last_event_id: str | None
    idle_timeout_s: float | None
    max_event_bytes: int
    verify: Any = True


class SseReceiver(ServiceReceiver[ServerSentEvent]):
    """Stores the events of a service, and goes on behind the newest stored one, by its id, after each interruption.

    The events that came in one piece of the answer are one block, with a position, so that nothing is stored twice
    and nothing left out where each event has an id and the service honours `Last-Event-ID`. A service that answers
    204 has nothing more to send, and the input ends.

    Args:
        request: what is asked.

    Raises:
        ConfigurationError: the URL cannot work, or `millstream[http]` is not installed.
    """

    def __init__(self, request: SseRequest) -> None:
        optional_package("httpx_sse", extra="http", needed_by="sse_stream")
        super().__init__(f"events of {shown_service(checked_url(request.url, 'sse_stream'))}")
        self._request = request
        self._position: Position = (0, request.last_event_id or "")

    def resume(self, position: Any) -> None:
        """Go on behind a position that an earlier run of the program stored."""
        if position is not None:
            count, last_id = position
            self._position = (count, last_id)

    def link(self) -> ServiceLink:
        return _SseLink(self.name, self._request, self._position[1], self._keep)

    def _keep(self, events: list[ServerSentEvent]) -> None:
        position = (self._position[0] + len(events), events[-1].id)
        self.store_many(events, position)
        self._position = position


class SseFeed(ReceiverFeed[ServerSentEvent]):
    """The feed of such a receiver, which tells it where an earlier run ended.

    Args:
        receiver: stores the events.
        environment: clock and threads.
        rate_per_s: limit of events a second, or None.
    """

    def __init__(self, receiver: SseReceiver, environment: Environment, *, rate_per_s: float | None) -> None:
        super().__init__(receiver, environment, rate_per_s=rate_per_s)
        self._events = receiver

    def persist(self, name: str, store: BlockStore, position: Any) -> None:
        super().persist(name, store, position)
        self._events.resume(position)


class _SseLink(ServiceLink):
    """One answer."""

    def __init__(
        self, name: str, request: SseRequest, last_id: str, keep: Callable[[list[ServerSentEvent]], None]
    ) -> None:
        super().__init__()
        self._name = name
        self._request = request
        self._last_id = last_id
        self._keep = keep
        self._response: httpx.Response | None = None

    def receive(self) -> bool:
        request = self._request
        headers = {**request.headers, "accept": "text/event-stream", "cache-control": "no-store"}
        if self._last_id:
            headers["last-event-id"] = self._last_id
        with (
            http_client(request.url, timeout_s=request.idle_timeout_s, verify=request.verify) as client,
            client.stream("GET", request.url, headers=headers) as response,
        ):
            self._response = response
            if self.closed.is_set() or response.status_code == 204:
                return False
            self._check(response)
            self._store_all(response)
        return True

    def wake(self) -> None:
        stream = None if self._response is None else self._response.extensions.get("network_stream")
        raw = None if stream is None else stream.get_extra_info("socket")
        if raw is not None:
            # Why not closed: its number could be another file's before the other thread wakes. Why not by the method
            # of TLS sockets: it takes apart what the other thread reads with.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(raw, socket.SHUT_RDWR)

    def _check(self, response: httpx.Response) -> None:
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        if response.status_code == 200 and media_type == "text/event-stream":
            return
        raise SourceUnavailableError(
            f"{self._name} cannot be had: the service answered {response.status_code}.",
            detail=f"The answer is of type {media_type or 'unknown'}; text/event-stream was asked for.",
            hint="Redirects are not followed: give the URL that it points to."
            if 300 <= response.status_code < 400
            else "Check the URL and the token; it is asked again.",
        )

    def _store_all(self, response: httpx.Response) -> None:
        from httpx_sse import EventSource

        pieces = _Pieces(response, self._request.max_event_bytes, self._store)
        self._pieces = pieces
        # It takes of a response only the two things that the pieces have.
        for event in EventSource(cast("httpx.Response", pieces)).iter_sse():
            if event.retry is not None:
                self.retry_s = min(event.retry / 1000.0, RETRY_MAX_S)
            if event.data:
                pieces.add(ServerSentEvent(event.event, event.data, event.id))
        pieces.end()

    def _store(self, events: list[ServerSentEvent]) -> None:
        if not self.closed.is_set():
            self._keep(events)


class _Pieces:
    """A response whose pieces are followed: when the next one is asked for, all events of the one before are there."""

    def __init__(
        self, response: httpx.Response, max_event_bytes: int, store: Callable[[list[ServerSentEvent]], None]
    ) -> None:
        self.headers = response.headers
        self._response = response
        self._max_event_bytes = max_event_bytes
        self._store = store
        self._events: list[ServerSentEvent] = []
        self._waiting = 0

    def add(self, event: ServerSentEvent) -> None:
        self._events.append(event)

    def iter_text(self) -> Iterator[str]:
        for text in self._response.iter_text():
            self._waiting += len(text)
            yield text
            self.end()
            if self._waiting > self._max_event_bytes:
                raise SourceUnavailableError(
                    "The service sends an event that is too long.",
                    detail=f"{self._waiting} characters have come without its end; max_event_bytes="
                    f"{self._max_event_bytes}.",
                    hint="Give a larger max_event_bytes=; the connection is made again.",
                )

    def end(self) -> None:
        """Store what has come."""
        events, self._events = self._events, []
        if events:
            self._waiting = 0
            self._store(events)

"""Methods of the streaming context that make streams of what a service sends to those who connect to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from millstream.context.source_core import SourceCore
from millstream.environment.http_client import request_headers
from millstream.model.durations import Duration, duration_ms
from millstream.model.server_sent_event import ServerSentEvent
from millstream.rdd.arguments import whole_number
from millstream.stream.core import labelled
from millstream.stream.dstream import DStream

if TYPE_CHECKING:
    import ssl as ssl_module


class ServiceSourceMethods(SourceCore):
    """Methods that connect to a service. They need `pip install "millstream[http]"`."""

    def sse_stream(
        self,
        url: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        last_event_id: str | None = None,
        idle_timeout: Duration | None = 60.0,
        max_event_bytes: int = 1_048_576,
        ssl: ssl_module.SSLContext | None = None,
        max_records_per_s: float | None = None,
        name: str | None = None,
    ) -> DStream[ServerSentEvent]:
        """Make a stream of the server-sent events of a service.

        The connection is made again, for ever and with growing pauses, when it ends or breaks, with the
        `Last-Event-ID` of the newest event that was stored, also by an earlier run of a program with a checkpoint.
        Each event is there exactly once, then, where the service gives each an id and honours that header; other
        services leave out what they send while nobody is connected.

        Args:
            url: of the events; only its scheme and host are shown in errors and logs.
            token: sent as `Authorization: Bearer TOKEN`.
            headers: of the request; may be secrets.
            last_event_id: behind which event a program begins that has no position yet; None: where the service does.
            idle_timeout: after so long without a byte (services send comments meanwhile) the connection counts as
                broken, seconds or timedelta; None: never.
            max_event_bytes: the longest event.
            ssl: how certificates of `https://` are checked; None: by those that the machine trusts.
            max_records_per_s: most events a second; None: no limit.
            name: identity of the input.

        Raises:
            ConfigurationError: an argument cannot work, or `millstream[http]` is not installed.
        """
        from millstream.sources.http.sse_receiver import SseFeed, SseReceiver, SseRequest

        at = labelled("sse_stream", name=name)
        request = SseRequest(
            url,
            request_headers(token, headers),
            last_event_id,
            None if idle_timeout is None else duration_ms(idle_timeout, "idle_timeout") / 1000.0,
            whole_number(max_event_bytes, at.operator, "max_event_bytes", least=1),
            True if ssl is None else ssl,
        )
        return self._stream(SseFeed(SseReceiver(request), self._environment, rate_per_s=max_records_per_s), at)

    def websocket_stream(
        self,
        url: str,
        *,
        send: str | bytes | Sequence[str | bytes] = (),
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        max_message_bytes: int = 1_048_576,
        ssl: ssl_module.SSLContext | None = None,
        max_records_per_s: float | None = None,
        name: str | None = None,
    ) -> DStream[str | bytes]:
        """Make a stream of the messages that a service sends over a WebSocket: str or bytes, as they come.

        The connection is made again, for ever and with growing pauses, when it ends or breaks; what the service
        sends meanwhile is lost, and so is, when the program crashes, what was received and not in a batch yet.

        Args:
            url: `ws://` or `wss://`; only scheme and host are shown in errors and logs.
            send: what is sent first on each connection, such as a message that subscribes; may be a secret.
            token: sent as `Authorization: Bearer TOKEN`.
            headers: of the first request; may be secrets.
            max_message_bytes: the longest message; a longer one breaks the connection.
            ssl: how certificates of `wss://` are checked; None: by those that the machine trusts.
            max_records_per_s: most messages a second; None: no limit.
            name: identity of the input.

        Raises:
            ConfigurationError: an argument cannot work, or `millstream[http]` is not installed.
        """
        from millstream.ingest.receiver_feed import ReceiverFeed
        from millstream.sources.http.websocket_receiver import WebSocketReceiver, WebSocketRequest

        at = labelled("websocket_stream", name=name)
        request = WebSocketRequest(
            url,
            request_headers(token, headers),
            (send,) if isinstance(send, str | bytes) else tuple(send),
            whole_number(max_message_bytes, at.operator, "max_message_bytes", least=1),
            ssl,
        )
        receiver = WebSocketReceiver(request)
        return self._stream(ReceiverFeed(receiver, self._environment, rate_per_s=max_records_per_s), at)

"""Methods of the streaming context that make streams of what comes over HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar, overload

from millstream.context.source_core import SourceCore
from millstream.model.durations import Duration, duration_ms
from millstream.rdd.arguments import check_function, whole_number
from millstream.stream.core import labelled
from millstream.stream.served import ServedStream

T = TypeVar("T")


class HttpSourceMethods(SourceCore):
    """Methods that make streams of what comes over HTTP. They need `pip install "millstream[http]"`."""

    @overload
    def http_stream(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        path: str = "/",
        token: str | Iterable[str] | None = None,
        format: Literal["json", "lines", "bytes"] = "json",
        decoder: None = None,
        max_body_bytes: int = 8_388_608,
        body_timeout: Duration = 30.0,
        max_wait: Duration = 1.0,
        max_requests: int = 64,
        health_path: str | None = "/health",
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        max_records_per_s: float | None = None,
        name: str | None = None,
    ) -> ServedStream[Any]: ...
    @overload
    def http_stream(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        path: str = "/",
        token: str | Iterable[str] | None = None,
        decoder: Callable[[bytes], Iterable[T]],
        max_body_bytes: int = 8_388_608,
        body_timeout: Duration = 30.0,
        max_wait: Duration = 1.0,
        max_requests: int = 64,
        health_path: str | None = "/health",
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        max_records_per_s: float | None = None,
        name: str | None = None,
    ) -> ServedStream[T]: ...
    def http_stream(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        path: str = "/",
        token: str | Iterable[str] | None = None,
        format: str = "json",
        decoder: Callable[[bytes], Iterable[Any]] | None = None,
        max_body_bytes: int = 8_388_608,
        body_timeout: Duration = 30.0,
        max_wait: Duration = 1.0,
        max_requests: int = 64,
        health_path: str | None = "/health",
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        max_records_per_s: float | None = None,
        name: str | None = None,
    ) -> ServedStream[Any]:
        """Make a stream of the records that are posted to a server in this process.

        A body is answered 202 when its records are stored: durable, where the program has a checkpoint. While there
        is no room it is answered 503 with Retry-After. The records of one body stay together, and in order. A
        sender that repeats what was not answered is heard at least once; one that counts its requests, in the header
        `Millstream-Position: SENDER NUMBER`, exactly once, in a program with a checkpoint.

        Args:
            host: address to listen on; `0.0.0.0` for all of this machine.
            port: its port; 0: one that is free, see `ServedStream.url`.
            path: where bodies are posted.
            token: a secret that each request has to show, as `Authorization: Bearer TOKEN`, or several of which it
                has to show one; None: every request is taken.
            format: what bodies are: `json`, where the elements of an array are records of their own, and a body of
                type `application/x-ndjson` has one in each line; `lines` of text; or `bytes`, each body one record.
            decoder: gets a body, gives its records; ValueError has the sender told that the body is bad.
            max_body_bytes: the largest body, also when it is unpacked (`Content-Encoding: gzip`); others get 413.
            body_timeout: how long a body may take to arrive, seconds or timedelta; others get 408.
            max_wait: how long a body waits for room before its sender gets 503, seconds or timedelta.
            max_requests: how many bodies may be under way at once; others get 503.
            health_path: answered 200 to anybody, for load balancers; None: there is none.
            certificate: file of the certificate chain in PEM form, for HTTPS; None: plain HTTP.
            key: file of its private key, without a password; None: it is in the same file.
            max_records_per_s: most records a second; None: no limit.
            name: identity of the input.

        Raises:
            ConfigurationError: an argument cannot work, a file is missing, or `millstream[http]` is not installed.

        Example:
            >>> import urllib.request
            >>> import millstream as ms
            >>> from millstream.testing import ManualClock
            >>> clock, seen = ManualClock(), []
            >>> with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
            ...     orders = ssc.http_stream(token="s3cret")
            ...     orders.map(lambda order: order["id"]).collect_to(seen)
            ...     ssc.start()
            ...     clock.advance(0.1)
            ...     headers = {"Authorization": "Bearer s3cret", "Content-Type": "application/json"}
            ...     request = urllib.request.Request(orders.url(), b'[{"id": 1}, {"id": 2}]', headers)
            ...     urllib.request.urlopen(request).status
            ...     clock.advance(0.9)
            202
            >>> seen
            [[1, 2]]
        """
        from millstream.ingest.receiver_feed import ReceiverFeed
        from millstream.sources.http.http_receiver import HttpLimits, HttpReceiver

        at = labelled("http_stream", name=name)
        if decoder is not None:
            check_function(decoder, at.operator, "decoder", takes=1)
        whole_number(max_body_bytes, at.operator, "max_body_bytes", least=1)
        whole_number(max_requests, at.operator, "max_requests", least=1)
        limits = HttpLimits(
            max_body_bytes=max_body_bytes,
            body_timeout_s=duration_ms(body_timeout, "body_timeout") / 1000.0,
            max_wait_s=duration_ms(max_wait, "max_wait") / 1000.0,
            max_requests=max_requests,
        )
        receiver: HttpReceiver[Any] = HttpReceiver(
            host,
            port,
            self._environment,
            path=path,
            token=token,
            format=format,
            decoder=decoder,
            limits=limits,
            health_path=health_path,
            certificate=certificate,
            key=key,
        )
        feed = ReceiverFeed(receiver, self._environment, full_timeout_s=limits.max_wait_s, rate_per_s=max_records_per_s)
        stream = self._stream(feed, at)
        return ServedStream(stream.node, self.program, receiver)

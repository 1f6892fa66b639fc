"""Receivers over HTTP: posts to a server of ours, events and messages of a service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue, SimpleQueue
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from millstream.environment.environment import Environment
from millstream.errors import SourceUnavailableError
from millstream.model.ports.receiver import Receiver
from millstream.model.server_sent_event import ServerSentEvent
from millstream.sources.http.http_receiver import HttpReceiver
from millstream.sources.http.sse_receiver import SseReceiver, SseRequest
from millstream.sources.http.websocket_receiver import WebSocketReceiver, WebSocketRequest
from millstream.testing.conformance import ReceiverSuite

WAIT_S = 30.0


class TestPosts(ReceiverSuite):
    @pytest.fixture(autouse=True)
    def sender(self) -> Iterator[None]:
        """Posts each record until it is answered 202, one after the other."""
        self.waiting: Queue[Any] = Queue()
        self.over = threading.Event()
        thread = threading.Thread(target=self._post_all, daemon=True)
        thread.start()
        yield
        self.over.set()
        self.waiting.put(None)
        thread.join(WAIT_S)

    def make_receiver(self) -> Receiver[Any]:
        self.receiver: HttpReceiver[Any] = HttpReceiver("127.0.0.1", 0, Environment())
        return self.receiver

    def send(self, records: list[Any]) -> None:
        for record in records:
            self.waiting.put(record)

    def _post_all(self) -> None:
        with httpx.Client(timeout=WAIT_S) as client:
            while (record := self.waiting.get()) is not None:
                while not self.over.is_set():
                    try:
                        answer = client.post(self.receiver.url(0.05), json=record)
                    except (httpx.TransportError, SourceUnavailableError):
                        continue
                    if answer.status_code == 202:
                        break


class EventLog:
    """A service that sends events, from behind the one that a client names, and further ones as they come."""

    def __init__(self) -> None:
        self._events: list[str] = []
        self._changed = threading.Condition()
        self._over = False
        log = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                sent = int(self.headers.get("last-event-id", 0))
                while (text := log.event(sent)) is not None:
                    sent += 1
                    try:
                        self.wfile.write(f"id: {sent}\ndata: {text}\n\n".encode())
                    except OSError:
                        return

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def event(self, index: int) -> str | None:
        """Wait for an event; None when the test is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or index < len(self._events))
            return self._events[index] if index < len(self._events) else None

    def append(self, texts: list[str]) -> None:
        with self._changed:
            self._events += texts
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self.server.shutdown()
        self.server.server_close()


class TestEvents(ReceiverSuite):
    @pytest.fixture(autouse=True)
    def serve(self) -> Iterator[None]:
        self.log = EventLog()
        yield
        self.log.close()

    def make_receiver(self) -> Receiver[Any]:
        url = f"http://127.0.0.1:{self.log.server.server_port}/"
        return SseReceiver(SseRequest(url, {}, None, None, 1_000))

    def record(self, number: int) -> Any:
        return f"record {number}"

    def records(self, *numbers: int) -> list[Any]:
        return [_Data(self.record(number)) for number in numbers]

    def send(self, records: list[Any]) -> None:
        self.log.append([record.text for record in records])


class _Data:
    """Equals the events that carry a text, whatever their ids."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServerSentEvent) and other.data == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class TestMessages(ReceiverSuite):
    @pytest.fixture(autouse=True)
    def serve(self) -> Iterator[None]:
        self.connections: SimpleQueue[ServerConnection] = SimpleQueue()
        self.connection: ServerConnection | None = None

        def keep(connection: ServerConnection) -> None:
            self.connections.put(connection)
            for _ in connection:
                pass

        with serve(keep, "127.0.0.1", 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
            yield

    def make_receiver(self) -> Receiver[Any]:
        return WebSocketReceiver(WebSocketRequest(self.url, {}, (), 1_000))

    def send(self, records: list[Any]) -> None:
        for record in records:
            while True:
                if self.connection is None:
                    self.connection = self.connections.get(timeout=WAIT_S)
                try:
                    self.connection.send(record)
                    break
                except ConnectionClosed:
                    self.connection = None

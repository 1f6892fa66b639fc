"""Streams of what a service sends to those who connect to it, over real connections."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from tests.integration.streams.event_server import HANG_UP, WAIT_S, EventServer, event
from websockets.sync.server import Server, ServerConnection, serve

import millstream as ms
from millstream.errors import ConfigurationError
from millstream.observe.events import ReceiverFailed, ReceiverStopped
from millstream.testing import ManualClock

TOKEN = "s3cret-f00"


class Heard(ms.StreamingListener):
    def __init__(self) -> None:
        self.failed: SimpleQueue[str] = SimpleQueue()
        self.stopped: SimpleQueue[str] = SimpleQueue()

    def on_receiver_failed(self, event: ReceiverFailed) -> None:
        self.failed.put(f"{event.message} {event.error}")

    def on_receiver_stopped(self, event: ReceiverStopped) -> None:
        self.stopped.put(event.input)


class Running:
    """A stream of the real time, with a batch every 20 ms."""

    def __init__(self, **options: Any) -> None:
        self.ssc = ms.StreamingContext(0.02, **options)
        self.heard = Heard()
        self.ssc.add_listener(self.heard)
        self._batches: SimpleQueue[list[Any]] = SimpleQueue()

    def start(self, stream: ms.DStream[Any]) -> None:
        stream.collect_to(self._batches)
        self.ssc.start()

    def first(self, count: int) -> list[Any]:
        """Wait for so many records."""
        records: list[Any] = []
        while len(records) < count:
            records += self._batches.get(timeout=WAIT_S)
        return records

    def rest(self) -> list[Any]:
        """Stop, and give what else came."""
        self.ssc.stop()
        records: list[Any] = []
        while not self._batches.empty():
            records += self._batches.get()
        return records


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.ssc.stop(graceful=False)


@pytest.fixture
def events() -> Iterator[EventServer]:
    with EventServer() as server:
        yield server


def test_events_are_records(running: Running, events: EventServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    running.start(running.ssc.sse_stream(events.url, token=TOKEN, headers={"X-Kind": "a"}))
    send = events.connection()
    send(event(1) + b": a comment\n\n" + event(2) + b"id: 3\nda")
    send(b"ta: to be\ndata: or not\n\nevent: nothing\n\ndata: more\n\n")
    assert running.first(4) == [
        ms.ServerSentEvent("tick", "1", "1"),
        ms.ServerSentEvent("tick", "2", "2"),
        ms.ServerSentEvent("message", "to be\nor not", "3"),
        ms.ServerSentEvent("message", "more", "3"),
    ]
    asked = events.asked.get(timeout=WAIT_S)
    assert (asked["authorization"], asked["accept"], asked["x-kind"]) == (f"Bearer {TOKEN}", "text/event-stream", "a")
    assert "last-event-id" not in asked
    send(HANG_UP)
    assert "has ended" in running.heard.failed.get(timeout=WAIT_S)
    assert running.rest() == []
    assert all(secret not in caplog.text for secret in (TOKEN, "k1"))


def test_a_broken_connection_goes_on_behind_the_last_event(running: Running, events: EventServer) -> None:
    running.start(running.ssc.sse_stream(events.url, last_event_id="4"))
    send = events.connection()
    send(b"retry: 1\n\n" + event(5) + event(6) + b"id: 7\ndata: half")
    assert [record.data for record in running.first(2)] == ["5", "6"]
    send(HANG_UP)
    send = events.connection()
    send(event(7))
    assert [record.data for record in running.first(1)] == ["7"]
    assert [events.asked.get().get("last-event-id") for _ in range(2)] == ["4", "6"]
    assert running.rest() == []


def test_events_come_once_over_a_restart_of_the_program(events: EventServer, tmp_path: Path) -> None:
    for life, (first, last) in enumerate([(1, 3), (4, 5), (6, 6)]):
        running = Running(name="ticks", checkpoint=tmp_path)
        running.start(running.ssc.sse_stream(events.url, name="ticks").map(lambda event: event.data))
        send = events.connection()
        assert events.asked.get().get("last-event-id") == (None if life == 0 else str(first - 1))
        send(b"".join(event(n) for n in range(first, last + 1)))
        wanted = [str(n) for n in range(first, last + 1)]
        assert running.first(len(wanted)) == wanted
        assert running.rest() == []
        send(HANG_UP)


def test_a_stopped_stream_lets_its_service_go(running: Running, events: EventServer) -> None:
    running.start(running.ssc.sse_stream(events.url, idle_timeout=None))
    events.connection()
    running.ssc.stop()
    service = events.url.partition("/events")[0]
    assert not [thread for thread in threading.enumerate() if service in thread.name], "the reader was not woken"


def test_a_service_that_has_nothing_more_to_send_ends_the_input(running: Running, events: EventServer) -> None:
    events.answers = [(204, "text/plain")]
    running.start(running.ssc.sse_stream(events.url, name="ticks"))
    assert running.heard.stopped.get(timeout=WAIT_S) == "ticks"


@pytest.mark.parametrize(
    ("answer", "text"),
    [((401, "text/plain"), "answered 401"), ((302, "text/plain"), "Redirects"), ((200, "text/html"), "text/html")],
)
def test_another_answer_is_reported_and_tried_again(
    running: Running, events: EventServer, answer: tuple[int, str], text: str
) -> None:
    events.answers = [answer]
    running.start(running.ssc.sse_stream(events.url))
    if answer[0] == 200:
        events.connection()
    heard = running.heard.failed.get(timeout=WAIT_S)
    assert text in heard
    assert "k1" not in heard
    events.connection()(event(1))
    assert [record.data for record in running.first(1)] == ["1"]


def test_a_service_that_falls_silent_is_asked_again(running: Running, events: EventServer) -> None:
    running.start(running.ssc.sse_stream(events.url, idle_timeout=0.2))
    events.connection()
    assert "ReadTimeout" in running.heard.failed.get(timeout=WAIT_S)
    events.connection()
    assert events.asked.get() == events.asked.get()


def test_an_event_that_is_too_long_is_reported(running: Running, events: EventServer) -> None:
    running.start(running.ssc.sse_stream(events.url, max_event_bytes=1_000))
    send = events.connection()
    send(event(1))
    assert [record.data for record in running.first(1)] == ["1"]
    for _ in range(3):
        send(b"data: " + b"x" * 600 + b"\n")
    assert "too long" in running.heard.failed.get(timeout=WAIT_S)


def test_a_service_that_is_not_there_is_reported(running: Running) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        running.start(running.ssc.sse_stream(f"http://127.0.0.1:{bound.getsockname()[1]}/"))
        assert "ConnectError" in running.heard.failed.get(timeout=WAIT_S)


class MessageServer:
    """Hands its connections to the test, one after the other."""

    def __init__(self) -> None:
        self.connections: SimpleQueue[ServerConnection] = SimpleQueue()
        self.server: Server = serve(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}/feed?key=k1"
        self._over = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _serve(self, connection: ServerConnection) -> None:
        self.connections.put(connection)
        for _ in connection:
            pass

    def connection(self) -> ServerConnection:
        return self.connections.get(timeout=WAIT_S)


@pytest.fixture
def messages() -> Iterator[MessageServer]:
    server = MessageServer()
    yield server
    server.server.shutdown()


def test_messages_are_records(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    subscribed: SimpleQueue[Any] = SimpleQueue()

    def feed(connection: ServerConnection) -> None:
        subscribed.put((connection.recv(), connection.recv(), connection.request))
        connection.send("to be")
        connection.send(b"\x00\xff")
        for _ in connection:
            pass

    with serve(feed, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/feed?key=k1"
        running.start(running.ssc.websocket_stream(url, send=["all", b"words"], token=TOKEN))
        assert running.first(2) == ["to be", b"\x00\xff"]
        *sent, request = subscribed.get(timeout=WAIT_S)
        assert sent == ["all", b"words"]
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert running.rest() == []
    ours = "".join(record.getMessage() for record in caplog.records if record.name != "websockets.server")
    assert TOKEN not in ours
    assert "k1" not in ours


def test_a_connection_that_is_closed_is_made_again(running: Running, messages: MessageServer) -> None:
    running.start(running.ssc.websocket_stream(messages.url))
    connection = messages.connection()
    connection.send("1")
    assert running.first(1) == ["1"]
    connection.close()
    assert "has ended" in running.heard.failed.get(timeout=WAIT_S)
    connection = messages.connection()
    connection.send("2")
    assert running.first(1) == ["2"]
    connection.socket.shutdown(socket.SHUT_RDWR)
    assert "broke off" in running.heard.failed.get(timeout=WAIT_S)
    messages.connection().send("3")
    assert running.first(1) == ["3"]


def test_a_message_that_is_too_long_is_reported(running: Running, messages: MessageServer) -> None:
    running.start(running.ssc.websocket_stream(messages.url, max_message_bytes=100))
    messages.connection().send("x" * 101)
    assert "broke off" in running.heard.failed.get(timeout=WAIT_S)
    messages.connection().send("fine")
    assert running.first(1) == ["fine"]


def test_a_service_that_speaks_no_websocket_is_reported(running: Running, events: EventServer) -> None:
    running.start(running.ssc.websocket_stream(events.url.replace("http:", "ws:")))
    events.connection()(HANG_UP)
    heard = running.heard.failed.get(timeout=WAIT_S)
    assert "cannot be had" in heard
    assert "k1" not in heard


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("sse_stream", {"url": "ws://localhost/"}),
        ("sse_stream", {"url": "http://localhost/", "token": f"{TOKEN}\n"}),
        ("sse_stream", {"url": "http://localhost/", "max_event_bytes": 0}),
        ("sse_stream", {"url": "http://localhost/", "idle_timeout": 0}),
        ("websocket_stream", {"url": "http://localhost/"}),
        ("websocket_stream", {"url": "ws:///"}),
        ("websocket_stream", {"url": "ws://localhost/", "max_message_bytes": 0}),
    ],
)
def test_arguments_that_cannot_work_are_refused(method: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        getattr(ms.StreamingContext(1.0), method)(**options)
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    ("method", "package", "url"),
    [("sse_stream", "httpx_sse", "http://localhost/"), ("websocket_stream", "websockets", "ws://localhost/")],
)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, method: str, package: str, url: str) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ConfigurationError, match=r'pip install "millstream\[http\]"'):
        getattr(ms.StreamingContext(1.0), method)(url)


def test_events_that_were_stored_and_in_no_batch_come_once_too(events: EventServer, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def life(now_s: float, sent: list[int], asked: str | None, *, graceful: bool) -> None:
        clock = ManualClock(now_s)
        environment = ms.Environment(clock)
        ssc = ms.StreamingContext(1.0, name="ticks", checkpoint=tmp_path, environment=environment)
        stream = ssc.sse_stream(events.url, name="ticks")
        stream.map(lambda event: event.data).collect_to(seen)
        ssc.start()
        clock.advance(0.1)
        send = events.connection()
        assert events.asked.get(timeout=WAIT_S).get("last-event-id") == asked
        send(b"".join(event(number) for number in sent))
        feed: Any = stream.node
        assert feed.feed.wait_for_records(len(sent), WAIT_S)
        ssc.stop(graceful=graceful)
        send(HANG_UP)

    life(10.0, [1, 2, 3], None, graceful=False)
    assert [data for batch in seen for data in batch] == []
    life(20.0, [4], "3", graceful=True)
    assert [data for batch in seen for data in batch] == ["1", "2", "3", "4"]

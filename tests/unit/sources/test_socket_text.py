from __future__ import annotations

import queue
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from millstream.environment.clock import SystemClock
from millstream.errors import ConfigurationError, DataError, SourceUnavailableError
from millstream.model.partition import Columns, rows_of
from millstream.model.ports.block_feed import FeedEvent
from millstream.sources.socket_text import SocketTextFeed

WAIT_S = 60.0
FAR_MS = 3_600_000
"""How far each batch is ahead of the one before, so that all that has arrived belongs to it."""


class Harness:
    def __init__(self, port: int, **options: Any) -> None:
        self.events: queue.SimpleQueue[FeedEvent] = queue.SimpleQueue()
        self.batch_ms = 0
        self.feed = SocketTextFeed("127.0.0.1", port, **options)

    def start(self) -> Harness:
        self.batch_ms = int(SystemClock().wall_ms()) // 100 * 100
        self.feed.start(interval_ms=100, zero_ms=self.batch_ms, notify=self.events.put)
        assert self.event().kind == "started"
        return self

    def event(self) -> FeedEvent:
        return self.events.get(timeout=WAIT_S)

    def records(self, count: int) -> list[Any]:
        rows: list[Any] = []
        while len(rows) < count:
            assert self.feed.wait_for_records(1, WAIT_S)
            rows += self.left()
        return rows

    def left(self) -> list[Any]:
        self.batch_ms += FAR_MS
        blocks = self.feed.take(self.batch_ms)
        for block in blocks:
            assert isinstance(block.data, Columns)
            assert block.data.scalar
            assert block.data.table.column_names == ["value"]
            assert block.records == len(block.data)
        return [row for block in blocks for row in rows_of(block.data)]


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        yield listener


@pytest.fixture
def harness(server: socket.socket) -> Iterator[Harness]:
    made = Harness(server.getsockname()[1])
    yield made
    made.feed.close()


def test_lines_become_columns(server: socket.socket, harness: Harness) -> None:
    harness.start()
    connection, _ = server.accept()
    with connection:
        connection.sendall("one\ntwo ß\r\n\n".encode())
        assert harness.records(3) == ["one", "two ß", ""]


def test_a_stop_is_told_and_what_was_received_stays(server: socket.socket, harness: Harness) -> None:
    harness.start()
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"one\n")
        assert harness.feed.wait_for_records(1, WAIT_S)
        harness.feed.begin_stop()
        assert harness.event().kind == "stopped"
    assert harness.left() == ["one"]


def test_a_feed_that_never_started_stops(harness: Harness) -> None:
    harness.feed._notify = harness.events.put
    harness.feed.begin_stop()
    assert harness.event().kind == "stopped"
    assert harness.left() == []


def test_a_port_nobody_listens_on_is_reported_and_tried_again() -> None:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
        harness = Harness(port).start()
        event = harness.event()
        assert event.kind == "error"
        assert isinstance(event.error, SourceUnavailableError)
        assert "could not connect" in str(event.error)
        assert event.error.hint
        placeholder.listen()
        placeholder.settimeout(WAIT_S)
        connection, _ = placeholder.accept()
        with connection:
            connection.sendall(b"at last\n")
            assert harness.records(1) == ["at last"]
        while (event := harness.event()).kind == "error":
            assert "could not connect" in event.message
        assert event.kind == "reconnected"
        harness.feed.close()


def test_a_peer_that_closes_mid_line_gives_the_line_and_is_connected_again(
    server: socket.socket, harness: Harness
) -> None:
    harness.start()
    first, _ = server.accept()
    first.sendall(b"whole\nhalf")
    first.close()
    assert harness.records(2) == ["whole", "half"]
    event = harness.event()
    assert event.kind == "error"
    assert "lost its connection" in event.message
    second, _ = server.accept()
    with second:
        second.sendall(b"more\n")
        assert harness.records(1) == ["more"]
        assert harness.event().kind == "reconnected"


@pytest.mark.parametrize(("policy", "rows"), [("replace", ["a", "\ufffd\ufffd", "b"]), ("skip", ["a", "b"])])
def test_invalid_utf8_is_replaced_or_skipped_and_counted(server: socket.socket, policy: Any, rows: list[str]) -> None:
    harness = Harness(server.getsockname()[1], on_invalid=policy).start()
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"a\n\xff\xfe\nb\n")
        assert harness.records(len(rows)) == rows
    assert harness.feed.invalid == 1
    assert "not UTF-8" in harness.event().message
    harness.feed.close()


def test_invalid_utf8_can_fail_the_feed(server: socket.socket) -> None:
    harness = Harness(server.getsockname()[1], on_invalid="fail").start()
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"a\n\xff\nb\n")
        event = harness.event()
        assert event.kind == "failed"
        assert isinstance(event.error, DataError)
        assert "on_invalid" in str(event.error)
        assert harness.left() == ["a"]
        harness.feed.begin_stop()
        assert harness.event().kind == "stopped"
        assert harness.events.empty()


def test_a_restart_connects_anew_and_loses_nothing(server: socket.socket, harness: Harness) -> None:
    harness.start()
    first, _ = server.accept()
    with first:
        first.sendall(b"one\n")
        assert harness.feed.wait_for_records(1, WAIT_S)
        harness.feed.restart()
        assert harness.event().kind == "started"
        second, _ = server.accept()
        with second:
            second.sendall(b"two\n")
            assert harness.feed.wait_for_records(1, WAIT_S)
            assert harness.left() == ["one", "two"]
            harness.feed.begin_stop()
            assert harness.event().kind == "stopped"
    assert harness.events.empty()


def test_a_held_feed_takes_one_line_at_most(server: socket.socket, harness: Harness) -> None:
    harness.start()
    connection, _ = server.accept()
    with connection:
        harness.feed.hold()
        harness.feed.set_rate(1_000_000)
        lines = [f"line {number}" for number in range(1_000)]
        connection.sendall("".join(f"{line}\n" for line in lines).encode())
        assert not harness.feed.wait_for_records(2, 0.05)
        harness.feed.resume()
        assert harness.records(1_000) == lines


@pytest.mark.parametrize("port", [0, 65_536, -1, True, "9999", 80.0])
def test_a_port_that_is_none_is_refused(port: Any) -> None:
    with pytest.raises(ConfigurationError, match="needs a port") as caught:
        SocketTextFeed("localhost", port)
    assert caught.value.hint


@pytest.mark.parametrize("host", ["", None, 7])
def test_a_host_that_is_none_is_refused(host: Any) -> None:
    with pytest.raises(ConfigurationError, match="host of a socket stream is missing"):
        SocketTextFeed(host, 80)


def test_other_options_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="on_invalid"):
        SocketTextFeed("localhost", 80, on_invalid="drop")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="rate limit"):
        SocketTextFeed("localhost", 80, rate_per_s=0)

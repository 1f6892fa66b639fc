from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pytest
from tests.conformance.ports.line_receiver import LineServer

from millstream.errors import ConfigurationError, SourceUnavailableError, UserCodeError
from millstream.ingest.session import SessionLimits
from millstream.model.ports.block_feed import FeedEvent
from millstream.sources.frame_decoder import FrameDecoder
from millstream.sources.socket_receiver import SocketReceiver
from millstream.testing.conformance.receiver_suite import WAIT_S, Running


@pytest.fixture
def server() -> Iterator[LineServer]:
    server = LineServer()
    yield server
    server.close()


def numbers(stream: BinaryIO) -> Iterator[int]:
    for line in stream:
        yield int(line)


@contextmanager
def running(receiver: SocketReceiver[Any], *, well: bool = True) -> Iterator[Running]:
    runs = Running(receiver, process=False, max_records=1_000, limits=SessionLimits())
    try:
        if well:
            runs.wait_for("started")
        yield runs
    finally:
        runs.feed.close()


def connect_again(runs: Running) -> None:
    runs.feed.restart()
    runs.wait_for("started")


def is_failure(event: FeedEvent) -> bool:
    return event.kind == "failed"


def test_a_connection_that_ends_is_reported_and_made_again(server: LineServer) -> None:
    with running(SocketReceiver("127.0.0.1", server.port, numbers)) as runs:
        server.send(["1"])
        assert runs.records(1) == [1]
        server.hang_up()
        event = runs.wait_for("failed")
        assert isinstance(event.error, SourceUnavailableError)
        assert event.message == f"The connection of socket 127.0.0.1:{server.port} has ended."
        connect_again(runs)
        server.send(["2"])
        assert runs.records(1) == [2]


def test_a_decoder_that_raises_is_named_and_gets_a_new_connection(server: LineServer) -> None:
    with running(SocketReceiver("127.0.0.1", server.port, numbers)) as runs:
        server.send(["1", "x", "2"])
        event = runs.wait_for("failed")
        assert runs.records(1) == [1]
        assert isinstance(event.error, UserCodeError)
        assert isinstance(event.error.__cause__, ValueError)
        assert "The decoder of socket 127.0.0.1" in event.message
        assert "numbers" in str(event.error)
        server.hang_up()
        connect_again(runs)
        server.send(["3"])
        assert runs.records(1) == [3]


def test_a_frame_that_is_none_drops_the_connection(server: LineServer) -> None:
    with running(SocketReceiver("127.0.0.1", server.port, FrameDecoder(10))) as runs:
        server.send_bytes(b"\0\0\0\2ab" + b"\xff" * 20)
        event = runs.wait_for("failed")
        assert runs.records(1) == [b"ab"]
        assert event.message == "The server sent a frame whose length is negative."
        server.hang_up()
        connect_again(runs)
        server.send_bytes(b"\0\0\0\2cd")
        assert runs.records(1) == [b"cd"]


def test_a_server_that_is_not_there_is_tried_again(server: LineServer) -> None:
    server.close()
    with running(SocketReceiver("127.0.0.1", server.port, numbers), well=False) as runs:
        for _ in range(3):
            # Why: the connection may be refused before the receiver counts as started, or after.
            event = next(event for event in iter(lambda: runs.events.get(timeout=WAIT_S), None) if is_failure(event))
            assert isinstance(event.error, SourceUnavailableError)
            assert event.message == f"socket 127.0.0.1:{server.port} could not connect."
            assert "refused" in str(event.error)
            runs.feed.restart()


def test_a_decoder_that_returns_ends_its_connection(server: LineServer) -> None:
    with running(SocketReceiver("127.0.0.1", server.port, lambda stream: [stream.readline()])) as runs:
        server.send(["a", "b"])
        assert runs.wait_for("failed").message.endswith("has ended.")
        assert runs.records(1) == [b"a\n"]


@pytest.mark.parametrize(("host", "port"), [("", 1), (None, 1), ("h", 0), ("h", 65_536), ("h", "1"), ("h", True)])
def test_an_address_that_cannot_be_one_is_refused(host: Any, port: Any) -> None:
    with pytest.raises(ConfigurationError):
        SocketReceiver(host, port, numbers)

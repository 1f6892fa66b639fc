"""A restart where nobody keeps the records but the program: what was planned comes again, nothing comes twice."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Semaphore
from typing import Any, BinaryIO

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

import millstream as ms
from millstream.sources.socket_text import SocketTextFeed
from millstream.testing import ManualClock

WAIT_S = 60.0
START_S = 4_000_000_000.0
"""Behind the clock of the machine, which stamps the lines of `socket_text_stream`: each batch takes all that is there.
"""


class Crash(BaseException):
    """What ends a run in the middle of a batch."""


class TcpServer:
    """A server that sends words to the newest connection, encoded as the input wants them."""

    def __init__(self, encode: Callable[[bytes], bytes]) -> None:
        self._encode = encode
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_S)
        self._connection: socket.socket | None = None
        self.port: int = self._listener.getsockname()[1]

    def accept(self) -> None:
        self._hang_up()
        self._connection, _ = self._listener.accept()

    def send(self, word: str) -> None:
        assert self._connection is not None
        self._connection.sendall(self._encode(word.encode()))

    def close(self) -> None:
        self._hang_up()
        self._listener.close()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()


class WebSocketServer:
    """The same over a WebSocket."""

    def __init__(self) -> None:
        self._connections: SimpleQueue[ServerConnection] = SimpleQueue()
        self._connection: ServerConnection | None = None
        self.server = serve(self._serve, "127.0.0.1", 0)
        self.port: int = self.server.socket.getsockname()[1]

    def accept(self) -> None:
        self._connection = self._connections.get(timeout=WAIT_S)

    def send(self, word: str) -> None:
        assert self._connection is not None
        self._connection.send(word)

    def close(self) -> None:
        self.server.shutdown()

    def _serve(self, connection: ServerConnection) -> None:
        self._connections.put(connection)
        with pytest.raises(ConnectionClosed):
            connection.recv()


class Pushed(ms.Receiver[str]):
    """A receiver whose records come from the test, one by one."""

    name = "pushed"

    def __init__(self) -> None:
        self.port = 0

    def on_start(self) -> None: ...

    def on_stop(self) -> None: ...

    def accept(self) -> None: ...

    def send(self, word: str) -> None:
        self.store(word)

    def close(self) -> None: ...


def words(stream: BinaryIO) -> Iterable[str]:
    return (line.decode().strip() for line in stream)


class Received:
    """Waits until the input has stored what was sent to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stored = Semaphore(0)
        self._feeds: list[SocketTextFeed] = []
        store, start = ms.Receiver.store, SocketTextFeed.start

        def storing(receiver: ms.Receiver[Any], record: Any) -> None:
            store(receiver, record)
            self._stored.release()

        def starting(feed: SocketTextFeed, **options: Any) -> None:
            start(feed, **options)
            self._feeds.append(feed)

        monkeypatch.setattr(ms.Receiver, "store", storing)
        monkeypatch.setattr(SocketTextFeed, "start", starting)

    def wait(self) -> None:
        if self._feeds:
            assert self._feeds[-1].wait_for_records(1, WAIT_S)
        else:
            assert self._stored.acquire(timeout=WAIT_S)


KINDS = ["socket_text_stream", "socket_stream", "raw_socket_stream", "websocket_stream", "receiver_stream"]


@contextmanager
def serving(kind: str) -> Iterator[Any]:
    """Give the other end of an input."""
    with ExitStack() as stack:
        server: Any = Pushed()
        if kind == "websocket_stream":
            server = WebSocketServer()
            stack.enter_context(server.server)
            ms.Environment().start_thread("websockets of the test", server.server.serve_forever)
        elif kind == "raw_socket_stream":
            server = TcpServer(lambda word: len(word).to_bytes(4, "big") + word)
        elif kind != "receiver_stream":
            server = TcpServer(lambda word: word + b"\n")
        stack.callback(server.close)
        yield server


def input_of(ssc: ms.StreamingContext, kind: str, server: Any) -> ms.DStream[Any]:
    host, port = "127.0.0.1", server.port
    if kind == "socket_text_stream":
        return ssc.socket_text_stream(host, port, name="words")
    if kind == "socket_stream":
        return ssc.socket_stream(host, port, words, name="words")
    if kind == "raw_socket_stream":
        return ssc.raw_socket_stream(host, port, name="words").map(bytes.decode)
    if kind == "websocket_stream":
        return ssc.websocket_stream(f"ws://{host}:{port}", name="words")
    return ssc.receiver_stream(server, name="words")


@pytest.mark.parametrize("ending", ["crash", "stop"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_planned_is_not_lost_and_nothing_comes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, ending: str
) -> None:
    clock, received = ManualClock(START_S), Received(monkeypatch)
    batches: dict[int, list[str]] = {}

    with serving(kind) as server:

        def send(word: str) -> None:
            server.send(word)
            received.wait()

        def look(rdd: Any, batch: ms.Batch) -> None:
            batches[batch.time_ms] = rdd.collect()
            if batch.attempt == 0 and "planned" in batches[batch.time_ms]:
                send("received")
                if ending == "crash":
                    raise Crash

        def start() -> ms.StreamingContext:
            ssc = ms.StreamingContext(
                1.0, name=f"{kind} {ending}", checkpoint=tmp_path / "checkpoint", environment=ms.Environment(clock)
            )
            input_of(ssc, kind, server).foreach_rdd(look)
            ssc.start()
            clock.advance(0.0)  # The driver runs when the clock moves.
            server.accept()
            return ssc

        ssc = start()
        send("done")
        clock.advance(1.0)
        send("planned")
        clock.advance(1.0)
        if ending == "crash":
            with pytest.raises(Crash):
                ssc.await_termination(WAIT_S)
        else:
            ssc.stop(graceful=False)
        ssc = start()
        clock.advance(1.0)
        send("later")
        clock.advance(1.0)
        ssc.stop(graceful=False)

    rows = [word for time_ms in sorted(batches) for word in batches[time_ms]]
    if ending == "stop":
        assert rows == ["done", "planned", "received", "later"]
    else:
        assert [word for word in rows if word != "received"] == ["done", "planned", "later"]
        assert rows.count("received") <= 1

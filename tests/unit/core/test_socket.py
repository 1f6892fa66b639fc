"""Lines from real sockets: nothing is lost, doubled or mixed, whatever the peer does."""

import gc
import socket
import struct
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from millstream._core import Block, SocketLines, rows_from_utf8

LONG_S = 30.0
"""A wait that only a defect can exhaust."""

GRID_MS = 10


class Peer:
    """The other end: a listening socket, and the connection that was accepted last."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LONG_S)
        self.port: int = self.listener.getsockname()[1]
        self.connection: socket.socket | None = None

    def accept(self) -> socket.socket:
        self.hang_up()
        self.connection, _ = self.listener.accept()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.connection

    def send(self, data: bytes) -> None:
        assert self.connection is not None
        self.connection.sendall(data)

    def hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def reset(self) -> None:
        assert self.connection is not None
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()

    def close(self) -> None:
        self.hang_up()
        self.listener.close()


class Receiving:
    """A receiver with what was seen of it."""

    def __init__(self, port: int, **options: Any) -> None:
        options = {"grid_ms": GRID_MS, "origin_ms": 0, "reconnect_initial_ms": 1, **options}
        self.grid_ms: int = options["grid_ms"]
        self.taken_ms = 0
        self.socket = SocketLines("127.0.0.1", port, **options)
        self.events: list[tuple[str, str, int]] = []
        self.blocks: list[Block] = []

    def await_event(self, kind: str) -> str:
        """Wait for the next event of a kind and give its detail."""
        deadline = time.monotonic() + LONG_S
        while time.monotonic() < deadline:
            for index, event in enumerate(self.events):
                if event[0] == kind:
                    del self.events[: index + 1]
                    return event[1]
            self.events += self.socket.events(1.0)
        raise AssertionError(f"no event {kind}; the receiver is {self.socket!r}, {self.socket.stats()!r}")

    def rows(self, count: int) -> list[str]:
        """Wait for so many records and take them."""
        assert self.socket.wait(LONG_S, count), f"{self.socket.pending()} {self.socket.events()}"
        blocks = self.take()
        return [row for block in blocks for row in rows_from_utf8(block)]

    def take(self) -> list[Block]:
        """Take everything; what comes next enters a later batch time, also when this one lies ahead."""
        self.taken_ms = max(now_ms(), self.taken_ms) + 2 * self.grid_ms
        blocks = self.socket.take(self.taken_ms)
        self.blocks += blocks
        return blocks


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def receive(peer: Peer) -> Iterator[Callable[..., Receiving]]:
    made: list[Receiving] = []

    def start(**options: Any) -> Receiving:
        receiving = Receiving(peer.port, **options)
        made.append(receiving)
        receiving.socket.start()
        peer.accept()
        receiving.await_event("connected")
        return receiving

    yield start
    for receiving in made:
        assert receiving.socket.stop(LONG_S)


Start = Callable[..., Receiving]


def test_lines_come_out_in_order_as_arrow(peer: Peer, receive: Start) -> None:
    receiving = receive()
    peer.send(b"one\ntwo\r\nthree\rf\xc3\xbcnf\n")
    assert receiving.rows(4) == ["one", "two", "three", "fünf"]
    assert receiving.socket.pending() == (0, 0)
    table = pa.concat_tables([pa.table(block) for block in receiving.blocks])
    assert table == pa.table({"value": ["one", "two", "three", "fünf"]})
    assert pa.record_batch(receiving.blocks[0]).schema == table.schema
    assert sum(block.bytes for block in receiving.blocks) == 16 + 4 * 4


def test_pieces_of_any_size_make_no_difference(peer: Peer, receive: Start) -> None:
    receiving = receive()
    text = "a\r\nbc\r\r\n—é\n\nlast\r\n"
    for byte in text.encode():
        peer.send(bytes([byte]))
    assert receiving.rows(6) == ["a", "bc", "", "—é", "", "last"]


def test_a_line_is_out_before_the_next_byte_comes(peer: Peer, receive: Start) -> None:
    receiving = receive()
    peer.send(b"a\r")
    assert receiving.rows(1) == ["a"]
    peer.send(b"\nb\n")
    assert receiving.rows(1) == ["b"]


def test_a_peer_that_closes_in_a_line_leaves_that_line(peer: Peer, receive: Start) -> None:
    receiving = receive()
    peer.send(b"whole\nunfin")
    peer.hang_up()
    assert receiving.rows(2) == ["whole", "unfin"]
    assert "the peer closed the connection" in receiving.await_event("disconnected")
    peer.accept()
    receiving.await_event("connected")
    peer.send(b"next\n")
    assert receiving.rows(1) == ["next"]
    assert receiving.socket.stats().connections == 2


def test_a_connection_that_breaks_drops_the_unfinished_line(peer: Peer, receive: Start) -> None:
    receiving = receive()
    peer.send(b"whole\nunfin")
    assert receiving.rows(1) == ["whole"]
    peer.reset()
    detail = receiving.await_event("disconnected")
    assert "reset by peer" in detail
    assert "5 bytes of a line without an end were dropped" in detail
    peer.accept()
    receiving.await_event("connected")
    peer.send(b"next\n")
    assert receiving.rows(1) == ["next"]


def test_a_port_nobody_listens_on_is_tried_again_until_somebody_does() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    taken.close()
    receiving = Receiving(port, reconnect_max_ms=4, jitter_seed=1)
    receiving.socket.start()
    for _ in range(3):
        assert "refused" in receiving.await_event("connect_failed")
    with socket.create_server(("127.0.0.1", port)) as listener:
        connection, _ = listener.accept()
        connection.sendall(b"here\n")
        assert receiving.rows(1) == ["here"]
        connection.close()
    assert receiving.socket.stats().failed_connections >= 3
    assert receiving.socket.stop(LONG_S)


def test_a_name_that_does_not_resolve_is_reported() -> None:
    socket_lines = SocketLines("name.invalid", 1, grid_ms=1, origin_ms=0)
    socket_lines.start()
    kind, detail, wall_ms = socket_lines.events(LONG_S)[0]
    assert kind == "connect_failed"
    assert detail.startswith("name.invalid:1: ")
    assert abs(wall_ms - now_ms()) < 60_000
    assert socket_lines.stop(LONG_S)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("replace", ["good", "b\ufffdd", "12345678", "end"]), ("skip", ["good", "end"])],
)
def test_invalid_lines_by_policy(peer: Peer, receive: Start, policy: str, expected: list[str]) -> None:
    receiving = receive(on_invalid=policy, max_line_bytes=8)
    peer.send(b"good\nb\xffd\n123456789\nend\n")
    assert receiving.rows(len(expected)) == expected
    assert receiving.socket.stats().invalid == 2
    assert sum(block.invalid for block in receiving.blocks) == 2


@pytest.mark.parametrize("bad", [b"b\xffd\n", b"123456789\n", b"123456789"], ids=["utf-8", "long", "long without end"])
def test_failing_ends_the_receiver_after_what_came_before(peer: Peer, receive: Start, bad: bytes) -> None:
    receiving = receive(on_invalid="fail", max_line_bytes=8)
    peer.send(b"good\n" + bad)
    assert "the line at byte 5 is not a record" in receiving.await_event("failed")
    assert receiving.rows(1) == ["good"]
    assert receiving.socket.state == "failed"
    assert not receiving.socket.wait(LONG_S)


def test_a_long_line_without_end_takes_no_more_memory_than_its_limit(peer: Peer, receive: Start) -> None:
    receiving = receive(max_line_bytes=1000)
    for _ in range(100):
        peer.send(b"x" * 10_000)
    peer.send(b"\nshort\n")
    assert receiving.rows(2) == ["x" * 1000, "short"]


def test_blocks_are_of_one_slot_of_the_grid(peer: Peer, receive: Start) -> None:
    receiving = receive(grid_ms=7, origin_ms=3)
    before = now_ms()
    sent = 0
    while now_ms() < before + 40:
        peer.send(b"%d\n" % sent)
        sent += 1
    assert receiving.rows(sent) == [str(number) for number in range(sent)]
    times = [block.batch_ms for block in receiving.blocks]
    assert times == sorted(set(times))
    assert len(times) >= 3
    assert all((batch_ms - 3) % 7 == 0 for batch_ms in times)
    assert before <= times[0]
    assert times[-1] < now_ms() + 7


def test_take_leaves_later_batches(peer: Peer, receive: Start) -> None:
    receiving = receive(grid_ms=100_000_000, origin_ms=0)
    peer.send(b"a\n")
    assert receiving.socket.wait(LONG_S)
    assert receiving.socket.take(now_ms()) == []
    assert receiving.socket.pending() == (1, 1 + 4)
    [block] = receiving.socket.take(now_ms() + 100_000_000)
    assert block.records == len(block) == 1
    assert block.batch_ms % 100_000_000 == 0


def test_nothing_enters_a_batch_time_that_was_taken(peer: Peer, receive: Start) -> None:
    receiving = receive()
    taken_ms = now_ms() + 60_000
    assert receiving.socket.take(taken_ms) == []
    peer.send(b"a\n")
    assert receiving.socket.wait(LONG_S)
    assert receiving.socket.take(taken_ms) == []
    [block] = receiving.socket.take(taken_ms + GRID_MS)
    assert block.batch_ms > taken_ms


def test_blocks_are_bounded(peer: Peer, receive: Start) -> None:
    receiving = receive(grid_ms=100_000_000, block_max_records=10, block_max_bytes=1000)
    peer.send(b"short\n" * 95 + b"x" * 400 + b"\n" + b"y" * 700 + b"\n")
    assert receiving.socket.wait(LONG_S, 97)
    blocks = receiving.socket.take(now_ms() + 100_000_000)
    assert sum(block.records for block in blocks) == 97
    assert all(block.records <= 10 and block.bytes <= 1000 for block in blocks)


def test_a_full_queue_stops_the_peer_and_nothing_is_lost(peer: Peer, receive: Start) -> None:
    receiving = receive(queue_max_bytes=100_000, block_max_bytes=20_000)
    line = b"x" * 99 + b"\n"
    count = 200_000
    sending = threading.Thread(target=peer.send, args=(line * count,))
    sending.start()
    receiving.await_event("queue_full")
    # 20 MB are more than the buffers of a loopback connection hold, so that the peer is blocked now.
    assert sending.is_alive()
    assert receiving.socket.pending()[1] < 200_000
    got = 0
    while got < count:
        assert receiving.socket.wait(LONG_S)
        got += sum(block.records for block in receiving.take())
    sending.join()
    receiving.await_event("queue_drained")
    assert got == count
    assert receiving.socket.stats().pauses >= 1


def test_the_rate_is_held_and_can_change(peer: Peer, receive: Start) -> None:
    receiving = receive(rate_per_s=1000.0)
    started = time.monotonic()
    peer.send(b"a\n" * 1_000_000)
    assert receiving.socket.wait(LONG_S, 300)
    assert time.monotonic() - started >= 0.19
    records, _ = receiving.socket.pending()
    assert records <= 1000 * (time.monotonic() - started + 0.1) + 1
    with pytest.raises(ValueError, match="a rate must be positive"):
        receiving.socket.set_rate(0)
    receiving.socket.set_rate(None)
    assert receiving.socket.wait(LONG_S, 1_000_000)


def test_stop_ends_a_read_a_limited_rate_and_a_full_queue(peer: Peer, receive: Start) -> None:
    reading = receive()
    assert reading.socket.stop(LONG_S)
    limited = receive(rate_per_s=0.001)
    peer.send(b"a\nb\nc\n")
    assert limited.socket.wait(LONG_S)
    assert limited.socket.stop(LONG_S)
    full = receive(queue_max_bytes=1)
    peer.send(b"a\n")
    full.await_event("queue_full")
    assert full.socket.stop(LONG_S)
    assert [receiving.socket.state for receiving in (reading, limited, full)] == ["stopped"] * 3
    assert full.rows(1) == ["a"]


def test_stop_drops_the_unfinished_line_and_says_so(peer: Peer, receive: Start) -> None:
    receiving = receive()
    peer.send(b"whole\nunfinished")
    assert receiving.rows(1) == ["whole"]
    while receiving.socket.stats().read_bytes < 16:
        assert not receiving.socket.wait(0.01)
    assert receiving.socket.stop(LONG_S)
    assert "10 bytes of a line without an end" in receiving.await_event("stopped")
    assert receiving.socket.pending() == (0, 0)


def test_stop_does_not_wait_for_a_name_or_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        # A full backlog lets further attempts hang until their time-out.
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        receiving = SocketLines("127.0.0.1", port, grid_ms=1, origin_ms=0, connect_timeout_ms=60_000)
        receiving.start()
        assert receiving.stop(LONG_S / 2)
        for filler in fillers:
            filler.close()


def test_it_starts_once(peer: Peer, receive: Start) -> None:
    receiving = receive()
    with pytest.raises(RuntimeError, match="starts once; this one is connected"):
        receiving.socket.start()
    assert receiving.socket.stop()
    assert receiving.socket.stop()
    with pytest.raises(RuntimeError, match="starts once; this one is stopped"):
        receiving.socket.start()
    idle = SocketLines("127.0.0.1", peer.port, grid_ms=1, origin_ms=0)
    assert idle.state == "idle"
    assert idle.stop()
    with pytest.raises(RuntimeError, match="starts once"):
        idle.start()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid_ms": 0}, "grid_ms must be positive"),
        ({"block_max_records": 0}, "block_max_records must be positive"),
        ({"block_max_bytes": 1 << 31}, "block_max_bytes must be at most"),
        ({"queue_max_bytes": 0}, "queue_max_bytes must be positive"),
        ({"max_line_bytes": 0}, "max_line_bytes must be between"),
        ({"rate_per_s": 0.0}, "a rate must be positive"),
        ({"reconnect_initial_ms": 0}, "the waits before a connection must be positive"),
        ({"reconnect_initial_ms": 10, "reconnect_max_ms": 5}, "the longest no shorter"),
        ({"on_invalid": "ignore"}, "'replace', 'skip' or 'fail'"),
        ({"host": ""}, "a host name"),
        ({"port": 0}, "a port from 1 to 65535"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"host": "127.0.0.1", "port": 1, "grid_ms": 1, "origin_ms": 0, **change}
    with pytest.raises(ValueError, match=message):
        SocketLines(settings.pop("host"), settings.pop("port"), **settings)


def test_a_receiver_that_is_let_go_ends_its_connection(peer: Peer) -> None:
    receiving = SocketLines("127.0.0.1", peer.port, grid_ms=1, origin_ms=0)
    receiving.start()
    connection = peer.accept()
    connection.settimeout(LONG_S)
    del receiving
    gc.collect()
    assert connection.recv(1) == b""


def test_a_busy_python_thread_does_not_stop_the_receiver(peer: Peer, receive: Start) -> None:
    """The receiver's thread never asks for the GIL, so one long bytecode-bound stretch cannot hold it back."""
    receiving = receive()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10.0)
    try:
        peer.send(b"a\n" * 1000)
        while receiving.socket.pending()[0] < 1000:
            pass
    finally:
        sys.setswitchinterval(interval)
    assert len(receiving.rows(1000)) == 1000


def test_blocks_are_freed_with_their_last_user(peer: Peer, receive: Start) -> None:
    receiving = receive()
    peer.send(b"a\n")
    assert receiving.socket.wait(LONG_S)
    [block] = receiving.socket.take(now_ms() + 1000)
    table = pa.table(block)
    del block
    gc.collect()
    assert table["value"].to_pylist() == ["a"]
    gone = weakref.ref(table)
    del table
    gc.collect()
    assert gone() is None

"""Inputs that get their records pushed, through whole streams: sockets, receivers, pushes of the program itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from operator import add, sub
from queue import SimpleQueue
from typing import Any

import pytest

import millstream as ms
from millstream.errors import DataError, InputFullError, LifecycleError
from millstream.observe.events import BatchCompleted, ReceiverFailed, ReceiverStarted, StreamingStopped
from millstream.testing import ManualClock

WAIT_S = 60.0


class Heard(ms.StreamingListener):
    """Hands over what is told about receivers, and counts what was invalid."""

    def __init__(self) -> None:
        self.started: SimpleQueue[ReceiverStarted] = SimpleQueue()
        self.failed: SimpleQueue[ReceiverFailed] = SimpleQueue()
        self.invalid: dict[str, int] = {}
        self.left: dict[str, int] | None = None

    def on_receiver_started(self, event: ReceiverStarted) -> None:
        self.started.put(event)

    def on_receiver_failed(self, event: ReceiverFailed) -> None:
        self.failed.put(event)

    def on_batch_completed(self, event: BatchCompleted) -> None:
        for name, count in event.invalid.items():
            self.invalid[name] = self.invalid.get(name, 0) + count

    def on_streaming_stopped(self, event: StreamingStopped) -> None:
        self.left = dict(event.left)


class Rows:
    """The records of all batches, one after the other."""

    def __init__(self) -> None:
        self._batches: SimpleQueue[list[Any]] = SimpleQueue()
        self.put = self._batches.put

    def first(self, count: int) -> list[Any]:
        """Wait for so many."""
        rows: list[Any] = []
        while len(rows) < count:
            rows += self._batches.get(timeout=WAIT_S)
        return rows

    def rest(self) -> list[Any]:
        """Take what is there."""
        rows: list[Any] = []
        while not self._batches.empty():
            rows += self._batches.get()
        return rows


@pytest.fixture
def live(context: ms.Context) -> Iterator[ms.StreamingContext]:
    """A stream of the real time, with a batch every 20 ms, on each backend."""
    with ms.StreamingContext(0.02, context=context) as made:
        yield made
        made.stop(graceful=False)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        yield listener


def test_a_port_nobody_listens_on_is_reported_and_tried_until_somebody_does(live: ms.StreamingContext) -> None:
    heard, rows = Heard(), Rows()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    live.add_listener(heard)
    live.socket_text_stream("127.0.0.1", port).collect_to(rows.put)
    live.start()
    event = heard.failed.get(timeout=WAIT_S)
    assert (event.input, event.is_down) == ("socket_text_stream-0", False)
    for words in ("could not connect", "Detail: ", "refused", "Hint: Check that the server runs"):
        assert words in (event.error or "")
    assert live.state == "active"
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(WAIT_S)
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"here\n")
            assert rows.first(1) == ["here"]


def test_a_peer_that_closes_mid_line_gives_the_line_and_is_connected_again(
    live: ms.StreamingContext, server: socket.socket
) -> None:
    heard, rows = Heard(), Rows()
    live.add_listener(heard)
    live.socket_text_stream("127.0.0.1", server.getsockname()[1]).collect_to(rows.put)
    live.start()
    peer, _ = server.accept()
    peer.sendall(b"whole\nhal")
    peer.close()
    assert rows.first(2) == ["whole", "hal"]
    assert "lost its connection" in (heard.failed.get(timeout=WAIT_S).error or "")
    peer, _ = server.accept()
    with peer:
        peer.sendall(b"again\n")
        assert rows.first(1) == ["again"]


BAD_LINES = b"good\nb\xffd\n\xf0\x28\n\nend\n"


@pytest.mark.parametrize(
    ("policy", "expected"), [("replace", ["good", "b\ufffdd", "\ufffd(", "", "end"]), ("skip", ["good", "", "end"])]
)
def test_invalid_lines_of_a_socket_are_replaced_or_skipped_and_counted(
    live: ms.StreamingContext, server: socket.socket, policy: Any, expected: list[str]
) -> None:
    heard, rows = Heard(), Rows()
    live.add_listener(heard)
    stream = live.socket_text_stream("127.0.0.1", server.getsockname()[1], on_invalid=policy, name="feed")
    stream.collect_to(rows.put)
    live.start()
    peer, _ = server.accept()
    with peer:
        peer.sendall(BAD_LINES)
        assert rows.first(len(expected)) == expected
        live.stop()
    assert heard.invalid == {"feed": 2}


def test_an_invalid_line_of_a_socket_can_fail_the_stream(live: ms.StreamingContext, server: socket.socket) -> None:
    live.socket_text_stream("127.0.0.1", server.getsockname()[1], on_invalid="fail").collect_to([])
    live.start()
    peer, _ = server.accept()
    with peer:
        peer.sendall(BAD_LINES)
        with pytest.raises(DataError) as caught:
            live.await_termination(WAIT_S)
    for words in ("no record", "Detail: ", "Hint: Send lines in UTF-8"):
        assert words in str(caught.value)


class Counting(ms.Receiver[int]):
    """Stores one number after the other until it is stopped."""

    name = "counting"

    def __init__(self, at_most: int = 10**9) -> None:
        self.at_most = at_most
        self.stored = 0

    def on_start(self) -> None:
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while not self.is_stopped() and self.stored < self.at_most:
            self.store(self.stored)
            self.stored += 1

    def on_stop(self) -> None:
        self.thread.join(WAIT_S)


class InBlocks(ms.Receiver[int]):
    """Stores three blocks and then nothing; for a process of its own."""

    def on_start(self) -> None:
        for low in (0, 3, 6):
            self.store_many(range(low, low + 3), position=low)

    def on_stop(self) -> None: ...


def test_a_graceful_stop_loses_nothing_of_a_receiver(live: ms.StreamingContext) -> None:
    receiver, heard = Counting(), Heard()
    seen: list[list[int]] = []
    live.add_listener(heard)
    live.receiver_stream(receiver, max_records_per_s=50_000).collect_to(seen)
    live.start()
    heard.started.get(timeout=WAIT_S)
    assert live.stop() is True
    assert [x for batch in seen for x in batch] == list(range(receiver.stored))
    assert heard.left == {}


@pytest.mark.parametrize("process", [False, True])
def test_a_receiver_in_a_process_of_its_own_feeds_windows_and_state(live: ms.StreamingContext, process: bool) -> None:
    totals: SimpleQueue[list[Any]] = SimpleQueue()
    raw: SimpleQueue[list[Any]] = SimpleQueue()
    windowed: SimpleQueue[list[Any]] = SimpleQueue()
    numbers = live.receiver_stream(InBlocks(), process=process)
    numbers.window(60, 0.02).collect_to(raw.put)
    pairs = numbers.map(lambda x: (x % 2, x))
    pairs.reduce_by_key_and_window(add, sub, window=60, slide=0.02).collect_to(windowed.put)
    pairs.update_state_by_key(lambda values, old: (old or 0) + sum(values)).collect_to(totals.put)
    live.start()

    def until(results: SimpleQueue[list[Any]], expected: list[Any]) -> None:
        while sorted(results.get(timeout=WAIT_S)) != expected:
            pass

    until(raw, list(range(9)))
    until(windowed, [(0, 20), (1, 16)])
    until(totals, [(0, 20), (1, 16)])


class FailsFirst(ms.Receiver[str]):
    """Raises at its first start."""

    starts = 0

    def on_start(self) -> None:
        self.starts += 1
        if self.starts == 1:
            raise ConnectionRefusedError("the broker is away")
        self.store("it is back")

    def on_stop(self) -> None: ...


def test_a_receiver_that_raises_in_on_start_is_reported_and_started_again(live: ms.StreamingContext) -> None:
    heard, rows = Heard(), Rows()
    live.add_listener(heard)
    live.receiver_stream(FailsFirst(), name="broker").collect_to(rows.put)
    live.start()
    event = heard.failed.get(timeout=WAIT_S)
    assert (event.input, event.is_down) == ("broker", True)
    for words in ("UserCodeError", "ConnectionRefusedError in on_start: the broker is away", "Detail: ", "Hint: "):
        assert words in (event.error or "")
    assert rows.first(1) == ["it is back"]
    assert heard.started.get(timeout=WAIT_S).input == "broker"


class Blocks(ms.Receiver[str]):
    """Receives in on_start itself, which it must not."""

    def __init__(self) -> None:
        self.stored = threading.Event()
        self.end = threading.Event()

    def on_start(self) -> None:
        self.store("meanwhile")
        self.stored.set()
        self.end.wait(WAIT_S)

    def on_stop(self) -> None:
        self.end.set()


def test_a_receiver_that_blocks_in_on_start_is_reported_and_its_records_are_processed(
    either: ms.StreamingContext, clock: ManualClock
) -> None:
    heard, receiver, seen = Heard(), Blocks(), list[list[str]]()
    either.add_listener(heard)
    either.receiver_stream(receiver).collect_to(seen)
    either.start()
    clock.advance(0)
    assert receiver.stored.wait(WAIT_S)
    clock.advance(6.0)
    event = heard.failed.get(timeout=WAIT_S)
    for words in ("must not block", "within 5 s", "Hint: Start a thread in on_start and return"):
        assert words in (event.error or "")
    assert ["meanwhile"] in seen
    assert either.stop() is True


class Broken(ms.Receiver[int]):
    """Ends itself for good."""

    def on_start(self) -> None:
        self.store(1)
        self.stop("nothing more will come")

    def on_stop(self) -> None: ...


def test_a_receiver_that_ends_leaves_the_stream_running(live: ms.StreamingContext) -> None:
    rows = Rows()
    pushed = live.memory_stream()
    live.receiver_stream(Broken()).union(pushed).collect_to(rows.put)
    live.start()
    assert rows.first(1) == [1]
    pushed.push(2)
    assert rows.first(1) == [2]
    assert live.state == "active"


class Unpicklable(ms.Receiver[int]):
    def __init__(self) -> None:
        self.connection = threading.Lock()

    def on_start(self) -> None: ...
    def on_stop(self) -> None: ...


def test_a_receiver_that_cannot_go_to_a_process_names_what_cannot(live: ms.StreamingContext) -> None:
    with pytest.raises(ms.MillstreamError, match="cannot be sent to a process of its own") as caught:
        live.receiver_stream(Unpicklable(), process=True)
    assert "`connection` (a _thread.lock) of Unpicklable" in str(caught.value)
    assert "Hint: Open connections" in str(caught.value)


def test_a_rate_can_change_while_the_stream_runs(either: ms.StreamingContext, clock: ManualClock) -> None:
    seen: list[list[int]] = []
    numbers = either.memory_stream(on_full="raise")
    numbers.collect_to(seen)
    either.start()
    numbers.push_many([1, 2, 3])
    either.set_rate(numbers, 0.001)

    def push() -> None:
        for x in range(4, 100):
            numbers.push(x)

    with pytest.raises(InputFullError) as caught:
        push()
    for words in ("over its rate limit", "Detail: ", "Hint: "):
        assert words in str(caught.value)
    with pytest.raises(ms.MillstreamError, match="rate limit must be positive"):
        either.set_rate(numbers, 0)
    either.set_rate(numbers, None)
    numbers.push_many(range(100, 200))
    clock.advance(1.0)
    assert seen[0][:3] == [1, 2, 3]
    assert seen[0][-100:] == list(range(100, 200))


def test_a_full_memory_stream_raises_or_waits(context: ms.Context) -> None:
    clock = ManualClock()
    with ms.StreamingContext(1.0, context=context, environment=ms.Environment(clock)) as ssc:
        seen: list[list[int]] = []
        raising = ssc.memory_stream(max_records=2, on_full="raise")
        blocking = ssc.memory_stream(max_records=2)
        raising.union(blocking).collect_to(seen)
        ssc.start()
        raising.push(1)
        raising.push(2)
        with pytest.raises(InputFullError) as caught:
            raising.push(3)
        for words in ("has no room", "2 of 2 wait", "Hint: "):
            assert words in str(caught.value)
        blocking.push_many([10, 20])
        pusher = threading.Thread(target=lambda: blocking.push(30))
        pusher.start()
        clock.advance(1.0)
        pusher.join(WAIT_S)
        clock.advance(1.0)
        assert seen == [[1, 2, 10, 20], [30]]
    with pytest.raises(LifecycleError, match="takes no more records") as closed:
        blocking.push(40)
    assert "Hint: " in str(closed.value)


def test_pushing_from_many_threads_loses_nothing_and_keeps_each_order(live: ms.StreamingContext) -> None:
    seen: list[list[tuple[int, int]]] = []
    numbers = live.memory_stream()
    numbers.collect_to(seen)
    live.start()

    def push(thread: int) -> None:
        for x in range(500):
            numbers.push((thread, x))

    threads = [threading.Thread(target=push, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    live.stop()
    rows = [row for batch in seen for row in batch]
    for n in range(4):
        assert [x for thread, x in rows if thread == n] == list(range(500))


class Stubborn(ms.Receiver[int]):
    """Raises when it is stopped."""

    def on_start(self) -> None:
        self.store(1)

    def on_stop(self) -> None:
        raise OSError("cannot close")


def test_a_receiver_that_raises_in_on_stop_does_not_keep_the_stream(either: ms.StreamingContext) -> None:
    heard, seen = Heard(), list[list[int]]()
    either.add_listener(heard)
    either.receiver_stream(Stubborn()).collect_to(seen)
    either.start()
    assert either.stop() is True
    assert "OSError in on_stop: cannot close" in (heard.failed.get(timeout=WAIT_S).error or "")

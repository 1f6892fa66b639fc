from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from millstream.environment.clock import ManualClock
from millstream.environment.environment import Environment
from millstream.errors import ArgumentTypeError, ConfigurationError, LifecycleError, UserCodeError
from millstream.ingest.receiver_feed import ReceiverFeed
from millstream.ingest.session import SessionLimits
from millstream.model.ports.block_feed import FeedEvent
from millstream.model.ports.receiver import Receiver

WAIT_S = 30.0


class Recording(Receiver[Any]):
    """Notes the calls it gets, and fails or blocks where a test says so."""

    name = "recording"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.start_error: BaseException | None = None
        self.stop_error: BaseException | None = None
        self.start_gate: threading.Event | None = None
        self.stop_gate: threading.Event | None = None
        self.in_start = threading.Event()
        self.in_stop = threading.Event()

    def on_start(self) -> None:
        self.calls.append("start")
        self.in_start.set()
        if self.start_gate is not None:
            assert self.start_gate.wait(WAIT_S)
        if self.start_error is not None:
            raise self.start_error

    def on_stop(self) -> None:
        self.calls.append("stop")
        self.in_stop.set()
        if self.start_gate is not None:
            self.start_gate.set()
        if self.stop_gate is not None:
            assert self.stop_gate.wait(WAIT_S)
        if self.stop_error is not None:
            raise self.stop_error


class Harness:
    def __init__(self, receiver: Receiver[Any], **options: Any) -> None:
        self.clock = ManualClock(10.0)
        self.events: queue.SimpleQueue[FeedEvent] = queue.SimpleQueue()
        self.feed = ReceiverFeed(receiver, Environment(self.clock), **options)

    def start(self) -> Harness:
        self.feed.start(interval_ms=1_000, zero_ms=0, notify=self.events.put)
        return self

    def event(self) -> FeedEvent:
        return self.events.get(timeout=WAIT_S)

    def kinds(self, count: int) -> list[str]:
        return [self.event().kind for _ in range(count)]


def test_start_and_stop_call_the_receiver_once_each() -> None:
    receiver = Recording()
    harness = Harness(receiver).start()
    assert harness.kinds(1) == ["started"]
    assert not receiver.is_stopped()
    harness.feed.begin_stop()
    assert harness.kinds(1) == ["stopped"]
    assert receiver.is_stopped()
    harness.feed.close()
    assert receiver.calls == ["start", "stop"]
    assert harness.events.empty()


def test_what_on_start_raises_is_a_failure_with_its_cause() -> None:
    receiver = Recording()
    receiver.start_error = ValueError("no such host")
    harness = Harness(receiver).start()
    event = harness.event()
    assert event.kind == "failed"
    assert event.delay_s is None
    assert isinstance(event.error, UserCodeError)
    assert event.error.__cause__ is receiver.start_error
    assert "raised ValueError in on_start: no such host" in str(event.error)
    receiver.start_error = None
    harness.feed.restart()
    assert harness.kinds(1) == ["started"]
    assert receiver.calls == ["start", "stop", "start"]


def test_even_an_exit_in_on_start_is_reported() -> None:
    receiver = Recording()
    receiver.start_error = SystemExit(3)
    assert Harness(receiver).start().kinds(1) == ["failed"]


def test_a_receiver_that_blocks_in_on_start_is_reported_and_goes_on() -> None:
    receiver = Recording()
    receiver.start_gate = threading.Event()
    harness = Harness(receiver, limits=SessionLimits(start_s=2.0)).start()
    assert receiver.in_start.wait(WAIT_S)
    harness.clock.advance(1.9)
    assert harness.events.empty()
    harness.clock.advance(0.2)
    event = harness.event()
    assert event.kind == "error"
    assert "on_start of the receiver recording must not block" in str(event.error)
    assert "2 s" in str(event.error)
    assert harness.kinds(1) == ["started"]
    receiver.store("still here")
    assert [list(block.data) for block in harness.feed.take(11_000)] == [["still here"]]  # type: ignore[arg-type]


def test_on_stop_is_called_beside_an_on_start_that_never_returns() -> None:
    receiver = Recording()
    receiver.start_gate = threading.Event()
    harness = Harness(receiver, limits=SessionLimits(start_s=1.0, stop_s=3.0)).start()
    assert receiver.in_start.wait(WAIT_S)
    harness.clock.advance(1.0)
    assert harness.kinds(2) == ["error", "started"]
    harness.feed.begin_stop()
    assert receiver.is_stopped()
    assert harness.kinds(1) == ["stopped"]
    assert receiver.calls == ["start", "stop"]


def test_on_stop_waits_for_an_on_start_that_may_still_return() -> None:
    receiver = Recording()
    receiver.start_gate = threading.Event()
    harness = Harness(receiver, limits=SessionLimits(start_s=1.0, stop_s=3.0)).start()
    assert receiver.in_start.wait(WAIT_S)
    harness.feed.begin_stop()
    assert receiver.is_stopped()
    assert receiver.calls == ["start"]
    harness.clock.advance(3.0)
    assert harness.kinds(1) == ["stopped"]
    assert receiver.calls == ["start", "stop"]


def test_an_on_stop_that_never_returns_is_reported_and_left_behind() -> None:
    receiver = Recording()
    receiver.stop_gate = threading.Event()
    harness = Harness(receiver, limits=SessionLimits(stop_s=3.0)).start()
    assert harness.kinds(1) == ["started"]
    harness.feed.begin_stop()
    assert receiver.in_stop.wait(WAIT_S)
    harness.clock.advance(3.0)
    event = harness.event()
    assert event.kind == "error"
    assert "on_stop of the receiver recording has not returned" in str(event.error)
    assert harness.kinds(1) == ["stopped"]
    receiver.stop_gate.set()


def test_what_on_stop_raises_is_reported() -> None:
    receiver = Recording()
    receiver.stop_error = OSError("already closed")
    harness = Harness(receiver).start()
    assert harness.kinds(1) == ["started"]
    harness.feed.begin_stop()
    event = harness.event()
    assert event.kind == "error"
    assert "raised OSError in on_stop: already closed" in str(event.error)
    assert harness.kinds(1) == ["stopped"]


def test_a_receiver_that_asks_for_a_restart_is_stopped_before_the_pause() -> None:
    receiver = Recording()
    harness = Harness(receiver).start()
    assert harness.kinds(1) == ["started"]
    cause = ConnectionError("gone")
    receiver.restart("lost the peer", cause, delay=4.0)
    receiver.restart("lost it again", None)
    event = harness.event()
    assert (event.kind, event.message, event.error, event.delay_s) == ("failed", "lost the peer", cause, 4.0)
    assert receiver.is_stopped()
    assert receiver.in_stop.wait(WAIT_S)
    harness.feed.restart()
    assert harness.kinds(1) == ["started"]
    assert receiver.calls == ["start", "stop", "start"]
    assert not receiver.is_stopped()
    assert harness.events.empty()


def test_a_receiver_that_runs_is_stopped_before_it_is_started_again() -> None:
    receiver = Recording()
    harness = Harness(receiver).start()
    assert harness.kinds(1) == ["started"]
    harness.feed.restart()
    assert harness.kinds(1) == ["started"]
    assert receiver.calls == ["start", "stop", "start"]


def test_a_receiver_may_stop_itself_for_good() -> None:
    receiver = Recording()
    harness = Harness(receiver).start()
    assert harness.kinds(1) == ["started"]
    receiver.store(1)
    receiver.stop("that was all")
    event = harness.event()
    assert (event.kind, event.message) == ("stopped", "that was all")
    assert receiver.calls == ["start", "stop"]
    assert [list(block.data) for block in harness.feed.take(11_000)] == [[1]]  # type: ignore[arg-type]
    harness.feed.begin_stop()
    assert harness.kinds(1) == ["stopped"]
    assert receiver.calls == ["start", "stop"]


def test_a_receiver_that_stops_itself_in_on_start_has_started() -> None:
    class Finite(Receiver[int]):
        name = "finite"

        def on_start(self) -> None:
            self.store_many([1, 2, 3], position=3)
            self.stop("all there is")

        def on_stop(self) -> None: ...

    harness = Harness(Finite()).start()
    assert harness.kinds(2) == ["started", "stopped"]
    blocks = harness.feed.take(11_000)
    assert [(list(block.data), block.position) for block in blocks] == [([1, 2, 3], 3)]  # type: ignore[arg-type]


def test_a_reported_error_does_not_end_anything() -> None:
    receiver = Recording()
    harness = Harness(receiver).start()
    assert harness.kinds(1) == ["started"]
    cause = ValueError("one bad message")
    receiver.report_error("skipped a message", cause)
    event = harness.event()
    assert (event.kind, event.message, event.error) == ("error", "skipped a message", cause)
    assert not receiver.is_stopped()


def test_no_restart_after_the_stop_began() -> None:
    receiver = Recording()
    receiver.stop_gate = threading.Event()
    harness = Harness(receiver).start()
    assert harness.kinds(1) == ["started"]
    receiver.restart("lost the peer")
    assert harness.kinds(1) == ["failed"]
    harness.feed.restart()
    harness.feed.begin_stop()
    receiver.stop_gate.set()
    assert harness.kinds(1) == ["stopped"]
    assert receiver.calls == ["start", "stop"]


def test_a_failure_while_it_is_being_stopped_is_an_error_only() -> None:
    receiver = Recording()
    receiver.start_gate = threading.Event()
    receiver.start_error = ValueError("woken")
    harness = Harness(receiver, limits=SessionLimits(stop_s=1.0)).start()
    assert receiver.in_start.wait(WAIT_S)
    harness.feed.begin_stop()
    harness.clock.advance(1.0)
    assert sorted(harness.kinds(2)) == ["error", "stopped"]
    assert receiver.calls == ["start", "stop"]


def test_a_receiver_that_waits_for_room_can_be_stopped() -> None:
    class Eager(Receiver[int]):
        name = "eager"

        def on_start(self) -> None:
            self.thread = threading.Thread(target=self.work, daemon=True)
            self.thread.start()

        def work(self) -> None:
            record = 0
            while not self.is_stopped():
                self.store(record)
                record += 1

        def on_stop(self) -> None:
            self.thread.join()

    harness = Harness(Eager(), max_records=3).start()
    assert harness.kinds(1) == ["started"]
    assert harness.feed.wait_for_records(3, WAIT_S)
    harness.feed.begin_stop()
    assert harness.kinds(1) == ["stopped"]
    rows = [row for block in harness.feed.take(11_000) for row in block.data]  # type: ignore[union-attr]
    assert rows == list(range(len(rows)))
    assert 3 <= len(rows) <= 6


def test_what_comes_after_the_stop_is_refused() -> None:
    receiver = Recording()
    harness = Harness(receiver).start()
    assert harness.kinds(1) == ["started"]
    harness.feed.begin_stop()
    assert harness.kinds(1) == ["stopped"]
    with pytest.raises(LifecycleError, match="takes no more records"):
        receiver.store(1)


def test_records_left_behind_by_a_stop_are_reported() -> None:
    receiver = Recording()
    harness = Harness(receiver).start()
    assert harness.kinds(1) == ["started"]
    receiver.store(1)
    harness.feed.begin_stop()
    assert harness.kinds(1) == ["stopped"]
    harness.feed.close()
    assert "1 records of recording came too late" in harness.event().message


def test_store_outside_a_run_says_what_to_do() -> None:
    with pytest.raises(LifecycleError, match="is not running"):
        Recording().store(1)


def test_only_receivers_are_taken() -> None:
    with pytest.raises(ArgumentTypeError, match="needs a Receiver"):
        ReceiverFeed(Recording, Environment(ManualClock()))  # type: ignore[arg-type]


@pytest.mark.parametrize("process", [False, True])
def test_a_rate_of_zero_is_refused(process: bool) -> None:
    with pytest.raises(ConfigurationError, match="rate limit must be positive"):
        Harness(Recording() if not process else Plain(), rate_per_s=0, process=process)


class Plain(Receiver[int]):
    name = "plain"

    def on_start(self) -> None: ...
    def on_stop(self) -> None: ...


def test_hold_keeps_the_receiver_waiting_and_what_is_there_comes_out() -> None:
    receiver = Recording()
    harness = Harness(receiver).start()
    assert harness.kinds(1) == ["started"]
    receiver.store(1)
    harness.feed.hold()
    assert harness.feed.pending == 1
    thread = threading.Thread(target=lambda: receiver.store(2), daemon=True)
    thread.start()
    assert len(harness.feed.take(11_000)) == 1
    harness.feed.resume()
    thread.join(WAIT_S)
    assert [list(block.data) for block in harness.feed.take(12_000)] == [[2]]  # type: ignore[arg-type]

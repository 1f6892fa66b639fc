from __future__ import annotations

import os
import queue
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millstream.environment.clock import ManualClock
from millstream.environment.environment import Environment
from millstream.errors import ShippingError, SourceUnavailableError, UserCodeError
from millstream.ingest.encoded_rows import EncodedRows
from millstream.ingest.process_session import ProcessSession
from millstream.ingest.receiver_feed import ReceiverFeed
from millstream.ingest.session import SessionLimits
from millstream.model.ports.block_feed import FeedEvent
from millstream.model.ports.receiver import Receiver

WAIT_S = 60.0


class Scripted(Receiver[Any]):
    """Does in its process what a test says."""

    name = "scripted"

    def __init__(self, act: str) -> None:
        self.act = act

    def on_start(self) -> None:
        getattr(self, self.act)()

    def on_stop(self) -> None:
        self.report_error("on_stop was called")
        if self.act == "stick":
            threading.Event().wait()

    def idle(self) -> None: ...
    def stick(self) -> None: ...

    def store_some(self) -> None:
        for record in range(3):
            self.store(record)
        self.store_many(["a", "b"], position=7)
        self.report_error("stored")
        self.store("last")

    def raise_error(self) -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("no such host") from error

    def exit(self) -> None:
        os._exit(7)

    def kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def ask_for_restart(self) -> None:
        self.restart("lost the peer", ConnectionError("gone"), delay=1.5)

    def stop_itself(self) -> None:
        self.store_many([1])
        self.stop("all there is")

    def store_what_cannot_travel(self) -> None:
        self.store(1)
        self.store(threading.Lock())
        self.store(3)
        try:
            self.store_many([threading.Lock()])
        except ShippingError as error:
            self.report_error("refused", error)

    def flood(self) -> None:
        threading.Thread(target=self._flood, daemon=True).start()

    def _flood(self) -> None:
        record = 0
        while not self.is_stopped():
            self.store(record)
            record += 1

    def interrupt(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        self.store("survived")


class Harness:
    def __init__(self, act: str, **options: Any) -> None:
        self.clock = ManualClock(10.5)
        self.until_ms = 20_000
        self.events: queue.SimpleQueue[FeedEvent] = queue.SimpleQueue()
        self.feed: ReceiverFeed[Any] = ReceiverFeed(Scripted(act), Environment(self.clock), process=True, **options)
        self.feed.start(interval_ms=1_000, zero_ms=0, notify=self.events.put)

    def event(self) -> FeedEvent:
        return self.events.get(timeout=WAIT_S)

    def kinds(self, count: int) -> list[str]:
        return [self.event().kind for _ in range(count)]

    def stop(self) -> list[str]:
        self.feed.begin_stop()
        messages = []
        while True:
            event = self.event()
            messages.append(event.message)
            if event.kind == "stopped":
                return messages


@pytest.fixture
def harnesses() -> Iterator[list[Harness]]:
    made: list[Harness] = []
    yield made
    for harness in made:
        harness.feed.close()
        harness.clock.advance(1_000)


def rows_of(harness: Harness) -> list[Any]:
    harness.until_ms += 1_000
    return [row for block in harness.feed.take(harness.until_ms) for row in block.data]  # type: ignore[union-attr]


def test_what_is_stored_there_arrives_here_in_order(harnesses: list[Harness]) -> None:
    harness = Harness("store_some")
    harnesses.append(harness)
    assert [harness.event().kind, harness.event().kind] == ["error", "started"]
    assert harness.feed.wait_for_records(6, WAIT_S)
    blocks = harness.feed.take(20_000)
    assert [row for block in blocks for row in block.data] == [0, 1, 2, "a", "b", "last"]  # type: ignore[union-attr]
    assert [block.position for block in blocks if block.records == 2] == [7]
    assert {block.batch_ms for block in blocks} == {11_000}
    assert all(type(block.data) is EncodedRows for block in blocks)
    assert harness.stop() == ["on_stop was called", "The receiver scripted has stopped."]


def test_a_whole_block_is_here_when_its_store_returns_there(harnesses: list[Harness]) -> None:
    harness = Harness("store_some")
    harnesses.append(harness)
    assert harness.event().message == "stored"
    assert harness.feed.pending >= 5


def test_what_on_start_raises_there_is_known_here_with_its_causes(harnesses: list[Harness]) -> None:
    harness = Harness("raise_error")
    harnesses.append(harness)
    event = harness.event()
    assert event.kind == "failed"
    assert isinstance(event.error, UserCodeError)
    assert "raised ValueError in on_start: no such host" in str(event.error)
    cause = event.error.__cause__
    assert isinstance(cause, ValueError)
    assert isinstance(cause.__cause__, KeyError)
    assert "in raise_error" in cause.__notes__[0]
    assert harness.event().message == "on_stop was called"


@pytest.mark.parametrize(("act", "how"), [("exit", "exit code 7"), ("kill", "signal 9")])
def test_a_process_that_dies_is_a_failure(act: str, how: str, harnesses: list[Harness]) -> None:
    harness = Harness(act)
    harnesses.append(harness)
    for _ in range(2):
        event = harness.event()
        assert event.kind == "failed"
        assert isinstance(event.error, SourceUnavailableError)
        assert how in str(event.error)
        harness.feed.restart()


def test_a_restart_is_a_new_process(harnesses: list[Harness]) -> None:
    harness = Harness("idle")
    harnesses.append(harness)
    assert harness.kinds(1) == ["started"]
    first = harness.feed._session
    harness.feed.restart()
    assert [event.message for event in (harness.event(), harness.event())] == [
        "on_stop was called",
        "The receiver scripted runs.",
    ]
    second = harness.feed._session
    assert isinstance(first, ProcessSession)
    assert isinstance(second, ProcessSession)
    assert first.pid != second.pid


def test_a_receiver_there_may_ask_for_a_restart(harnesses: list[Harness]) -> None:
    harness = Harness("ask_for_restart")
    harnesses.append(harness)
    event = harness.event()
    assert (event.kind, event.message, event.delay_s) == ("failed", "lost the peer", 1.5)
    assert isinstance(event.error, ConnectionError)
    assert harness.event().message == "on_stop was called"
    harness.feed.restart()
    assert harness.event().kind == "failed"


def test_a_receiver_there_may_stop_itself(harnesses: list[Harness]) -> None:
    harness = Harness("stop_itself")
    harnesses.append(harness)
    assert harness.kinds(2) == ["started", "error"]
    event = harness.event()
    assert (event.kind, event.message) == ("stopped", "all there is")
    assert rows_of(harness) == [1]


def test_records_that_cannot_travel_are_reported_and_the_others_arrive(harnesses: list[Harness]) -> None:
    harness = Harness("store_what_cannot_travel")
    harnesses.append(harness)
    events = {event.message: event.error for event in (harness.event(), harness.event(), harness.event())}
    for message in ("1 records were lost.", "refused"):
        assert isinstance(events[message], ShippingError)
        assert "_thread.lock" in str(events[message])
    assert harness.feed.wait_for_records(2, WAIT_S)
    assert rows_of(harness) == [1, 3]


def test_a_flood_waits_in_its_own_process_and_can_be_stopped(harnesses: list[Harness]) -> None:
    harness = Harness("flood", max_records=1_000)
    harnesses.append(harness)
    assert harness.kinds(1) == ["started"]
    got: list[int] = []
    while len(got) < 300_000:
        assert harness.feed.wait_for_records(1, WAIT_S)
        assert harness.feed.pending <= 1_000 + 65_536
        got += rows_of(harness)
    messages = harness.stop()
    assert messages[-1] == "The receiver scripted has stopped."
    got += rows_of(harness)
    assert got[:300_000] == list(range(300_000))


def test_an_on_stop_that_never_returns_ends_with_its_process(harnesses: list[Harness]) -> None:
    harness = Harness("stick", limits=SessionLimits(stop_s=3_600.0))
    harnesses.append(harness)
    assert harness.kinds(1) == ["started"]
    harness.feed.begin_stop()
    assert harness.event().message == "on_stop was called"
    harness.clock.advance(2 * 3_600.0)
    assert "did not end and was killed" in harness.event().message
    assert harness.event().kind == "stopped"


def test_an_interrupt_from_the_keyboard_does_not_end_it(harnesses: list[Harness]) -> None:
    harness = Harness("interrupt")
    harnesses.append(harness)
    assert harness.feed.wait_for_records(1, WAIT_S)
    assert rows_of(harness) == ["survived"]


def test_a_receiver_that_cannot_be_pickled_names_what_stands_in_the_way() -> None:
    receiver = Scripted("idle")
    receiver.connection = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(ShippingError, match=r"connection.*lock"):
        ReceiverFeed(receiver, Environment(ManualClock()), process=True)


PROGRAM = """
import queue, sys
from millstream.environment.environment import Environment
from millstream.ingest.receiver_feed import ReceiverFeed
from millstream.model.ports.receiver import Receiver

class Point:
    def __init__(self, x):
        self.x = x

class Points(Receiver):
    name = "points"
    def on_start(self):
        self.store(Point(1))
        self.store_many([Point(2)])
    def on_stop(self):
        pass

print("top", flush=True)
events = queue.SimpleQueue()
feed = ReceiverFeed(Points(), Environment(), process=True)
feed.start(interval_ms=1000, zero_ms=0, notify=events.put)
assert feed.wait_for_records(2, 60)
assert events.get(timeout=60).kind == "started"
rows = [row for block in feed.take(2**60) for row in block.data]
assert all(type(row) is Point for row in rows)
print([row.x for row in rows], feed._session.pid, flush=True)
sys.stdin.readline()
"""


def run_program(path: Path) -> subprocess.Popen[str]:
    path.write_text(textwrap.dedent(PROGRAM))
    return subprocess.Popen(
        [sys.executable, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=path.parent
    )


def test_a_program_without_a_main_guard_works_and_its_classes_stay_its_own(tmp_path: Path) -> None:
    with run_program(tmp_path / "program.py") as program:
        output, _ = program.communicate("go\n", timeout=WAIT_S)
    top, rows = output.splitlines()
    assert top == "top"
    assert rows.startswith("[1, 2] ")
    assert program.returncode == 0


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for the end of another's child through Linux's pidfd")
def test_it_dies_with_its_driver(tmp_path: Path) -> None:
    with run_program(tmp_path / "program.py") as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "top\n"
        child = os.pidfd_open(int(program.stdout.readline().split()[-1]))
        program.kill()
        ready, _, _ = select.select([child], [], [], WAIT_S)
        os.close(child)
    assert ready

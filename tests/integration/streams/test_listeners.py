"""What listeners are told about a stream, in which order, and that they change nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

import millstream as ms
from millstream.errors import SinkUnavailableError
from millstream.observe.events import Event
from millstream.testing import ManualClock

WAIT_S = 60.0


class Heard(ms.StreamingListener):
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


class Sink(ms.Sink[int]):
    """Cannot commit as often as it is told, then commits."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.rows: list[Any] = []

    def open(self, lineage: ms.SinkLineage) -> int | None:
        return None

    def stage(self, batch: ms.Batch, partition: int, data: ms.Partition[int]) -> Any:
        return list(data.rows())

    def commit(self, batch: ms.Batch, receipts: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise SinkUnavailableError("The store does not answer.")
        self.rows.extend(row for rows in receipts for row in rows)

    def discard(self, batch: ms.Batch, receipts: Any) -> None: ...


@pytest.fixture
def ssc(clock: ManualClock) -> Iterator[ms.StreamingContext]:
    context = ms.StreamingContext(1.0, environment=ms.Environment(clock), retry_pause=0.1)
    yield context
    context.stop(graceful=False)


@pytest.fixture
def live() -> Iterator[ms.StreamingContext]:
    """A stream on the system's clock."""
    context = ms.StreamingContext(0.01, retry_pause=0.01)
    yield context
    context.stop(graceful=False)


BATCH = [
    *["BatchSubmitted", "BatchStarted", "OutputStarted", "OutputStarted"],
    *["OutputCompleted", "OutputCompleted", "BatchCompleted"],
]


def test_the_events_of_each_batch_come_in_order(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    numbers = ssc.queue_stream([[1, 2], [3]], name="numbers")
    numbers.collect_to([], name="first")
    numbers.map(lambda x: x + 1).write_to(Sink(), name="second")
    heard = Heard()
    ssc.add_listener(heard)
    ssc.start()
    clock.advance(2.0)
    ssc.stop(graceful=False)
    assert heard.kinds == ["StreamingStarted", *BATCH, *BATCH, "StreamingStopped"]
    submitted, started, done = heard.of(ms.BatchSubmitted, ms.BatchStarted, ms.BatchCompleted)[:3]
    assert (submitted.batch_time_ms, submitted.records, submitted.records_total) == (1_000, {"numbers": 2}, 2)
    assert set(submitted.inputs) == {"numbers"}
    assert (started.attempt, started.submitted_ms) == (0, submitted.submitted_ms)
    assert [event.name for event in heard.of(ms.OutputStarted)] == ["first", "second"] * 2
    assert [event.name for event in heard.of(ms.OutputCompleted)] == ["first", "second"] * 2
    assert list(done.outputs) == heard.of(ms.OutputCompleted)[:2]
    output = done.outputs[0]
    assert (output.batch_time_ms, output.operator, output.error) == (1_000, "collect_to", None)
    assert "test_listeners.py" in output.site


def test_times_are_those_of_the_clock(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    numbers = ssc.queue_stream([[1]], name="numbers")
    numbers.foreach_rdd(lambda rdd: clock.advance(0.25), name="slow")
    numbers.foreach_rdd(lambda rdd: clock.advance(0.5), name="slower")
    heard = Heard()
    ssc.add_listener(heard)
    ssc.start()
    clock.advance(1.0)
    ssc.stop(graceful=False)
    slow, slower = heard.of(ms.OutputCompleted)
    (done,) = heard.of(ms.BatchCompleted)
    assert (slow.started_ms, slow.duration_ms) == (1_000, 250)
    assert (slower.started_ms, slower.ended_ms, slower.duration_ms) == (1_250, 1_750, 500)
    assert (done.scheduling_delay_ms, done.processing_ms, done.total_delay_ms) == (0, 750, 750)
    (started,) = heard.of(ms.BatchStarted)
    assert started.scheduling_delay_ms == 0


def test_a_failing_attempt_is_told_between_and_its_retry_after(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    failures = [ValueError("not yet")]

    def once(x: int) -> int:
        if failures:
            raise failures.pop()
        return x

    numbers = ssc.queue_stream([[7]], name="numbers")
    seen: list[list[int]] = []
    numbers.collect_to([], name="plain")
    numbers.map(once).collect_to(seen, name="failing")
    heard = Heard()
    ssc.add_listener(heard)
    ssc.start()
    clock.advance(1.5)
    ssc.stop(graceful=False)
    assert seen == [[7]]
    assert heard.kinds == [
        "StreamingStarted",
        *["BatchSubmitted", "BatchStarted", "OutputStarted", "OutputStarted", "OutputCompleted", "BatchAttemptFailed"],
        *BATCH[1:],
        "StreamingStopped",
    ]
    failed_output, *completed = heard.of(ms.OutputCompleted)
    assert (failed_output.name, failed_output.attempt) == ("failing", 0)
    assert "not yet" in failed_output.error
    assert [(event.name, event.attempt, event.error) for event in completed] == [
        ("plain", 1, None),
        ("failing", 1, None),
    ]
    (failed,) = heard.of(ms.BatchAttemptFailed)
    assert (failed.attempt, failed.step, failed.output) == (0, "run", None)
    assert "not yet" in failed.error
    assert [event.attempt for event in heard.of(ms.BatchStarted)] == [0, 1]
    (done,) = heard.of(ms.BatchCompleted)
    assert (done.attempts, [output.name for output in done.outputs]) == (2, ["plain", "failing"])


def test_a_commit_that_fails_is_told_with_its_output(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    numbers = ssc.queue_stream([[1]], name="numbers")
    sink = Sink(failures=2)
    numbers.write_to(sink, name="store")
    heard = Heard()
    ssc.add_listener(heard)
    ssc.start()
    clock.advance(1.9)
    ssc.stop(graceful=False)
    assert sink.rows == [1]
    assert heard.kinds[1:-1] == [
        *["BatchSubmitted", "BatchStarted", "OutputStarted"],
        *["BatchAttemptFailed", "BatchAttemptFailed", "OutputCompleted", "BatchCompleted"],
    ]
    assert [(event.step, event.output) for event in heard.of(ms.BatchAttemptFailed)] == [("commit", "store")] * 2


def test_a_stream_that_fails_says_why_last(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    numbers = ssc.queue_stream([[0]], name="numbers")
    numbers.map(lambda x: 1 / x).collect_to([])
    heard = Heard()
    ssc.add_listener(heard)
    ssc.start()
    clock.advance(3.0)
    assert len(heard.of(ms.BatchAttemptFailed)) == 2
    (stopped,) = heard.of(ms.StreamingStopped)
    assert heard.kinds[-1] == "StreamingStopped"
    assert "division by zero" in stopped.error
    with pytest.raises(ms.MillstreamError):
        ssc.await_termination()


def test_an_input_that_cannot_be_planned_is_told(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    class Source(ms.ReplayableSource[int]):
        name = "away"

        def open(self, position: Any) -> None: ...

        def plan(self, time_ms: int, after: Any, limit: int | None) -> ms.Plan:
            raise RuntimeError("no list")

        def read(self, split: ms.Split) -> ms.Partition[int]:
            raise AssertionError

        def close(self) -> None: ...

    ssc.stream(Source()).collect_to([])
    heard = Heard()
    ssc.add_listener(heard)
    ssc.start()
    clock.advance(3.0)
    assert {event.step for event in heard.of(ms.BatchAttemptFailed)} == {"plan"}
    assert "no list" in heard.of(ms.BatchAttemptFailed)[0].error


def test_outputs_that_are_not_due_have_no_events(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    numbers = ssc.queue_stream([[1], [2]], name="numbers")
    numbers.collect_to([], name="each")
    numbers.window(2.0, 2.0).collect_to([], name="every second")
    heard = Heard()
    ssc.add_listener(heard)
    ssc.start()
    clock.advance(4.0)
    ssc.stop(graceful=False)
    due = [(event.batch_time_ms, event.name) for event in heard.of(ms.OutputCompleted)]
    assert [name for time_ms, name in due if time_ms == 1_000] == ["each"]
    assert [name for time_ms, name in due if time_ms == 2_000] == ["each", "every second"]


def test_several_listeners_hear_the_same_and_one_can_go_while_it_runs(
    ssc: ms.StreamingContext, clock: ManualClock
) -> None:
    numbers = ssc.queue_stream([[1], [2], [3]], name="numbers")
    numbers.collect_to([])
    stays, goes, comes = Heard(), Heard(), Heard()
    for listener in (stays, goes, goes):
        ssc.add_listener(listener)
    ssc.start()
    clock.advance(1.0)
    assert goes.events == stays.events
    count = len(goes.events)
    ssc.remove_listener(goes)
    ssc.add_listener(comes)
    clock.advance(1.0)
    ssc.stop(graceful=False)
    assert len(goes.events) == count
    assert comes.events == stays.events[count:]


def test_a_listener_that_leaves_in_its_own_call_hears_nothing_more(
    ssc: ms.StreamingContext, clock: ManualClock
) -> None:
    numbers = ssc.queue_stream([[1], [2]], name="numbers")
    numbers.collect_to([])

    class Once(Heard):
        def on_event(self, event: Event) -> None:
            super().on_event(event)
            ssc.remove_listener(self)

    once, stays = Once(), Heard()
    ssc.add_listener(once)
    ssc.add_listener(stays)
    ssc.start()
    clock.advance(2.0)
    ssc.stop(graceful=False)
    assert once.kinds == ["StreamingStarted"]
    assert stays.kinds[-1] == "StreamingStopped"


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_listener_that_raises_is_logged_and_changes_nothing(
    ssc: ms.StreamingContext, clock: ManualClock, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    numbers = ssc.queue_stream([[1], [2]], name="numbers")
    seen: list[list[int]] = []
    numbers.collect_to(seen)

    class Raises(ms.StreamingListener):
        def on_event(self, event: Event) -> None:
            raise error("from the listener")

    heard = Heard()
    ssc.add_listener(Raises())
    ssc.add_listener(heard)
    ssc.start()
    clock.advance(2.0)
    ssc.stop(graceful=False)
    assert seen == [[1], [2]]
    assert heard.kinds.count("BatchCompleted") == 2
    assert "raised on BatchCompleted" in caplog.text


def test_a_batch_that_takes_long_is_heard_of_while_it_runs(clock: ManualClock) -> None:
    heard, before = Heard(), list[list[int]]()

    def work(rdd: ms.RDD[int], batch: ms.Batch) -> None:
        if batch.time_ms in (10, 20, 500):
            clock.advance(0.051)
            before.append([event.batch_time_ms for event in heard.of(ms.OutputStarted)][-2:])

    with ms.StreamingContext(0.01, environment=ms.Environment(clock)) as ssc:
        ssc.queue_stream([[1]]).foreach_rdd(work)
        ssc.add_listener(heard)
        ssc.start()
        for _ in range(60):
            clock.advance(0.01)
        ssc.stop(graceful=False)
    assert before[0] == [10]
    assert before[-1][-1] == 500
    assert heard.kinds.count("OutputStarted") == heard.kinds.count("BatchCompleted")


def test_events_cannot_be_changed(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    numbers = ssc.queue_stream([[1]], name="numbers")
    numbers.collect_to([])
    heard = Heard()
    ssc.add_listener(heard)
    ssc.start()
    clock.advance(1.0)
    ssc.stop(graceful=False)
    for event in heard.events:
        for name in event.__slots__:
            with pytest.raises(FrozenInstanceError):
                setattr(event, name, None)


def test_a_listener_that_hangs_does_not_hold_the_stream_up(
    live: ms.StreamingContext, caplog: pytest.LogCaptureFixture
) -> None:
    hanging, five = threading.Event(), threading.Event()
    seen: list[list[int]] = []

    def take(rows: list[int]) -> None:
        seen.append(rows)
        if len(seen) == 5:
            five.set()

    class Hangs(ms.StreamingListener):
        def on_event(self, event: Event) -> None:
            hanging.wait(WAIT_S)

    live.queue_stream([[number] for number in range(5)]).collect_to(take)
    live.add_listener(Hangs())
    live.start()
    try:
        assert five.wait(WAIT_S)
        assert live.stop(graceful=False)
    finally:
        hanging.set()
    assert seen[:5] == [[0], [1], [2], [3], [4]]
    assert "Listeners did not take" in caplog.text


def test_a_listener_has_a_thread_of_its_own(live: ms.StreamingContext) -> None:
    threads: set[str] = set()
    done = threading.Event()

    class Notes(ms.StreamingListener):
        def on_batch_completed(self, event: ms.BatchCompleted) -> None:
            threads.add(threading.current_thread().name)
            done.set()

    live.queue_stream([[1]]).collect_to([])
    live.add_listener(Notes())
    live.start()
    assert done.wait(WAIT_S)
    assert threads == {"millstream-listeners"}


def test_receivers_tell_their_start_failure_and_end(live: ms.StreamingContext) -> None:
    class Receiver(ms.Receiver[int]):
        starts = 0

        def on_start(self) -> None:
            self.starts += 1
            if self.starts == 1:
                raise ConnectionError("no way in")
            self.report_error("a hiccup")
            self.store(1)

        def on_stop(self) -> None: ...

    heard, complete = Heard(), threading.Event()

    class Watches(ms.StreamingListener):
        def on_batch_completed(self, event: ms.BatchCompleted) -> None:
            if event.records_total:
                complete.set()

    live.receiver_stream(Receiver(), name="numbers").collect_to([])
    live.add_listener(heard)
    live.add_listener(Watches())
    live.start()
    assert complete.wait(WAIT_S)
    assert live.stop()
    told = heard.of(ms.ReceiverStarted, ms.ReceiverFailed, ms.ReceiverStopped)
    assert {event.input for event in told} == {"numbers"}
    failures = heard.of(ms.ReceiverFailed)
    assert [event.is_down for event in failures] == [True, False]
    assert "no way in" in failures[0].error
    assert isinstance(told[-1], ms.ReceiverStopped)
    assert heard.kinds[-1] == "StreamingStopped"


def test_what_nobody_overrides_is_not_made(
    ssc: ms.StreamingContext, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(kind: str) -> Callable[..., Event]:
        def make(*_: Any) -> Event:
            raise AssertionError(f"{kind} was made, and nobody hears it")

        return make

    for kind in ("BatchStarted", "BatchSubmitted", "OutputStarted"):
        monkeypatch.setattr(f"millstream.control.batch_report.{kind}", refuse(kind))
    numbers = ssc.queue_stream([[1]], name="numbers")
    seen: list[list[int]] = []
    numbers.collect_to(seen)
    done: list[ms.BatchCompleted] = []

    class Batches(ms.StreamingListener):
        def on_batch_completed(self, event: ms.BatchCompleted) -> None:
            done.append(event)

    ssc.add_listener(Batches())
    ssc.start()
    clock.advance(1.0)
    assert (len(seen), len(done), len(done[0].outputs)) == (1, 1, 1)
    ssc.stop(graceful=False)


def test_one_who_begins_to_listen_within_a_batch_hears_its_end_whole(
    ssc: ms.StreamingContext, clock: ManualClock
) -> None:
    numbers = ssc.queue_stream([[1]], name="numbers")
    heard = Heard()
    numbers.foreach_rdd(lambda rdd: clock.advance(0.1), name="before")
    numbers.foreach_rdd(lambda rdd: ssc.add_listener(heard), name="adds")
    ssc.start()
    clock.advance(1.0)
    ssc.stop(graceful=False)
    (done,) = heard.of(ms.BatchCompleted)
    assert [(output.name, output.duration_ms) for output in done.outputs] == [("before", 100), ("adds", 0)]

"""The event bus alone: order, bounds and ends."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pytest

import millstream as ms
from millstream.observe.event_bus import QUEUE_MAX, EventBus
from millstream.observe.events import Event
from millstream.testing import ManualClock

WAIT_S = 60.0
LAST = ms.StreamingStopped(9.0, None)


class Heard(ms.StreamingListener):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)


class Batches(ms.StreamingListener):
    def on_batch_completed(self, event: ms.BatchCompleted) -> None: ...


def started(number: int) -> ms.BatchStarted:
    return ms.BatchStarted(number, 0, 0.0, 0.0)


def test_only_what_listeners_override_is_heard() -> None:
    bus = EventBus(ms.Environment(ManualClock()))
    assert bus.heard == frozenset()
    batches, all_of_it = Batches(), Heard()
    bus.add(batches)
    assert bus.heard == {ms.BatchCompleted}
    bus.add(all_of_it)
    assert bus.heard > {ms.BatchCompleted, ms.BatchStarted, ms.ReceiverFailed}
    bus.remove(all_of_it)
    bus.remove(all_of_it)
    assert bus.heard == {ms.BatchCompleted}
    bus.remove(batches)
    assert bus.heard == frozenset()


def test_a_method_given_to_the_instance_is_heard() -> None:
    listener = ms.StreamingListener()
    seen: list[ms.InputsHeld] = []
    listener.on_inputs_held = seen.append  # type: ignore[method-assign, assignment]
    bus = EventBus(ms.Environment(clock := ManualClock()))
    bus.add(listener)
    assert bus.heard == {ms.InputsHeld}
    bus.post(ms.InputsHeld(True))
    clock.advance(0)
    assert seen == [ms.InputsHeld(True)]


def test_each_kind_has_a_method_of_its_own() -> None:
    called: list[str] = []
    methods = [name for name in dir(ms.StreamingListener) if name.startswith("on_") and name != "on_event"]

    def noting(name: str) -> object:
        return lambda self, event: called.append(name)

    listener = type("Notes", (ms.StreamingListener,), {name: noting(name) for name in methods})()
    bus = EventBus(ms.Environment(clock := ManualClock()))
    bus.add(listener)
    assert len(bus.heard) == len(methods)
    completed = ms.OutputCompleted(1, 0, "out", "print", None, 0.0, 1.0, 1.0)
    for event in (
        ms.StreamingStarted(0.0, 1),
        ms.ReceiverStarted("in"),
        ms.ReceiverFailed("in"),
        ms.BatchSubmitted(1, {}, {}, 0.0),
        started(1),
        ms.OutputStarted(1, 0, "out", "print", None, 0.0),
        completed,
        ms.BatchAttemptFailed(1, 0, "error"),
        ms.BatchCompleted(1, {}, {}, 0.0, 0.0, 0.0, 1, (completed,)),
        ms.BatchTimesMerged(1, 2, 2, 0),
        ms.StateRestored(1, 2, 0.5),
        ms.CheckpointWritten(1, 0.0, 10, 20),
        ms.CheckpointFailed(0.0, "error"),
        ms.BatchDiverged(1, "what", "detail", True),
        ms.ClockSetBack(0.0, 1.0),
        ms.BatchSkipped(1, 0.0, "error", "file"),
        ms.InputsHeld(True),
        ms.RateChanged("in", 5.0),
        ms.ReceiverStopped("in"),
        ms.SourceReported("in", "lost", "gone"),
    ):
        bus.post(event)
    bus.close(LAST, 1.0)
    clock.advance(0)
    assert len(called) == len(set(called)) == len(methods)
    assert called[3:7] == ["on_batch_submitted", "on_batch_started", "on_output_started", "on_output_completed"]


def test_events_of_several_threads_are_all_delivered_one_at_a_time() -> None:
    class Alone(Heard):
        inside = 0

        def on_event(self, event: Event) -> None:
            assert self.inside == 0
            self.inside += 1
            super().on_event(event)
            self.inside -= 1

    bus, listener = EventBus(ms.Environment()), Alone()
    bus.add(listener)
    begin = threading.Barrier(4)

    def post(first: int) -> None:
        begin.wait(WAIT_S)
        for number in range(first, first + 500):
            bus.post(started(number))

    threads = [threading.Thread(target=post, args=(1_000 * thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    bus.close(LAST, WAIT_S)
    assert listener.events[-1] == LAST
    numbers = [event.batch_time_ms for event in listener.events if isinstance(event, ms.BatchStarted)]
    assert len(numbers) == 2_000
    for first in (0, 1_000, 2_000, 3_000):
        assert [number for number in numbers if first <= number < first + 500] == list(range(first, first + 500))


def test_a_slow_listener_misses_the_oldest_and_the_log_says_how_many(caplog: pytest.LogCaptureFixture) -> None:
    clock, listener = ManualClock(), Heard()
    bus = EventBus(ms.Environment(clock))
    bus.add(listener)
    for number in range(QUEUE_MAX + 3):
        bus.post(started(number))
    clock.advance(0)
    assert len(listener.events) == QUEUE_MAX
    assert listener.events[0] == started(3)
    assert "3 events were dropped" in caplog.text


def test_nothing_is_heard_after_the_last_event() -> None:
    clock, listener = ManualClock(), Heard()
    bus = EventBus(ms.Environment(clock))
    bus.add(listener)
    bus.post(started(1))
    bus.close(LAST, 1.0)
    bus.post(started(2))
    clock.advance(0)
    assert listener.events == [started(1), LAST]


def test_a_closing_bus_does_not_wait_longer_than_it_may(caplog: pytest.LogCaptureFixture) -> None:
    entered: SimpleQueue[Event] = SimpleQueue()
    going = threading.Event()

    class Hangs(ms.StreamingListener):
        def on_event(self, event: Event) -> None:
            entered.put(event)
            going.wait(WAIT_S)

    bus = EventBus(ms.Environment())
    bus.add(Hangs())
    bus.post(started(1))
    assert entered.get(timeout=WAIT_S) == started(1)
    bus.close(LAST, 0.01)
    assert "did not take 1 events" in caplog.text
    going.set()
    assert entered.get(timeout=WAIT_S) == LAST

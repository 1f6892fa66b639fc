"""Start, stop, wait: what a program's author meets around a running stream."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import millstream as ms
from millstream.errors import ConfigurationError, GraphError, LifecycleError
from millstream.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ssc(clock: ManualClock) -> Iterator[ms.StreamingContext]:
    context = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    yield context
    context.stop(graceful=False)


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf"), 0.0001])
def test_an_interval_that_cannot_be_is_refused(interval: float) -> None:
    with pytest.raises(ConfigurationError, match="batch_interval"):
        ms.StreamingContext(interval)


@pytest.mark.parametrize(("window", "slide"), [(0, 1), (-1, 1), (1.5, 1), (2, 0), (2, -1), (3, 1.5)])
def test_a_window_that_is_not_a_multiple_is_refused_where_it_is_written(
    ssc: ms.StreamingContext, window: float, slide: float
) -> None:
    with pytest.raises(ConfigurationError, match=r"window|slide"):
        ssc.queue_stream([[1]]).window(window, slide)


def test_a_program_without_output_does_not_start(ssc: ms.StreamingContext) -> None:
    ssc.queue_stream([[1]]).map(lambda x: x)
    with pytest.raises(GraphError, match="no output operation"):
        ssc.start()


def test_operators_cannot_be_added_after_start(ssc: ms.StreamingContext) -> None:
    stream = ssc.queue_stream([[1]])
    stream.collect_to([])
    ssc.start()
    with pytest.raises(LifecycleError, match="after the context had been started"):
        stream.map(lambda x: x)
    with pytest.raises(LifecycleError, match="after the context had been started"):
        stream.print()


def test_a_context_starts_once(ssc: ms.StreamingContext) -> None:
    ssc.queue_stream([[1]]).collect_to([])
    ssc.start()
    with pytest.raises(LifecycleError, match="active already"):
        ssc.start()
    ssc.stop()
    with pytest.raises(LifecycleError, match="stopped"):
        ssc.start()


def test_waiting_before_start_is_refused(ssc: ms.StreamingContext) -> None:
    with pytest.raises(LifecycleError, match="not started"):
        ssc.await_termination()


def test_rerunning_a_notebook_cell_says_what_to_do(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    ssc.queue_stream([[1]]).collect_to([])
    ssc.start()
    again = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    again.queue_stream([[1]]).collect_to([])
    with pytest.raises(LifecycleError, match=r"active\('main'\)\.stop\(\)"):
        again.start()
    active = ms.StreamingContext.active()
    assert active is ssc
    active.stop()
    assert ms.StreamingContext.active() is None
    again.start()
    again.stop()


def test_states_and_stopping_twice(ssc: ms.StreamingContext) -> None:
    ssc.queue_stream([[1]]).collect_to([])
    states: list[str] = [ssc.state]
    ssc.start()
    states.append(ssc.state)
    assert ssc.stop() is True
    states.append(ssc.state)
    assert states == ["initialized", "active", "stopped"]
    assert ssc.stop() is True
    assert ssc.await_termination() is True


def test_a_graceful_stop_processes_what_was_pushed(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    seen: list[list[int]] = []
    stream = ssc.memory_stream()
    stream.collect_to(seen)
    ssc.start()
    clock.advance(1.0)
    stream.push_many([1, 2, 3])
    ssc.stop(graceful=True)
    assert seen == [[], [1, 2, 3]]


def test_an_ungraceful_stop_leaves_what_was_pushed(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    seen: list[list[int]] = []
    stream = ssc.memory_stream()
    stream.collect_to(seen)
    ssc.start()
    stream.push_many([1, 2, 3])
    ssc.stop(graceful=False)
    assert seen == []


def test_process_tuning_is_put_back() -> None:
    before = (sys.getswitchinterval(), gc.isenabled())
    ssc = ms.StreamingContext(0.01)
    done = threading.Event()
    during: list[Any] = []

    def look(rdd: Any) -> None:
        during.append((sys.getswitchinterval(), gc.isenabled()))
        done.set()

    ssc.queue_stream([[1]]).foreach_rdd(look)
    ssc.start()
    assert done.wait(10)
    ssc.stop()
    assert during[0] == (pytest.approx(0.0001), False)
    assert (sys.getswitchinterval(), gc.isenabled()) == before


def test_process_tuning_can_be_left_alone() -> None:
    before = (sys.getswitchinterval(), gc.isenabled())
    ssc = ms.StreamingContext(0.01, process_tuning=False)
    done = threading.Event()
    during: list[Any] = []

    def look(rdd: Any) -> None:
        during.append((sys.getswitchinterval(), gc.isenabled()))
        done.set()

    ssc.queue_stream([[1]]).foreach_rdd(look)
    ssc.start()
    assert done.wait(10)
    ssc.stop()
    assert during[0] == before


def test_stop_from_inside_a_function_of_the_stream_ends_it() -> None:
    ssc = ms.StreamingContext(0.01)
    ssc.queue_stream([[1]]).foreach_rdd(lambda rdd: ssc.stop())
    ssc.start()
    assert ssc.await_termination(10) is True
    assert ssc.state == "stopped"


def test_waiting_in_an_event_loop() -> None:
    ssc = ms.StreamingContext(0.01)
    ssc.queue_stream([[1]]).foreach_rdd(lambda rdd: ssc.stop(graceful=False))
    ssc.start()
    asyncio.run(asyncio.wait_for(ssc.wait(), 10))
    assert ssc.state == "stopped"


def test_the_driver_never_runs_on_the_main_thread() -> None:
    ssc = ms.StreamingContext(0.01)
    names: list[str] = []
    done = threading.Event()

    def look(rdd: Any) -> None:
        names.append(threading.current_thread().name)
        done.set()

    ssc.queue_stream([[1]]).foreach_rdd(look)
    ssc.start()
    assert done.wait(10)
    ssc.stop()
    assert names[0] == "millstream-driver"


def test_slice_gives_remembered_batches(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    stream = ssc.queue_stream([[1], [2], [3], [4]])
    doubled = stream.map(lambda x: x * 2)
    doubled.collect_to([])
    ssc.remember(3)
    with pytest.raises(LifecycleError, match="start"):
        doubled.slice(1, 2)
    ssc.start()
    clock.advance(4.0)
    assert [rdd.collect() for rdd in doubled.slice(2, 4)] == [[4], [6], [8]]
    assert [rdd.collect() for rdd in doubled.slice(3.7, 4.9)] == [[6], [8]]
    with pytest.raises(ConfigurationError, match="remember"):
        doubled.slice(1, 4)


@pytest.mark.parametrize(("persisted", "calls_expected"), [(False, 2), (True, 1)])
def test_a_persisted_stream_is_computed_once_a_batch(
    ssc: ms.StreamingContext, clock: ManualClock, persisted: bool, calls_expected: int
) -> None:
    calls: list[int] = []

    def called(x: int) -> int:
        calls.append(x)
        return x

    stream = ssc.queue_stream([[1]]).map(called)
    if persisted:
        stream = stream.persist()
    stream.foreach_rdd(lambda rdd: (rdd.count(), rdd.collect()))
    ssc.start()
    clock.advance(1.0)
    assert len(calls) == calls_expected
    with pytest.raises(LifecycleError, match="after the context had been started"):
        stream.cache()


def test_a_stream_that_two_outputs_read_is_computed_once(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    calls: list[int] = []

    def called(x: int) -> int:
        calls.append(x)
        return x

    stream = ssc.queue_stream([[1]]).map(called)
    seen: list[Any] = []
    stream.collect_to(seen)
    stream.map(lambda x: x + 1).collect_to(seen)
    ssc.start()
    clock.advance(1.0)
    assert seen == [[1], [2]]
    assert calls == [1]


def test_stopping_with_a_receiver_on_a_manual_clock_waits_for_its_threads(
    ssc: ms.StreamingContext, clock: ManualClock
) -> None:
    class Once(ms.Receiver[int]):
        def on_start(self) -> None:
            self.store_many([1, 2])

        def on_stop(self) -> None: ...

    seen: list[list[int]] = []
    ssc.receiver_stream(Once()).collect_to(seen)
    ssc.start()
    assert ssc.stop() is True
    assert ssc.state == "stopped"
    assert [row for rows in seen for row in rows] == [1, 2]

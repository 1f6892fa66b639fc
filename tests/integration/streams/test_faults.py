"""Streams whose functions fail, whose workers die and whose batches are late give what undisturbed ones give."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from operator import add, sub
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.errors import BackendUnavailableError, InputFullError, SinkUnavailableError
from millstream.observe.events import BatchAttemptFailed, BatchTimesMerged, InputsHeld
from millstream.testing import ManualClock, run_batches

BATCHES = [
    [("a", 1), ("b", 2), ("a", 3)],
    [("b", 5)],
    [("c", 7), ("a", 1)],
    [],
    [("a", 2), ("d", 9)],
    [("b", -7), ("b", 4)],
]

Fault = Callable[[], None]


class Once:
    """Does something at the first call in any process, and nothing after."""

    def __init__(self, marker: Path, fault: Fault) -> None:
        self.marker = str(marker)
        self.fault = fault

    def __call__(self) -> None:
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        self.fault()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise ConnectionResetError("a passing fault")


def program(place: str, fault: Fault) -> Callable[[Any, Any], Any]:
    """A program with every kind of memory, in which one place meets the fault when a record of 9 or -7 comes along."""

    def at(here: str, value: Any) -> None:
        if here == place and value in (9, -7):
            fault()

    def build(ssc: Any, pairs: Any) -> Any:
        def first(pair: tuple[str, int]) -> tuple[str, int]:
            at("first map", pair[1])
            return pair

        def gather(values: list[int], old: list[int] | None) -> list[int]:
            held = old if old is not None else []
            for value in values:
                held.append(value)  # In place: an attempt that fails must not be seen by the next.
                at("state", value)
            return held

        def run_on(key: str, value: int | None, state: ms.State[int]) -> tuple[str, int | None]:
            if state.is_timing_out():
                return key, None
            state.update(state.get(0) + (value or 0))
            at("map_with_state", value)
            return key, state.get()

        def plus(a: int, b: int) -> int:
            at("window", a)
            return a + b

        def last(row: Any) -> Any:
            at("last map", row[1][-1] if isinstance(row[1], list) else None)
            return row

        given = pairs.map(first)
        running = given.map_with_state(ms.StateSpec(run_on, timeout=2))
        parts = {
            "gathered": given.update_state_by_key(gather).map(last),
            "running": running,
            "snapshots": running.state_snapshots(),
            "window": given.window(3),
            "reduced": given.reduce_by_key_and_window(plus, window=3),
            "inverse": given.reduce_by_key_and_window(add, sub, window=3),
            "shuffled": given.group_by_key(),
        }
        named = [part.map(lambda row, name=name: (name, row)) for name, part in parts.items()]
        return ssc.union(*named)

    return build


def plainly(batches: list[list[Any]]) -> list[list[str]]:
    return [sorted(map(repr, batch)) for batch in batches]


UNDISTURBED = plainly(run_batches(program("", fail), BATCHES))
PLACES = ["first map", "state", "map_with_state", "window", "last map"]


@pytest.fixture(scope="module")
def workers() -> Iterator[ms.Context]:
    """Worker processes, which may die."""
    with ms.Context("processes", workers=2) as made:
        yield made


@pytest.mark.parametrize("place", PLACES)
def test_an_attempt_that_fails_leaves_no_trace(context: ms.Context, tmp_path: Path, place: str) -> None:
    marker = tmp_path / "failed"
    result = run_batches(program(place, Once(marker, fail)), BATCHES, context=context, partitions=2)
    assert marker.exists()
    assert plainly(result) == UNDISTURBED


@pytest.mark.parametrize("place", PLACES)
def test_a_worker_that_dies_is_replaced_with_its_state(workers: ms.Context, tmp_path: Path, place: str) -> None:
    marker = tmp_path / "died"
    result = run_batches(program(place, Once(marker, die)), BATCHES, context=workers, partitions=3)
    assert marker.exists()
    assert plainly(result) == UNDISTURBED


def test_workers_that_die_again_and_again_stop_the_stream(workers: ms.Context) -> None:
    with pytest.raises(BackendUnavailableError, match="died") as caught:
        run_batches(
            lambda ssc, s: s.map(lambda x: os.kill(os.getpid(), signal.SIGKILL)),
            [[1]],
            context=workers,
            batch_retries=0,
        )
    for words in ("map", "signal 9", "Hint: ", "of the stream"):
        assert words in str(caught.value)


class Away(ms.Sink[Any]):
    """A sink that does not answer for some calls."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.commits: list[int] = []

    def open(self, lineage: ms.SinkLineage) -> int | None:
        return None

    def stage(self, batch: ms.Batch, partition: int, data: ms.Partition[Any]) -> Any:
        return list(data.rows())

    def commit(self, batch: ms.Batch, receipts: Any) -> None:
        self.commits.append(batch.time_ms)
        if self.failures:
            self.failures -= 1
            raise SinkUnavailableError("The ledger does not answer.", detail="3 tries.", hint="Wait.")

    def discard(self, batch: ms.Batch, receipts: Any) -> None: ...


class Attempts(ms.StreamingListener):
    def __init__(self) -> None:
        self.failed: list[tuple[int, str]] = []
        self.merged: list[BatchTimesMerged] = []

    def on_batch_attempt_failed(self, event: BatchAttemptFailed) -> None:
        self.failed.append((event.batch_time_ms, event.step))

    def on_batch_times_merged(self, event: BatchTimesMerged) -> None:
        self.merged.append(event)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_what_may_pass_is_tried_as_often_as_asked_then_the_stream_stops(
    context: ms.Context, clock: ManualClock, retries: int
) -> None:
    for failures in (retries, retries + 1):
        sink, attempts, seen = Away(failures), Attempts(), list[Any]()
        with ms.StreamingContext(
            1.0,
            context=context,
            environment=ms.Environment(clock),
            batch_retries=retries,
            retry_pause=0.001,
        ) as ssc:
            ssc.add_listener(attempts)
            numbers = ssc.queue_stream([[1], [2]])
            numbers.write_to(sink)
            numbers.collect_to(seen)
            start_s = clock.wall_ms() / 1000
            ssc.start()
            clock.advance(2.0)
            first_ms = int(start_s * 1000) + 1_000
            if failures == retries:
                assert sink.commits == [first_ms] * (retries + 1) + [first_ms + 1_000]
                assert seen == [[1], [2]]
            else:
                assert sink.commits == [first_ms] * (retries + 1)
                assert seen == []
                with pytest.raises(SinkUnavailableError, match="ledger") as caught:
                    ssc.await_termination(0)
                assert f"({first_ms} ms) of the stream 'main'" in str(caught.value)
        assert attempts.failed == [(first_ms, "commit")] * failures


def test_batches_run_and_commit_in_order_even_when_one_is_tried_again(
    either: ms.StreamingContext, clock: ManualClock
) -> None:
    order: list[tuple[str, int]] = []
    failing = [True]

    def look(rdd: ms.RDD[int], batch: ms.Batch) -> None:
        order.append(("run", batch.time_ms))
        if batch.time_ms == 2_000 and failing:
            failing.pop()
            clock.advance(3.5)  # Three more batch times come due meanwhile.
            raise ConnectionResetError("a passing fault")

    numbers = either.queue_stream([[1], [2], [3], [4]])
    numbers.foreach_rdd(look)
    numbers.collect_to(lambda rows, batch: order.append(("commit", batch.time_ms)))
    either.start()
    clock.advance(7.0)
    times = [time for what, time in order if what == "commit"]
    assert times == sorted(set(times))
    assert order[:6] == [
        ("run", 1_000),
        ("commit", 1_000),
        ("run", 2_000),
        ("run", 2_000),
        ("commit", 2_000),
        ("run", 5_000),
    ]


def test_overdue_batch_times_are_merged_but_not_those_of_windows(
    either: ms.StreamingContext, clock: ManualClock
) -> None:
    batches: list[tuple[int, list[int]]] = []
    windows: list[tuple[int, list[int]]] = []
    attempts, late = Attempts(), [True]
    numbers = either.memory_stream()

    def slow(rows: list[int], batch: ms.Batch) -> None:
        batches.append((batch.time_ms, rows))
        if late:
            late.pop()
            for x in (2, 3, 4):
                clock.advance(2.1)
                numbers.push(x)

    numbers.collect_to(slow)
    numbers.window(4, 2).collect_to(lambda rows, batch: windows.append((batch.time_ms, rows)))
    either.add_listener(attempts)
    either.start()
    numbers.push(1)
    clock.advance(1.0)  # The batch of 1 s ends at 7.3 s: 2 to 7 are overdue, and windows were due at 2, 4 and 6.
    numbers.push(5)
    clock.advance(3.0)
    assert [time for time, _ in batches] == [1_000, 2_000, 4_000, 6_000, 7_000, 8_000, 9_000, 10_000]
    assert sorted(x for _, rows in batches for x in rows) == [1, 2, 3, 4, 5]
    by_time = dict(batches)
    assert windows == [
        (due, [x for time, rows in sorted(by_time.items()) if due - 4_000 < time <= due for x in rows])
        for due in (2_000, 4_000, 6_000, 8_000, 10_000)
    ]
    either.stop()
    assert [(event.from_ms, event.to_ms, event.count, event.windows) for event in attempts.merged] == [
        (3_000, 3_000, 1, 0),
        (5_000, 5_000, 1, 0),
    ]


def test_inputs_are_held_while_too_many_batches_wait(context: ms.Context, clock: ManualClock) -> None:
    held: list[tuple[float, bool]] = []

    class Held(ms.StreamingListener):
        def on_inputs_held(self, event: InputsHeld) -> None:
            held.append((clock.wall_ms(), event.held))

    sink = Away(failures=2)
    with ms.StreamingContext(
        1.0, context=context, environment=ms.Environment(clock), max_queued_batches=2, retry_pause=2.0
    ) as ssc:
        ssc.add_listener(Held())
        numbers = ssc.memory_stream(on_full="raise")
        seen: list[list[int]] = []
        numbers.write_to(sink)
        numbers.collect_to(seen)
        ssc.start()
        numbers.push(1)
        clock.advance(1.0)  # The commit fails, and is tried again at 3 s and at 7 s.
        numbers.push(2)
        clock.advance(4.0)
        with pytest.raises(InputFullError, match="has no room") as caught:
            numbers.push(3)
        assert "it is held, because batches come in faster than they are processed" in str(caught.value)
        clock.advance(2.0)
        numbers.push(4)
        clock.advance(1.0)
    assert held == [(4_000.0, True), (7_000.0, False)]
    assert sink.commits == [1_000, 1_000, 1_000, 6_000, 7_000, 8_000]
    assert seen == [[1], [2], [], [4]]

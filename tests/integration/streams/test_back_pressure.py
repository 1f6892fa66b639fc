"""Inputs are slowed to what batches can process, on a clock that slow functions move."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.errors import ArgumentTypeError, ConfigurationError, UserCodeError
from millstream.model.ports.block_feed import Block, BlockFeed, FeedEvent
from millstream.observe.events import BatchCompleted, InputsHeld, RateChanged
from millstream.testing import ManualClock


class Tap(BlockFeed):
    """Records run in with the time of a manual clock: as many as are offered, and no more than the limit."""

    name = "tap"

    def __init__(self, clock: ManualClock, offered: Callable[[float], float], max_rate: float | None = None) -> None:
        self.clock = clock
        self.offered = offered
        self.max_rate = max_rate
        self.rates: list[float | None] = []
        self.limit = math.inf if max_rate is None else max_rate
        self.at_ms = clock.wall_ms()
        self.outside = 0.0
        self.inside = 0.0
        self.held = False
        self.room = math.inf

    def run(self) -> None:
        while self.at_ms < self.clock.wall_ms():
            self.outside += self.offered(self.at_ms / 1000.0) / 100.0
            entering = 0.0 if self.held else min(self.outside, self.limit / 100.0, max(0.0, self.room - self.inside))
            self.outside -= entering
            self.inside += entering
            self.at_ms += 10.0

    def start(self, *, interval_ms: int, zero_ms: int, notify: Callable[[FeedEvent], None]) -> None:
        self.notify = notify
        notify(FeedEvent("started"))

    def take(self, until_ms: int) -> list[Block]:
        self.run()
        count = int(self.inside)
        self.inside -= count
        return [Block(list(range(count)), count, until_ms)] if count and until_ms < 2**50 else []

    def set_rate(self, records_per_s: float | None) -> None:
        self.run()
        self.rates.append(records_per_s)
        self.limit = math.inf if records_per_s is None else records_per_s

    def set_room(self, records: int | None) -> None:
        self.run()
        self.room = math.inf if records is None else records

    def hold(self) -> None:
        self.run()
        self.held = True

    def resume(self) -> None:
        self.run()
        self.held = False

    def begin_stop(self) -> None:
        self.notify(FeedEvent("stopped"))

    def restart(self) -> None: ...
    def close(self) -> None: ...


class Watch(ms.StreamingListener):
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.records: list[int] = []
        self.delays_s: list[float] = []
        self.changes: list[RateChanged] = []
        self.held: list[bool] = []

    def on_batch_completed(self, event: BatchCompleted) -> None:
        self.records.append(event.records_total)
        self.delays_s.append((event.ended_ms - event.batch_time_ms) / 1000.0)

    def on_rate_changed(self, event: RateChanged) -> None:
        self.changes.append(event)

    def on_inputs_held(self, event: InputsHeld) -> None:
        self.held.append(event.held)


def slow(clock: ManualClock, overhead_s: float, cost_s: Callable[[], float]) -> Callable[[Any], None]:
    """A function that takes its time for a batch and for each record."""

    def work(rdd: Any) -> None:
        clock.advance(overhead_s + cost_s() * rdd.count())

    return work


def streamed(
    clock: ManualClock, tap: Tap, work: Callable[[Any], None], seconds: float, **arguments: Any
) -> tuple[Watch, ms.StreamingContext]:
    watch = Watch(clock)
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock), **arguments)
    ssc.add_listener(watch)
    ssc.stream(tap, name="tap").foreach_rdd(work)
    ssc.start()
    while clock.wall_ms() < seconds * 1000.0:
        clock.advance(0.1)
    return watch, ssc


def test_delay_stays_bounded_and_throughput_near_the_possible(clock: ManualClock) -> None:
    tap = Tap(clock, lambda now_s: 100_000.0)
    watch, ssc = streamed(clock, tap, slow(clock, 0.05, lambda: 0.001), 60.0)
    ssc.stop(graceful=False)
    assert watch.records[0] <= 10_000, "the first batch is bounded"
    assert watch.records[1] <= 12_500, "what comes in while it runs is bounded"
    assert max(watch.delays_s[4:]) <= 1.2
    possible = 0.95 / 0.001
    late = watch.records[4:]
    assert possible * 0.85 <= sum(late) / len(late) <= possible
    assert [change.input for change in watch.changes] == ["tap"] * len(watch.changes)
    assert [change.records_per_s for change in watch.changes][:1] == [10_000.0]
    assert [change.records_per_s for change in watch.changes] == tap.rates


def test_without_a_controller_everything_comes_in(clock: ManualClock) -> None:
    tap = Tap(clock, lambda now_s: 5_000.0)
    watch, ssc = streamed(clock, tap, slow(clock, 0.05, lambda: 0.001), 200.0, rate_controller="none")
    ssc.stop(graceful=False)
    assert tap.rates == []
    assert watch.changes == []
    assert max(watch.delays_s) > 20.0
    assert watch.held[:2] == [True, False], "only the hold after a batch that took too long slows it"


def test_a_burst_after_idleness_comes_in_at_once(clock: ManualClock) -> None:
    tap = Tap(clock, lambda now_s: 4_000.0 if now_s > 100.0 else 3.0)
    watch, ssc = streamed(clock, tap, slow(clock, 0.2, lambda: 0.0001), 110.0)
    ssc.stop(graceful=False)
    assert max(watch.records) >= 3_900
    assert tap.outside < 1.0
    assert max(watch.delays_s) <= 1.0


def test_a_change_of_cost_is_followed_both_ways(clock: ManualClock) -> None:
    tap = Tap(clock, lambda now_s: 100_000.0)
    watch, ssc = streamed(
        clock, tap, slow(clock, 0.05, lambda: 0.0005 if 40 < clock.wall_ms() / 1000 < 90 else 0.0001), 140.0
    )
    ssc.stop(graceful=False)
    rates = [(change.time_ms / 1000.0, change.records_per_s or 0.0) for change in watch.changes]
    assert 7_000 < [rate for at, rate in rates if at < 40][-1] < 10_000
    assert 1_400 < [rate for at, rate in rates if at < 90][-1] < 2_000
    assert 7_000 < rates[-1][1] < 10_000


def test_what_the_user_has_set_is_never_exceeded(clock: ManualClock) -> None:
    tap = Tap(clock, lambda now_s: 100_000.0, max_rate=300.0)
    _, ssc = streamed(clock, tap, slow(clock, 0.05, lambda: 0.0001), 20.0)
    assert tap.rates == []
    assert tap.limit == 300.0
    ssc.stop(graceful=False)


def test_set_rate_and_controller_go_together(clock: ManualClock) -> None:
    tap = Tap(clock, lambda now_s: 100_000.0)
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    stream: ms.DStream[int] = ssc.stream(tap)
    stream.foreach_rdd(slow(clock, 0.05, lambda: 0.001))
    ssc.start()
    for _ in range(400):
        clock.advance(0.1)
    controlled = tap.limit
    assert 700.0 < controlled < 950.0
    ssc.set_rate(stream, 100.0)
    assert tap.limit == 100.0
    ssc.set_rate(stream, None)
    assert tap.limit == controlled
    with pytest.raises(ConfigurationError, match="rate limit must be positive"):
        ssc.set_rate(stream, math.nan)
    assert tap.limit == controlled
    ssc.stop(graceful=False)


class Numbers(ms.ReplayableSource[int]):
    """Numbers that are all there already."""

    name = "numbers"
    limits_records = True

    def __init__(self) -> None:
        self.limits: list[int | None] = []

    def open(self, position: Any) -> None: ...

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> ms.Plan:
        self.limits.append(limit)
        begin = after or 0
        end = min(1_000_000, begin + (limit or 1_000_000))
        return ms.Plan([ms.Split([begin, end], end - begin)] if end > begin else [], end)

    def read(self, split: ms.Split) -> ms.Partition[int]:
        return ms.Partition(range(*split.data))


@pytest.mark.parametrize("limit", [None, 400])
def test_a_source_that_counts_records_is_asked_for_what_can_be_processed(clock: ManualClock, limit: int | None) -> None:
    source, watch = Numbers(), Watch(clock)
    with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
        ssc.add_listener(watch)
        ssc.stream(source, limit=limit).foreach_rdd(slow(clock, 0.05, lambda: 0.001))
        ssc.start()
        while clock.wall_ms() < 60_000.0:
            clock.advance(0.1)
        ssc.stop(graceful=False)
    if limit is not None:
        assert set(source.limits) == {limit}
    else:
        assert source.limits[0] == 10_000
        assert all(700 <= (batch_limit or 0) <= 950 for batch_limit in source.limits[5:])
        assert max(watch.delays_s[3:]) <= 1.2


def test_a_source_that_counts_something_else_is_left_alone(clock: ManualClock) -> None:
    source = Numbers()
    source.limits_records = False
    with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
        ssc.stream(source, limit=400).foreach_rdd(slow(clock, 0.05, lambda: 0.001))
        ssc.start()
        for _ in range(5):
            clock.advance(1.0)
        ssc.stop(graceful=False)
    assert set(source.limits) == {400}


def test_streams_that_a_program_fills_are_limited_by_what_was_measured(clock: ManualClock) -> None:
    watch = Watch(clock)
    with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
        ssc.add_listener(watch)
        blocking, raising = ssc.memory_stream(name="blocking"), ssc.memory_stream(name="raising", on_full="raise")
        blocking.union(raising).foreach_rdd(slow(clock, 0.0, lambda: 0.01))
        ssc.start()
        clock.advance(1.0)
        assert watch.changes == []
        blocking.push_many(range(200))
        raising.push_many(range(300))
        clock.advance(1.0)
        clock.advance(0.0)
        assert {change.input for change in watch.changes} == {"blocking"}
        for _ in range(10):
            raising.push_many(range(2_000))
        ssc.stop(graceful=False)


class Fixed(ms.RateController):
    """Always the same rate; or an error."""

    def __init__(self, input: str, rate: Any = 50.0) -> None:
        self.input = input
        self.rate = rate
        self.heard: list[ms.BatchMeasured] = []

    def first_rate(self, interval_ms: int) -> float | None:
        return 20.0

    def next_rate(self, batch: ms.BatchMeasured) -> float | None:
        self.heard.append(batch)
        if isinstance(self.rate, Exception):
            raise self.rate
        rate: float | None = self.rate
        return rate


def test_a_controller_of_ones_own_hears_batches_and_limits(clock: ManualClock) -> None:
    made: list[Fixed] = []

    def make(input: str) -> Fixed:
        made.append(Fixed(input))
        return made[-1]

    tap = Tap(clock, lambda now_s: 1_000.0)
    _, ssc = streamed(clock, tap, slow(clock, 0.25, lambda: 0.001), 4.9, rate_controller=make)
    ssc.stop(graceful=False)
    assert tap.rates == [20.0, 50.0]
    assert [controller.input for controller in made] == ["tap"]
    second = made[0].heard[2]
    assert (second.time_ms, second.interval_ms, dict(second.records)) == (3_000, 1_000, {"tap": 50})
    assert second.processing_ms == pytest.approx(300.0)
    assert (second.scheduling_delay_ms, second.attempts) == (0.0, 1)
    assert second.batches_waiting == 0


def test_a_controller_that_raises_stops_the_stream(clock: ManualClock) -> None:
    tap = Tap(clock, lambda now_s: 10.0)
    _, ssc = streamed(
        clock, tap, lambda rdd: None, 3.0, rate_controller=lambda name: Fixed(name, ValueError("no idea"))
    )
    with pytest.raises(UserCodeError, match="rate controller of tap raised ValueError: no idea") as caught:
        ssc.await_termination(0)
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_is_no_controller_is_refused(clock: ManualClock) -> None:
    with pytest.raises(ConfigurationError, match="no rate controller of that name"):
        ms.StreamingContext(1.0, rate_controller="bang-bang")  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="needs a name, or a function"):
        ms.StreamingContext(1.0, rate_controller=Fixed("tap"))  # type: ignore[arg-type]
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock), rate_controller=lambda name: 5)  # type: ignore[arg-type,return-value]
    ssc.stream(Tap(clock, lambda now_s: 1.0)).print()
    with pytest.raises(ArgumentTypeError, match="made something that is no controller"):
        ssc.start()
    ssc.stop()


@pytest.mark.parametrize("end", ["in order", "killed"])
def test_a_restart_goes_on_with_the_limit_that_held(clock: ManualClock, tmp_path: Path, end: str) -> None:
    place, copy = tmp_path / "c", tmp_path / "copy"

    def limits_of(place: Path, batches: int) -> list[int | None]:
        source = Numbers()
        with ms.StreamingContext(1.0, checkpoint=place, environment=ms.Environment(clock)) as ssc:
            ssc.stream(source, name="numbers").foreach_rdd(slow(clock, 0.05, lambda: 0.00002))
            ssc.start()
            while len(source.limits) < batches:
                clock.advance(0.1)
            if not copy.exists():
                shutil.copytree(place, copy)
        return source.limits

    first = limits_of(place, 12)
    assert first[0] == 10_000
    assert first[-1] == pytest.approx(45_000, rel=0.05)
    # A copy that was made while it ran is what a crash leaves.
    shutil.move(copy if end == "killed" else place, tmp_path / "again")
    again = limits_of(tmp_path / "again", 4)
    assert again[0] == pytest.approx(45_000, rel=0.05)
    # What waited while the program did not run may lower it for a batch.
    assert all(limit is not None and limit > 20_000 for limit in again)

"""Clocks that are set back or far ahead, while a program runs and while it is down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.errors import ConfigurationError
from millstream.testing import ManualClock


def start(
    clock: ManualClock,
    seen: list[Any],
    place: Path | None,
    *,
    listener: ms.StreamingListener | None = None,
    **options: Any,
) -> tuple[ms.StreamingContext, Any]:
    ssc = ms.StreamingContext(1.0, name="app", checkpoint=place, environment=ms.Environment(clock), **options)
    numbers = ssc.memory_stream(name="numbers")
    numbers.foreach_rdd(lambda rdd, batch: seen.append((batch.time_ms, rdd.collect())))
    if listener is not None:
        ssc.add_listener(listener)
    ssc.start()
    return ssc, numbers


class SetBack(ms.StreamingListener):
    """Notes how far the clock is behind."""

    def __init__(self) -> None:
        self.behind_ms: list[float] = []

    def on_clock_set_back(self, event: ms.ClockSetBack) -> None:
        self.behind_ms.append(event.behind_ms)


def test_batches_go_on_when_the_clock_is_set_back_while_they_run() -> None:
    clock, seen = ManualClock(1_000.0), list[Any]()
    ssc, numbers = start(clock, seen, None)
    notes = SetBack()
    ssc.add_listener(notes)
    for n in range(4):
        if n == 2:
            clock.jump(-3_600.0)
        numbers.push(n)
        clock.advance(1.0)
        clock.advance(0.0)
    ssc.stop(graceful=False)
    assert [rows for _, rows in seen if rows] == [[0], [1], [2], [3]]
    times = [time_ms for time_ms, _ in seen]
    assert times == sorted(set(times))
    assert notes.behind_ms == [pytest.approx(3_600_000.0, abs=2_000.0)]


def test_batches_go_on_after_the_newest_one_when_the_clock_was_set_back_meanwhile(tmp_path: Path) -> None:
    clock, seen = ManualClock(1_000.0), list[Any]()
    ssc, numbers = start(clock, seen, tmp_path)
    numbers.push(0)
    clock.advance(1.0)
    ssc.stop(graceful=False)
    clock.jump(-600.0)
    notes = SetBack()
    ssc, numbers = start(clock, seen, tmp_path, listener=notes)
    numbers.push(1)
    clock.advance(1.0)
    ssc.stop(graceful=False)
    assert seen == [(1_001_000, [0]), (1_002_000, [1])]
    assert notes.behind_ms == [600_000.0]


def test_a_clock_that_is_far_ahead_is_refused_at_the_start(tmp_path: Path) -> None:
    clock, seen = ManualClock(1_000.0), list[Any]()
    ssc, numbers = start(clock, seen, tmp_path)
    clock.advance(1.0)
    ssc.stop(graceful=False)
    clock.jump(400 * 86_400.0)
    with pytest.raises(ConfigurationError, match="max_clock_jump"):
        start(clock, seen, tmp_path)
    # Nothing was done under the wrong time.
    clock.jump(-400 * 86_400.0)
    ssc, numbers = start(clock, seen, tmp_path)
    numbers.push(1)
    clock.advance(1.0)
    ssc.stop(graceful=False)
    assert seen[-1] == (1_002_000, [1])


def test_a_clock_that_jumps_far_ahead_stops_the_stream() -> None:
    clock = ManualClock(1_000.0)
    ssc, _numbers = start(clock, [], None, max_clock_jump=3_600.0)
    clock.advance(1.0)
    clock.jump(7_200.0)
    clock.advance(1.0)
    with pytest.raises(ConfigurationError, match="ahead"):
        ssc.await_termination(0)


def test_a_jump_within_the_limit_is_a_downtime(tmp_path: Path) -> None:
    clock, seen = ManualClock(1_000.0), list[Any]()
    ssc, numbers = start(clock, seen, tmp_path)
    numbers.push(1)
    clock.jump(60.0)
    clock.advance(1.0)
    ssc.stop(graceful=False)
    assert seen == [(1_060_000, [1]), (1_061_000, [])]

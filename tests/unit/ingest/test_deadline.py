from __future__ import annotations

from millstream.environment.clock import ManualClock
from millstream.environment.environment import Environment
from millstream.ingest.deadline import Deadline


def test_it_expires_once_when_its_time_is_over() -> None:
    clock = ManualClock()
    seen: list[float] = []
    Deadline(Environment(clock), "test", 1.5, lambda: seen.append(clock.wall_ms()))
    clock.advance(1.4)
    assert seen == []
    clock.advance(5.0)
    clock.advance(5.0)
    assert seen == [1_500.0]


def test_it_does_nothing_once_cancelled() -> None:
    clock = ManualClock()
    seen: list[int] = []
    deadline = Deadline(Environment(clock), "test", 1.5, lambda: seen.append(1))
    clock.advance(1.0)
    deadline.cancel()
    clock.advance(5.0)
    assert seen == []

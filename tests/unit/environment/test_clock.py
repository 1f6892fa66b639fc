from __future__ import annotations

from collections.abc import Callable

from millstream.environment.clock import ManualClock, SystemClock


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(2.5)
    assert (clock.wall_ms(), clock.monotonic_ms()) == (2_500.0, 2_500.0)
    clock.advance(1.25)
    assert (clock.wall_ms(), clock.monotonic_ms()) == (3_750.0, 3_750.0)


def test_calls_run_in_order_of_their_time_and_see_it() -> None:
    clock, seen = ManualClock(), list[tuple[str, float]]()

    def note(name: str) -> Callable[[], None]:
        return lambda: seen.append((name, clock.wall_ms()))

    for name, due_ms in (("late", 900.0), ("first", 100.0), ("second", 100.0), ("never", 1_001.0)):
        clock.call_at(due_ms, note(name))
    clock.advance(1.0)
    assert seen == [("first", 100.0), ("second", 100.0), ("late", 900.0)]
    assert clock.wall_ms() == 1_000.0


def test_a_call_may_ask_for_another_and_what_is_past_runs_at_once() -> None:
    clock, seen = ManualClock(), list[float]()

    def again() -> None:
        seen.append(clock.wall_ms())
        if len(seen) < 3:
            clock.call_at(clock.wall_ms() + 300.0, again)

    clock.call_at(-5.0, again)
    clock.advance(0)
    assert seen == [0.0]
    clock.advance(1.0)
    assert seen == [0.0, 300.0, 600.0]


def test_work_that_moves_the_clock_makes_what_follows_late() -> None:
    clock, seen = ManualClock(), list[tuple[str, float]]()
    clock.call_at(100.0, lambda: clock.advance(5.0))
    clock.call_at(200.0, lambda: seen.append(("late", clock.wall_ms())))
    clock.advance(1.0)
    assert seen == [("late", 200.0)]
    assert clock.wall_ms() == 5_100.0


def test_the_system_clock_counts_milliseconds() -> None:
    clock = SystemClock()
    wall_ms, monotonic_ms = clock.wall_ms(), clock.monotonic_ms()
    assert wall_ms > 1.6e12
    assert clock.monotonic_ms() >= monotonic_ms

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import pytest

from millstream.environment.clock import ManualClock, SystemClock
from millstream.environment.environment import Environment
from millstream.environment.loop import Loop, ManualLoop, ThreadLoop

WAIT_S = 60.0


def manual(step: Callable[[], float | None]) -> tuple[ManualClock, Loop]:
    clock = ManualClock()
    return clock, Environment(clock).drive("loop", step)


def test_the_clock_says_which_loop_runs() -> None:
    assert isinstance(Environment(ManualClock()).drive("a", lambda: None), ManualLoop)
    loop = Environment().drive("b", lambda: None)
    assert isinstance(loop, ThreadLoop)
    assert loop.join(WAIT_S)


class TestManualLoop:
    def test_a_step_runs_first_at_the_next_move_and_then_when_it_asks(self) -> None:
        seen: list[float] = []

        def step() -> float:
            seen.append(clock.wall_ms())
            return clock.wall_ms() + 400.0

        clock, _ = manual(step)
        assert seen == []
        clock.advance(0)
        clock.advance(1.0)
        assert seen == [0.0, 400.0, 800.0]

    def test_a_step_that_waits_runs_when_woken(self) -> None:
        seen: list[float] = []

        def step() -> float:
            seen.append(clock.wall_ms())
            return math.inf

        clock, loop = manual(step)
        clock.advance(1.0)
        clock.advance(1.0)
        assert seen == [0.0]
        loop.wake()
        loop.wake()
        clock.advance(0)
        assert seen == [0.0, 2_000.0]

    def test_a_step_that_is_over_runs_no_more(self) -> None:
        seen: list[float] = []

        def step() -> None:
            seen.append(clock.wall_ms())

        clock, loop = manual(step)
        assert loop.join() is True
        loop.wake()
        clock.advance(5.0)
        assert seen == [0.0]

    def test_a_step_never_runs_inside_itself(self) -> None:
        """A function that moves the clock plays work that takes time; what was missed runs after it."""
        depth, deepest, seen = [0], [0], list[float]()

        def step() -> float:
            depth[0] += 1
            deepest[0] = max(deepest[0], depth[0])
            seen.append(clock.wall_ms())
            if len(seen) == 1:
                loop.wake()
                clock.advance(3.0)
            depth[0] -= 1
            return clock.wall_ms() + 1_000.0

        clock, loop = manual(step)
        clock.advance(0)
        clock.advance(1.0)
        assert deepest == [1]
        assert seen == [0.0, 3_000.0, 4_000.0]

    def test_the_end_can_be_waited_for_from_inside_in_vain_and_from_outside(self) -> None:
        answers: list[bool] = []

        def step() -> float | None:
            answers.append(loop.join())
            return None if len(answers) == 2 else math.inf

        clock, loop = manual(step)
        clock.advance(0)
        loop.wake()
        assert loop.join() is True
        assert answers == [False, False]

    def test_waiting_takes_in_what_another_thread_brings(self) -> None:
        posted: list[str] = []

        def step() -> float | None:
            return None if posted else math.inf

        _, loop = manual(step)

        def post() -> None:
            posted.append("the end")
            loop.wake()

        thread = threading.Thread(target=post)
        thread.start()
        assert loop.join() is True
        thread.join(WAIT_S)

    def test_waiting_for_nothing_ends(self) -> None:
        _, loop = manual(lambda: math.inf)
        assert loop.join(0.001) is False

    def test_a_step_that_raises_can_run_again(self) -> None:
        seen: list[int] = []

        def step() -> float:
            seen.append(1)
            if len(seen) == 1:
                raise KeyError("once")
            return math.inf

        clock, loop = manual(step)
        with pytest.raises(KeyError):
            clock.advance(0)
        loop.wake()
        clock.advance(0)
        assert seen == [1, 1]


class TestThreadLoop:
    def test_a_step_runs_in_a_thread_of_the_given_name_until_it_is_over(self) -> None:
        names: list[str] = []

        def step() -> float | None:
            names.append(threading.current_thread().name)
            return 0.0 if len(names) < 3 else None

        loop = ThreadLoop("millstream-test", step, SystemClock())
        assert loop.join(WAIT_S) is True
        assert names == ["millstream-test"] * 3

    def test_a_step_that_waits_is_woken_also_when_the_wake_comes_while_it_runs(self) -> None:
        entered, go_on, woken = threading.Event(), threading.Event(), threading.Event()
        seen: list[int] = []

        def step() -> float | None:
            seen.append(1)
            if len(seen) == 1:
                entered.set()
                assert go_on.wait(WAIT_S)
                return math.inf
            woken.set()
            return None

        loop = ThreadLoop("loop", step, SystemClock())
        assert entered.wait(WAIT_S)
        loop.wake()
        go_on.set()
        assert woken.wait(WAIT_S)
        assert loop.join(WAIT_S) is True

    def test_a_wake_cuts_a_long_wait_short(self) -> None:
        clock = SystemClock()
        waiting = threading.Event()
        seen: list[int] = []

        def step() -> float | None:
            seen.append(1)
            if len(seen) == 2:
                return None
            waiting.set()
            return clock.wall_ms() + 3_600_000.0

        loop = ThreadLoop("loop", step, clock)
        assert waiting.wait(WAIT_S)
        loop.wake()
        assert loop.join(WAIT_S) is True

    def test_a_loop_does_not_wait_for_itself(self) -> None:
        answers: list[bool] = []
        started = threading.Event()

        def step() -> None:
            assert started.wait(WAIT_S)
            answers.append(loop.join())

        loop = ThreadLoop("loop", step, SystemClock())
        started.set()
        assert loop.join(WAIT_S) is True
        assert answers == [False]

    def test_waiting_for_the_end_can_be_limited(self) -> None:
        end = threading.Event()

        def step() -> None:
            end.wait(WAIT_S)

        loop = ThreadLoop("loop", step, SystemClock())
        assert loop.join(0.001) is False
        end.set()
        assert loop.join(WAIT_S) is True

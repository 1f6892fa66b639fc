"""The environment of a program: clock, chance, threads and loops."""

from __future__ import annotations

import threading
from collections.abc import Callable

from millstream.environment.clock import Clock, ManualClock, SystemClock
from millstream.environment.loop import Loop, ManualLoop, Step, ThreadLoop
from millstream.environment.rng import seeded_rng


class Environment:
    """Everything that a program takes from the world besides its data.

    Args:
        clock: the clock; a `ManualClock` makes the whole engine run inside its `advance`.
        seed: seed of the chance that the engine itself uses (jitter of retries); None: from the system.

    Example:
        >>> environment = Environment(ManualClock(10.0), seed=1)
        >>> environment.clock.wall_ms()
        10000.0
    """

    def __init__(self, clock: Clock | None = None, *, seed: int | None = None) -> None:
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.rng = seeded_rng(seed)

    def drive(self, name: str, step: Step) -> Loop:
        """Have `step` called until it gives None: in a thread, or by whoever moves a manual clock."""
        if isinstance(self.clock, ManualClock):
            return ManualLoop(step, self.clock)
        return ThreadLoop(name, step, self.clock)

    def start_thread(self, name: str, target: Callable[[], None]) -> threading.Thread:
        """Start a daemon thread."""
        return start_thread(name, target)

    def run_aside(self, name: str, work: Callable[[], None]) -> None:
        """Run work beside the caller: in a thread, or, under a manual clock, here and now."""
        if isinstance(self.clock, ManualClock):
            work()
        else:
            start_thread(name, work)


def start_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a daemon thread."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread

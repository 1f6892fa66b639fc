"""Loops: who calls a step function again, and when."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from millstream.environment.clock import Clock, ManualClock

Step = Callable[[], float | None]
"""One step: gives the wall time in ms of the next one (`math.inf`: only when woken), or None when it is over."""


class Loop(ABC):
    """Calls a step until it says that it is over."""

    @abstractmethod
    def wake(self) -> None:
        """Have the step run soon; safe from any thread."""

    @abstractmethod
    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the loop is over; False when the time ran out first."""


class ThreadLoop(Loop):
    """A loop in a thread of its own, on the system's clock."""

    def __init__(self, name: str, step: Step, clock: Clock) -> None:
        self._step = step
        self._clock = clock
        self._woken = threading.Event()
        # Why daemon: a program whose main thread ends without stop() must not hang at exit.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        woken = self._woken
        while True:
            woken.clear()
            due_ms = self._step()
            if due_ms is None:
                return
            if due_ms == math.inf:
                woken.wait()
                continue
            wait_ms = due_ms - self._clock.wall_ms()
            if wait_ms > 0:
                woken.wait(wait_ms / 1000.0)

    def wake(self) -> None:
        """Have the step run soon."""
        self._woken.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the loop is over; at once when called from inside it."""
        if threading.current_thread() is self._thread:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


class ManualLoop(Loop):
    """A loop that runs inside `ManualClock.advance`, in the thread that moves the clock."""

    def __init__(self, step: Step, clock: ManualClock) -> None:
        self._step = step
        self._clock = clock
        self._over = False
        self._woken = threading.Event()
        self._scheduled_ms = math.inf
        self._running = False
        self._missed = False
        self.wake()

    def wake(self) -> None:
        """Have the step run at the next move of the clock, even one of 0 seconds."""
        self._woken.set()
        self._schedule(self._clock.wall_ms())

    def _schedule(self, due_ms: float) -> None:
        if due_ms < self._scheduled_ms:
            self._scheduled_ms = due_ms
            self._clock.call_at(due_ms, lambda: self._fire(due_ms))

    def _fire(self, due_ms: float) -> None:
        if self._over or due_ms != self._scheduled_ms:
            return
        self._scheduled_ms = math.inf
        if self._running:
            self._missed = True
            return
        self._running = True
        try:
            next_ms = self._step()
        finally:
            self._running = False
        if next_ms is None:
            self._over = True
        elif self._missed:
            self._missed = False
            self.wake()
        elif next_ms != math.inf:
            self._schedule(max(next_ms, self._clock.wall_ms()))

    def join(self, timeout_s: float | None = None) -> bool:
        """Run what is due now, and what other threads wake the loop for; True when the loop is over.

        The clock stands still meanwhile, so only other threads can bring the end about: waiting for them is limited.
        """
        patience_s = MANUAL_JOIN_S if timeout_s is None else min(timeout_s, MANUAL_JOIN_S)
        while not self._running:
            self._woken.clear()
            self._clock.advance(0)
            if self._over or not self._woken.wait(patience_s):
                break
        return self._over


MANUAL_JOIN_S = 5.0
"""Longest wait of a manual loop for another thread, such as that of a receiver that is told to end."""

"""Clocks: the system's, and one that a test moves by hand."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable


class Clock(ABC):
    """What time it is, in milliseconds."""

    @abstractmethod
    def wall_ms(self) -> float:
        """Give the milliseconds since the Unix epoch (UTC), with fractions."""

    @abstractmethod
    def monotonic_ms(self) -> float:
        """Give milliseconds that never run backwards, from an unknown origin."""


class SystemClock(Clock):
    """The machine's clocks."""

    def wall_ms(self) -> float:
        """Give the milliseconds since the Unix epoch (UTC), with fractions."""
        return time.time() * 1000.0

    def monotonic_ms(self) -> float:
        """Give the milliseconds of the monotonic clock."""
        return time.perf_counter() * 1000.0


class ManualClock(Clock):
    """A clock that stands still until a test moves it.

    Whatever waits for a time runs inside `advance`, in the caller's thread, in order of due time, so a test
    needs no sleeping and gives the same result each time. Moving it inside such a call plays work that takes time.

    Args:
        start: seconds since the Unix epoch at which the clock stands first.

    Example:
        >>> clock = ManualClock()
        >>> seen = []
        >>> clock.call_at(1_500.0, lambda: seen.append(clock.wall_ms()))
        >>> clock.advance(1.0); clock.advance(1.0)
        >>> seen, clock.wall_ms()
        ([1500.0], 2000.0)
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now_ms = start * 1000.0
        self._jumped_ms = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def wall_ms(self) -> float:
        """Give the time that the clock stands at."""
        return self._now_ms

    def monotonic_ms(self) -> float:
        """Give the time that the clock would stand at without jumps."""
        return self._now_ms - self._jumped_ms

    def jump(self, seconds: float) -> None:
        """Set the wall clock, as a person or a time server does; the monotonic clock goes on.

        Whatever waits waits as long as it would have.

        Args:
            seconds: how far ahead; below zero: back.
        """
        by_ms = seconds * 1000.0
        with self._lock:
            self._now_ms += by_ms
            self._jumped_ms += by_ms
            self._due = [(due_ms + by_ms, number, callback) for due_ms, number, callback in self._due]

    def call_at(self, due_ms: float, callback: Callable[[], None]) -> None:
        """Have `callback` run when the clock is moved to `due_ms` or past it."""
        with self._lock:
            heapq.heappush(self._due, (due_ms, next(self._numbers), callback))

    def advance(self, seconds: float) -> None:
        """Move the clock on and run, in order, whatever falls due on the way.

        Args:
            seconds: how far, at least 0; 0 runs what is due already.
        """
        target = self._now_ms + seconds * 1000.0
        while True:
            with self._lock:
                if not self._due or self._due[0][0] > target:
                    break
                due_ms, _, callback = heapq.heappop(self._due)
            self._now_ms = max(self._now_ms, due_ms)
            callback()
        self._now_ms = max(self._now_ms, target)

"""A clock that is moved by hand, and that somebody sets."""

from __future__ import annotations

import heapq

from millstream.environment.clock import ManualClock


class SimulatedClock(ManualClock):
    """The clocks of a machine whose wall clock can be set while a program runs.

    Args:
        start: seconds since the Unix epoch at which the wall clock stands first.

    Example:
        >>> clock, seen = SimulatedClock(100.0), []
        >>> clock.call_at(101_000.0, lambda: seen.append(clock.monotonic_ms()))
        >>> clock.jump(-60_000.0); clock.advance(2.0)
        >>> seen, clock.wall_ms()
        ([101000.0], 42000.0)
    """

    def __init__(self, start: float = 0.0) -> None:
        super().__init__(start)
        self._shift_ms = 0.0

    def monotonic_ms(self) -> float:
        """Give milliseconds that setting the clock does not change."""
        return self._now_ms - self._shift_ms

    def jump(self, by_ms: float) -> None:
        """Set the wall clock; what waits goes on waiting as long as before."""
        with self._lock:
            self._now_ms += by_ms
            self._shift_ms += by_ms
            self._due = [(due_ms + by_ms, number, call) for due_ms, number, call in self._due]
            heapq.heapify(self._due)

    def pass_time(self, by_ms: float) -> None:
        """Let time pass in which nobody does anything; what falls due meanwhile runs with the next move."""
        with self._lock:
            self._now_ms += by_ms

    def leap(self, to_ms: float) -> None:
        """Move to a time at once: what fell due on the way runs there."""
        with self._lock:
            self._now_ms = max(self._now_ms, to_ms)
        self.advance(0.0)

"""A deadline: something happens when a time is over, unless it is cancelled before."""

from __future__ import annotations

from collections.abc import Callable

from millstream.environment.environment import Environment


class Deadline:
    """Calls `expired` once when `limit_s` seconds are over, unless `cancel` comes first.

    The call comes from a thread of the environment, or from whoever moves a manual clock.

    Example:
        >>> from millstream.environment.clock import ManualClock
        >>> clock = ManualClock()
        >>> deadline = Deadline(Environment(clock), "demo", 2.0, lambda: print("over"))
        >>> clock.advance(1.9); clock.advance(0.1)
        over
    """

    def __init__(self, environment: Environment, name: str, limit_s: float, expired: Callable[[], None]) -> None:
        self._clock = environment.clock
        self._due_ms = self._clock.wall_ms() + limit_s * 1000
        self._expired = expired
        self._cancelled = False
        self._loop = environment.drive(name, self._step)

    def cancel(self) -> None:
        """Have nothing happen, if it has not happened yet."""
        self._cancelled = True
        self._loop.wake()

    def _step(self) -> float | None:
        if self._cancelled:
            return None
        if self._clock.wall_ms() < self._due_ms:
            return self._due_ms
        self._expired()
        return None

"""A clock that never goes backwards, over one that may."""

from __future__ import annotations

from collections.abc import Callable

from millstream.environment.clock import Clock
from millstream.errors import ConfigurationError

JUMP_MS = 1_000.0
"""Going back by less is a correction that waiting makes up for."""


class SteadyClock(Clock):
    """The time by which batches are made.

    It follows the wall clock. When that is set back, or stands before the newest batch of an earlier driver, this one
    goes on by the monotonic clock; when it is set ahead, this one follows, up to a limit.

    Used by one thread.

    Args:
        clock: the clocks of the machine.
        ahead_max_ms: the furthest jump ahead that is followed.
        on_jump: told, with the milliseconds by which the wall clock is behind from now on, when this clock goes on
            without it.

    Example:
        >>> from millstream.environment.clock import ManualClock
        >>> machine, told = ManualClock(100.0), []
        >>> clock = SteadyClock(machine, ahead_max_ms=60_000.0, on_jump=told.append)
        >>> machine.jump(-30.0); machine.advance(1.0)
        >>> clock.wall_ms(), machine.wall_ms(), told
        (101000.0, 71000.0, [30000.0])
    """

    def __init__(self, clock: Clock, *, ahead_max_ms: float, on_jump: Callable[[float], None]) -> None:
        self._clock = clock
        self._ahead_max_ms = ahead_max_ms
        self._on_jump = on_jump
        self._offset_ms = 0.0
        self._last_wall_ms = clock.wall_ms()
        self._last_monotonic_ms = clock.monotonic_ms()

    def begin_after(self, time_ms: float) -> None:
        """Stand no earlier than a time, such as that of the newest batch of an earlier driver.

        Raises:
            ConfigurationError: the wall clock is further ahead of it than the limit.
        """
        now_ms = self.wall_ms()
        if now_ms - time_ms > self._ahead_max_ms:
            raise self._too_far(now_ms - time_ms, "the newest batch of the checkpoint")
        if now_ms < time_ms:
            self._offset_ms += time_ms - now_ms
            self._last_wall_ms = time_ms
            self._on_jump(self._offset_ms)

    def wall_ms(self) -> float:
        """Give the milliseconds since the epoch; never less than before.

        Raises:
            ConfigurationError: the wall clock was set ahead by more than the limit.
        """
        wall_ms = self._clock.wall_ms() + self._offset_ms
        monotonic_ms = self._clock.monotonic_ms()
        steady_ms = self._last_wall_ms + (monotonic_ms - self._last_monotonic_ms)
        if wall_ms < steady_ms - JUMP_MS:
            self._offset_ms += steady_ms - wall_ms
            wall_ms = steady_ms
            self._on_jump(self._offset_ms)
        elif wall_ms - steady_ms > self._ahead_max_ms:
            self._offset_ms -= wall_ms - steady_ms  # It is said once; whoever ends now needs a time to do it.
            raise self._too_far(wall_ms - steady_ms, "where it was a moment ago")
        wall_ms = max(wall_ms, self._last_wall_ms)
        self._last_wall_ms, self._last_monotonic_ms = wall_ms, monotonic_ms
        return wall_ms

    def monotonic_ms(self) -> float:
        """Give the milliseconds of the monotonic clock."""
        return self._clock.monotonic_ms()

    def machine_ms(self, time_ms: float) -> float:
        """Give what the machine's wall clock shows at a time of this clock."""
        return time_ms - self._offset_ms

    def _too_far(self, by_ms: float, what: str) -> ConfigurationError:
        return ConfigurationError(
            "The clock is further ahead than it can be right.",
            detail=f"It is {by_ms / 1000.0:,.0f} s ahead of {what}; the limit is {self._ahead_max_ms / 1000.0:,.0f} s.",
            hint="Set the clock right. If the program was down for so long, give max_clock_jump= a larger value.",
        )

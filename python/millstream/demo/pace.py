"""How many lines are due at a steady rate."""

from __future__ import annotations

LAG_MAX_S = 1.0
"""How much a reader that is too slow is owed at most; what it missed beyond is never sent."""


class Pace:
    """Counts what is due since it was made.

    Args:
        rate_per_s: how many a second, > 0.
        now_s: the time that it begins at, seconds.

    Example:
        >>> pace = Pace(100.0, now_s=5.0)
        >>> pace.take(5.5), pace.take(5.5), pace.take(60.0)
        (50, 0, 100)
    """

    def __init__(self, rate_per_s: float, now_s: float) -> None:
        self._rate = rate_per_s
        self._began_s = now_s
        self._lag_max = max(1.0, rate_per_s * LAG_MAX_S)
        self._taken = 0.0

    def take(self, now_s: float) -> int:
        """Take what is due now."""
        due = (now_s - self._began_s) * self._rate
        self._taken = max(self._taken, due - self._lag_max)
        count = int(due - self._taken)
        self._taken += count
        return count

"""Downtime: time in which a program did not run, and in which no key grows idle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Downtime(NamedTuple):
    """A while in which no batch could run.

    Attributes:
        after_ms: the last batch time before it, milliseconds.
        length_ms: by how much longer than it would have taken the next batch time came, milliseconds.
    """

    after_ms: int
    length_ms: int


def idle_since(before_ms: int, downtimes: Sequence[Downtime], now_ms: int) -> int:
    """Move a limit for idle keys back over the times in which the program was down.

    Keys keep the batch time of their last touch as it was; what moves is the time before which they are due.

    Args:
        before_ms: the limit as it were without downtime: now less the timeout, milliseconds.
        downtimes: oldest first; they do not overlap. Those that begin at `now_ms` or later do not count: the batch of
            that time was under way when the program went down, and runs again as it was.
        now_ms: the batch time.

    Returns:
        Keys last touched before this time, milliseconds, were idle for longer than the timeout while the program ran.

    Example:
        >>> hour = Downtime(after_ms=10_000, length_ms=3_600_000)
        >>> now_ms, timeout_ms = 3_612_000, 5_000  # The first batches after an hour: 2 s of work after 10 s.
        >>> idle_since(now_ms - timeout_ms, [hour], now_ms)
        7000
        >>> idle_since(now_ms - 1_000, [hour], now_ms)
        3611000
    """
    for after_ms, length_ms in reversed(downtimes):
        if after_ms < now_ms and before_ms < after_ms + length_ms:
            before_ms -= length_ms
    return before_ms

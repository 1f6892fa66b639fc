"""Downtime: time in which a program did not run, and in which no key grows idle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Downtime(NamedTuple):
    """A span `(after_ms, until_ms]` of batch time in which no batch could be made.

    Attributes:
        after_ms: the newest batch that was planned before it, milliseconds since the epoch.
        until_ms: the last time of the grid before batches could be made again; the next one is due an interval later.
    """

    after_ms: int
    until_ms: int


def with_downtime(downtimes: Sequence[Downtime], planned_ms: int, begin_ms: int) -> tuple[Downtime, ...]:
    """Give the downtimes as they are once a program that was down makes batches again.

    A start at which the newest batch lies in the newest downtime prolongs that one: nothing has run since but overdue
    batches, which count as one moment.

    Args:
        downtimes: those before, oldest first.
        planned_ms: the newest batch that was planned before this start.
        begin_ms: the last time of the grid before batches can be made again.

    Returns:
        Downtimes that do not overlap, oldest first.

    Example:
        >>> first = with_downtime((), planned_ms=2_000, begin_ms=60_000)
        >>> with_downtime(first, planned_ms=61_000, begin_ms=90_000)
        (Downtime(after_ms=2000, until_ms=60000), Downtime(after_ms=61000, until_ms=90000))
        >>> with_downtime(first, planned_ms=40_000, begin_ms=90_000)
        (Downtime(after_ms=2000, until_ms=90000),)
    """
    earlier, after_ms = tuple(downtimes), planned_ms
    while earlier and earlier[-1].until_ms > planned_ms:
        after_ms = min(after_ms, earlier[-1].after_ms)
        earlier = earlier[:-1]
    # Not before the newest batch: the clock may have been set back meanwhile, and what was in downtime stays in it.
    until_ms = max(begin_ms, planned_ms)
    return (*earlier, Downtime(after_ms, until_ms)) if until_ms > after_ms else earlier


def uptime_ms(time_ms: int, downtimes: Sequence[Downtime]) -> int:
    """Give a batch time less what of the downtimes lies before it; it stands still in each of them.

    Args:
        time_ms: the batch time, milliseconds.
        downtimes: they do not overlap.

    Example:
        >>> hour = Downtime(after_ms=10_000, until_ms=3_610_000)
        >>> [uptime_ms(time_ms, [hour]) for time_ms in (10_000, 1_800_000, 3_610_000, 3_611_000)]
        [10000, 10000, 10000, 11000]
    """
    down_ms = sum(max(0, min(until_ms, time_ms) - after_ms) for after_ms, until_ms in downtimes)
    return time_ms - down_ms


def idle_since(before_ms: int, downtimes: Sequence[Downtime], now_ms: int) -> int:
    """Move a limit for idle keys back over the times in which the program was down.

    Keys keep the batch time of their last touch as it was; what moves is the time before which they are due.

    Args:
        before_ms: the limit as it were without downtime: now less the timeout, milliseconds.
        downtimes: oldest first; they do not overlap.
        now_ms: the batch time.

    Returns:
        The earliest time such that between it and now, less downtime, lies the timeout: keys last touched before it,
        milliseconds, were idle for longer while the program ran.

    Example:
        >>> hour = Downtime(after_ms=10_000, until_ms=3_610_000)
        >>> now_ms, timeout_ms = 3_612_000, 5_000  # The first batches after an hour: 2 s of work after 10 s.
        >>> idle_since(now_ms - timeout_ms, [hour], now_ms)
        7000
        >>> idle_since(now_ms - 1_000, [hour], now_ms)
        3611000
    """
    limit_ms = uptime_ms(now_ms, downtimes) - (now_ms - before_ms)
    for after_ms, until_ms in downtimes:
        if after_ms >= limit_ms:
            break
        limit_ms += until_ms - after_ms
    return limit_ms

"""What listeners hear of refused requests: not more than they can read, whatever senders do."""

from __future__ import annotations

import threading
from collections.abc import Callable

from millstream.environment.clock import Clock

REPORT_EVERY_MS = 10_000.0
KINDS_MAX = 100
"""Kinds are few; this only bounds what a mistake could make of them."""


class RefusalReports:
    """Reports the first request of a kind at once, and the others of it together, every ten seconds at most.

    Args:
        name: of the input.
        clock: says when ten seconds are over.
        tell: gets the text.

    Example:
        >>> from millstream.environment.clock import ManualClock
        >>> clock = ManualClock()
        >>> reports = RefusalReports("orders", clock, print)
        >>> for _ in range(3): reports.add("without a token", "10.0.0.7")
        orders refused a request without a token, from 10.0.0.7.
        >>> clock.advance(10.0); reports.add("without a token", "10.0.0.8")
        orders refused 3 more requests without a token, the newest from 10.0.0.8.
    """

    def __init__(self, name: str, clock: Clock, tell: Callable[[str], None]) -> None:
        self._name = name
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._told_ms: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def add(self, kind: str, peer: str) -> None:
        """Count a refused request, and report it when it is time."""
        with self._lock:
            now_ms = self._clock.monotonic_ms()
            told_ms = self._told_ms.get(kind)
            if told_ms is None and len(self._told_ms) >= KINDS_MAX:
                return
            if told_ms is not None and now_ms - told_ms < REPORT_EVERY_MS:
                self._untold[kind] = self._untold.get(kind, 0) + 1
                return
            self._told_ms[kind] = now_ms
            more = self._untold.pop(kind, 0)
        if more:
            self._tell(f"{self._name} refused {more + 1} more requests {kind}, the newest from {peer}.")
        else:
            self._tell(f"{self._name} refused a request {kind}, from {peer}.")

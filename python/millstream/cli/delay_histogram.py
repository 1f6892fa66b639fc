"""How delays are spread, in bounded memory."""

from __future__ import annotations

import math

LEAST_MS = 0.001
"""Shorter delays count as this: nothing here is timed more finely."""

GROWTH = 1.02
"""Each bucket is so much wider than the one before, so a quantile is off by 2 % at most."""


class DelayHistogram:
    """Counts delays in buckets that grow geometrically; a thousand of them span a microsecond to a day.

    Example:
        >>> delays = DelayHistogram()
        >>> for delay_ms in range(1, 101):
        ...     delays.add(delay_ms)
        >>> round(delays.quantile(0.5)), round(delays.quantile(0.99))
        (50, 99)
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._total = 0

    def add(self, delay_ms: float) -> None:
        """Count a delay, milliseconds."""
        bucket = round(math.log(max(delay_ms, LEAST_MS)) / math.log(GROWTH))
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._total += 1

    def quantile(self, share: float) -> float:
        """Give the delay that a share of all do not exceed, milliseconds; 0 when there are none.

        Args:
            share: 0 to 1.
        """
        wanted = math.ceil(share * self._total)
        for bucket in sorted(self._counts):
            wanted -= self._counts[bucket]
            if wanted <= 0:
                return GROWTH**bucket
        return 0.0

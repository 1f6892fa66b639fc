"""When a simulated program crashes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from millstream.environment.rng import Rng

FAR_POINTS = 1_500
"""The longest way to the next crash by chance, in points; a batch passes some fifty."""


class CrashPlan:
    """Says at which of the numbered points of a simulation the program crashes.

    Args:
        at: numbers of points, ascending.
        rng: chooses further ones after these, from the next one on, near ones as often as far ones: so recovery is
            hit too. None: there are no further ones.

    Example:
        >>> plan = CrashPlan([2, 3])
        >>> [number for number in range(10) if plan.is_due(number)]
        [2, 3]
    """

    def __init__(self, at: Sequence[int] = (), rng: Rng | None = None) -> None:
        self._at = list(at)
        self._rng = rng
        self._chosen = False
        if not self._at:
            self._choose(0)

    def is_due(self, number: int) -> bool:
        """Tell whether the program crashes at a point; asked once for each."""
        if not self._at or number < self._at[0]:
            return False
        del self._at[0]
        if not self._at:
            self._choose(number)
        return True

    def end(self) -> None:
        """Let nothing crash by chance any more."""
        self._rng = None
        if self._chosen:
            self._at.clear()

    def _choose(self, after: int) -> None:
        if self._rng is not None:
            self._chosen = True
            self._at.append(after + 1 + round(math.exp(self._rng.uniform(0.0, math.log(FAR_POINTS)))))

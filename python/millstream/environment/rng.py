"""Chance: generators of random numbers whose seed is known."""

from __future__ import annotations

import random

Rng = random.Random
"""A generator of random numbers; two with the same seed give the same numbers."""


def seeded_rng(seed: str | int | None) -> Rng:
    """Make a generator from a seed; None takes one from the system.

    Example:
        >>> seeded_rng("1000:sample").random() == seeded_rng("1000:sample").random()
        True
    """
    return Rng(seed)

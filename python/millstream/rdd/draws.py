"""Chance by position: the same numbers for the same seed, whichever task asks for them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from millstream.environment.rng import seeded_rng

Seed = int | str
"""What a sample is repeated by."""

_BLOCK = 1024
"""Positions that share a generator: seeding one takes as long as about a hundred numbers."""

_MEAN_MAX = 16.0
"""Up to this mean, 53 random bits and the sum of the probabilities tell all counts apart that can be met."""


def draws(seed: Seed, start: int, stop: int, each: int = 1) -> Iterator[float]:
    """Give the random numbers of some positions.

    Args:
        seed: two calls with the same one agree on every position.
        start: the first position, at least 0.
        stop: the position behind the last one.
        each: how many numbers each position has.

    Yields:
        Numbers in [0, 1), `each` for each position.

    Example:
        >>> list(draws(7, 0, 2000))[1500:1503] == list(draws(7, 1500, 1503))
        True
    """
    position = start
    while position < stop:
        block, passed = divmod(position, _BLOCK)
        draw = seeded_rng(f"{seed}:{block}").random
        for _ in range(passed * each):
            draw()
        end = min(stop, (block + 1) * _BLOCK)
        for _ in range((end - position) * each):
            yield draw()
        position = end


def draws_for_mean(mean: float) -> int:
    """Say how many random numbers `poisson` needs.

    Example:
        >>> draws_for_mean(0.5), draws_for_mean(100)
        (1, 7)
    """
    return max(1, math.ceil(mean / _MEAN_MAX))


def poisson(mean: float, drawn: list[float]) -> int:
    """Turn random numbers into a count that follows a Poisson distribution.

    Args:
        mean: the mean count, at least 0.
        drawn: `draws_for_mean(mean)` numbers in [0, 1), or more, of which the first are used.

    Source:
        Inversion of the distribution (Devroye, "Non-Uniform Random Variate Generation", 1986, X.3); a large mean is
        the sum of several small ones.

    Example:
        >>> poisson(1.0, [0.2]), poisson(1.0, [0.5]), poisson(1.0, [0.999])
        (0, 1, 5)
    """
    parts = draws_for_mean(mean)
    share = mean / parts
    total = 0
    for number in drawn[:parts]:
        count, chance = 0, math.exp(-share)
        passed = chance
        # The chance runs out where rounding leaves the sum a little below 1.
        while number >= passed and chance > 0.0:
            count += 1
            chance *= share / count
            passed += chance
        total += count
    return total

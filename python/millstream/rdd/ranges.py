"""The bounds of a sort: found in a sample of the keys, the same one in every run over the same records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.model.label import Label
from millstream.rdd.failures import not_comparable
from millstream.rdd.operations import Apply
from millstream.rdd.partitioner import ByRange, key_of

if TYPE_CHECKING:
    from millstream.rdd.lineage import Lineage
    from millstream.rdd.runner import Runner

KEYS_PER_RANGE = 60
"""Sampled keys for each range: Spark samples 20 and three times as many where partitions differ in size."""

_GOLDEN = 0.6180339887498949
"""Multiples of it, taken modulo 1, cover an interval evenly without a period that data could share."""


@dataclass(frozen=True, slots=True)
class SampleKeys:
    """Samples the keys of one partition: gives how many pairs there are, and the keys of some.

    Example:
        >>> SampleKeys(2)([(1, "a"), (2, "b"), (3, "c"), (4, "d")])
        (4, [1, 3])
    """

    size: int

    def __call__(self, pairs: Sequence[Any]) -> tuple[int, list[Any]]:
        count = len(pairs)
        if count <= self.size:
            return count, [key_of(pair) for pair in pairs]
        return count, [key_of(pairs[int(place * _GOLDEN % 1.0 * count)]) for place in range(self.size)]


def bounds_of(samples: Sequence[tuple[int, list[Any]]], ranges: int) -> list[Any]:
    """Choose the bounds that cut the sampled keys into ranges of about equal weight.

    Args:
        samples: for each partition how many keys it has, and some of these.
        ranges: how many ranges, at least 1.

    Returns:
        At most `ranges - 1` keys in ascending order, no two equal.

    Example:
        >>> bounds_of([(4, [1, 2, 3, 4]), (4, [5, 6, 7, 8])], 4)
        [2, 4, 6]
    """
    weighted = [(key, count / len(keys)) for count, keys in samples for key in keys]
    weighted.sort(key=key_of)
    step = sum(weight for _, weight in weighted) / ranges
    bounds: list[Any] = []
    passed, target = 0.0, step
    for key, weight in weighted:
        passed += weight
        # The margin takes up rounding: a bound one key late would leave the last range short.
        if passed * (1 + 1e-9) >= target and len(bounds) < ranges - 1:
            if not bounds or bounds[-1] < key:
                bounds.append(key)
            while target <= passed * (1 + 1e-9):
                target += step
    return bounds


def find_bounds(ranges: ByRange, parents: Sequence[Lineage], runner: Runner, label: Label) -> Sequence[Lineage]:
    """Find the bounds of a range partitioner, unless they are known.

    Returns:
        The parents, their partitions computed, so that functions before the sort run only once.
    """
    from millstream.rdd.lineage import Held

    if ranges.bounds is not None:
        return parents
    computed = [Held(runner.keep(parent)) for parent in parents]
    partitions = max(1, sum(parent.partitions for parent in parents))
    sample = Apply(SampleKeys(-(-KEYS_PER_RANGE * ranges.partitions // partitions)))
    samples = [taken for parent in computed for taken in runner.run(parent, sample)]
    try:
        ranges.bounds = bounds_of(samples, ranges.partitions)
    except TypeError as error:
        raise not_comparable(label, error) from error
    return computed

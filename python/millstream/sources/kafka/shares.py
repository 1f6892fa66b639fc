"""How many records of each Kafka partition a batch takes."""

from __future__ import annotations

from collections.abc import Sequence


def shares(lags: Sequence[int], limit: int | None, *, least: int | None = None, most: int | None = None) -> list[int]:
    """Share the records of a batch among Kafka partitions, in proportion to what waits in each.

    Args:
        lags: how many offsets wait in each partition, each >= 0.
        limit: most records of the batch, >= 1, or None.
        least: records that a partition gets at least, as far as they are there, even where they are more than its
            proportion; the limit holds all the same.
        most: records that a partition gets at most.

    Returns:
        For each partition how many offsets, at most its lag; their sum is at most the limit. No partition that has
        records is left out for ever: what is left by rounding goes to the partitions with the largest remainders.

    Source:
        `maxOffsetsPerTrigger` and `minPartitionRate` of Spark's Kafka sources share by lag too; here the least share
        cannot push a batch over its limit.

    Example:
        >>> shares([900, 100, 0], 100)
        [90, 10, 0]
        >>> shares([900, 5, 0], 100, least=10)
        [95, 5, 0]
        >>> shares([900, 100], None, most=200)
        [200, 100]
    """
    wanted = [min(lag, most) for lag in lags] if most is not None else list(lags)
    total = sum(wanted)
    if limit is None or total <= limit:
        return wanted
    floors = _within([min(want, least) for want in wanted], limit) if least is not None else [0] * len(wanted)
    rest = [want - floor for want, floor in zip(wanted, floors, strict=True)]
    return [floor + more for floor, more in zip(floors, _within(rest, limit - sum(floors)), strict=True)]


def _within(wanted: Sequence[int], limit: int) -> list[int]:
    """Cut what is wanted down to a limit, in proportion; the largest remainders get what rounding leaves."""
    total = sum(wanted)
    if total <= limit:
        return list(wanted)
    got = [want * limit // total for want in wanted]
    left = limit - sum(got)
    order = sorted(range(len(wanted)), key=lambda index: -(wanted[index] * limit % total))
    for index in order[:left]:
        got[index] += 1
    return got

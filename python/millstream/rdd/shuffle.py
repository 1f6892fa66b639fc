"""What an exchange over given parents comes down to: a shuffle, or a merge of partitions where they are."""

from __future__ import annotations

from collections.abc import Sequence

from millstream.rdd.exchange import ByKey, Exchange
from millstream.rdd.lineage import Lineage, Merged, Shuffled


def shuffle(parents: Sequence[Lineage], exchange: Exchange) -> Lineage:
    """Give the lineage of an exchange, moving only what is not in its place.

    Parents that are spread by the exchange's partitioner already stay where they are; when there is at least one
    such, the others are moved to it.
    """
    partitioner = exchange.partitioner
    in_their_place = [partitioner is not None and parent.partitioner == partitioner for parent in parents]
    if partitioner is None or not any(in_their_place):
        return Shuffled(parents, exchange)
    merging = exchange.in_place()
    if merging is None:
        return Shuffled(parents, exchange)
    moving = ByKey(partitioner, exchange.label)
    sides = [
        [parent if stays else Shuffled([parent], moving)] for parent, stays in zip(parents, in_their_place, strict=True)
    ]
    return Merged(sides, merging)

"""A run of neighbouring offsets of a Kafka partition."""

from __future__ import annotations

from typing import NamedTuple


class OffsetRange(NamedTuple):
    """What a batch reads of one Kafka partition, as `Context.kafka_rdd` takes it.

    Attributes:
        topic: the name of the topic.
        partition: the number of the Kafka partition.
        start: the first offset.
        until: the offset before which the range ends.

    Example:
        >>> OffsetRange("lines", 0, 10, 25)
        OffsetRange(topic='lines', partition=0, start=10, until=25)
    """

    topic: str
    partition: int
    start: int
    until: int

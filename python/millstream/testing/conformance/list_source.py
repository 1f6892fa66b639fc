"""A replayable source over a list, for tests."""

from __future__ import annotations

from typing import Any, TypeVar

from millstream.errors import DataError
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split

T = TypeVar("T")


class ListSource(ReplayableSource[T]):
    """Gives each batch what was appended to a list since the batch before; one split a batch.

    The position is the number of records given. The list travels with the source to executors, as it is then.

    Args:
        records: the list; append to it while the stream runs.

    Example:
        >>> source = ListSource(["a", "b", "c"])
        >>> plan = source.plan(1_000, None, 2)
        >>> list(source.read(plan.splits[0]).rows()), plan.position, plan.remaining
        (['a', 'b'], 2, 1)
    """

    name = "list"

    def __init__(self, records: list[T]) -> None:
        self.records = records

    def open(self, position: Any) -> None:
        """There is nothing to get ready."""

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        start = 0 if after is None else int(after)
        there = len(self.records)
        end = there if limit is None else min(there, start + limit)
        splits = [Split([start, end], end - start, f"records {start} to {end}")] if end > start else []
        return Plan(splits, end, there - end)

    def read(self, split: Split) -> Partition[T]:
        start, end = split.data
        if end > len(self.records):
            raise DataError(
                "Records of a list are gone.",
                detail=f"{split.description} were planned, the list has {len(self.records)}.",
                hint="Only append to the list while a stream reads it.",
            )
        return Partition(self.records[start:end])

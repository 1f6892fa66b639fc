"""Inputs: the nodes where data enters. Each says how what was planned for a batch becomes lineage."""

from __future__ import annotations

import math
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, Protocol, TypeAlias

from millstream.graph.batch_run import BatchRun
from millstream.graph.counted_reads import CountedReads
from millstream.graph.node import Node
from millstream.ingest.block_buffer import checked_rate
from millstream.ingest.encoded_rows import EncodedRows
from millstream.model.batch import BatchInput
from millstream.model.label import Label
from millstream.model.partition import Columns, PartitionData
from millstream.model.ports.block_feed import Block, BlockFeed
from millstream.model.ports.replayable_source import ReplayableSource, Split
from millstream.rdd.lineage import Held, Lineage, SplitsRead, Union, held_rows
from millstream.rdd.rdd import RDD


@dataclass(frozen=True, slots=True)
class PlannedInput:
    """What one input contributes to one batch; the same in every attempt.

    Attributes:
        blocks: blocks of a pushed input.
        splits: splits of a replayable source.
        lineages: ready-made lineages, of a queue of RDDs.
        records: how many records, or None where only reading can tell.
        description: one line for people.
        invalid: how much that arrived was no record as it came.
        lags: how many records wait behind what was planned, in each part of an input, as far as known. Of a batch
            that is run again after a restart nothing is known.
    """

    blocks: Sequence[Block] = ()
    splits: Sequence[Split] = ()
    lineages: Sequence[Lineage] = ()
    records: int | None = 0
    description: str = ""
    invalid: int = 0
    lags: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_blocks(cls, blocks: Sequence[Block], lags: Mapping[str, int] | None = None) -> PlannedInput:
        """Plan blocks of a pushed input."""
        return cls(
            blocks=blocks,
            records=sum(block.records for block in blocks),
            invalid=sum(block.invalid for block in blocks),
            lags=lags or {},
        )

    @classmethod
    def of_splits(cls, splits: Sequence[Split], lags: Mapping[str, int] | None = None) -> PlannedInput:
        """Plan splits of a replayable source."""
        counts = [split.records for split in splits]
        known = [count for count in counts if count is not None]
        return cls(
            splits=splits,
            records=sum(known) if len(known) == len(counts) else None,
            description=", ".join(split.description for split in splits),
            lags=lags or {},
        )


ROOM_BATCHES = 1.25
"""Records that wait while a batch runs, in batches by the rate limit. More than one, because batches take turns; not
much more, because what comes in during a batch that takes ten times too long makes the next one take as long."""

RateControl: TypeAlias = Literal["always", "measured", "never"]
"""Whether a rate controller limits an input: from the start; only after something was measured; or never."""


class InputNode(Node):
    """An input of the graph.

    Args:
        name: unique in the graph; names the input in journal, errors and UI.
        interval_ms: the batch interval.
    """

    def __init__(self, name: str, interval_ms: int, label: Label) -> None:
        super().__init__((), interval_ms, label)
        self.name = name

    @property
    def gives_columns(self) -> bool:
        """Tell whether records come as columns."""
        return False

    @property
    def rate_control(self) -> RateControl:
        """Tell whether a rate controller limits it."""
        return "never"

    def compute(self, run: BatchRun) -> Lineage | None:
        """Turn what was planned for this batch into lineage."""
        return self.lineage_of(run.planned[self.name], run)

    def told(self, planned: PlannedInput) -> BatchInput:
        """Give what a user's function may know of a plan."""
        return BatchInput(planned.records, planned.description)

    @abstractmethod
    def lineage_of(self, planned: PlannedInput, run: BatchRun) -> Lineage:
        """Turn what was planned into lineage."""


class FeedInput(InputNode):
    """An input that gets blocks pushed."""

    def __init__(self, name: str, interval_ms: int, feed: BlockFeed, label: Label) -> None:
        super().__init__(name, interval_ms, label)
        self.feed = feed
        self._rate = feed.max_rate
        self._controlled_rate: float | None = None
        self._rate_lock = threading.Lock()

    @property
    def rate_control(self) -> RateControl:
        """As the feed says."""
        return self.feed.rate_control

    def set_rate(self, records_per_s: float | None) -> None:
        """Set the user's limit; from any thread.

        Raises:
            ConfigurationError: it is not positive.
        """
        checked_rate(records_per_s, self.name)
        with self._rate_lock:
            self._rate = records_per_s
            self.feed.set_rate(_lower(records_per_s, self._controlled_rate))

    def set_controlled_rate(self, records_per_s: float | None, span_ms: float) -> None:
        """Set the limit of a rate controller, which holds where it is below the user's.

        Args:
            records_per_s: the limit, or None.
            span_ms: how long a batch is, where that is longer than the batch interval.
        """
        room_s = ROOM_BATCHES * max(float(self.slide_ms), span_ms) / 1000.0
        with self._rate_lock:
            self.feed.set_room(None if records_per_s is None else math.ceil(records_per_s * room_s))
            before = _lower(self._rate, self._controlled_rate)
            self._controlled_rate = records_per_s
            now = _lower(self._rate, records_per_s)
            if now != before:
                self.feed.set_rate(now)

    @property
    def gives_columns(self) -> bool:
        """Tell whether the feed's blocks are columns."""
        return self.feed.gives_columns

    def lineage_of(self, planned: PlannedInput, run: BatchRun) -> Lineage:
        """Spread the blocks, in order, over as many partitions as Python functions can run at once."""
        parts = _spread(planned.blocks, run.runner.default_partitions)
        make, reads = self.feed.make, self.feed.reads
        if reads is not None and planned.blocks:
            return SplitsRead(reads, [Split(part, len(part), self.name) for part in parts])
        # Why here: blocks that come out of the write-ahead log are tables, and know no function.
        return Held(parts if make is None else [_made(part, make) for part in parts])


class SourceInput(InputNode):
    """An input that is read from a replayable source.

    Args:
        limit: most records (for files: files) a batch, or None.

    Attributes:
        batch_limit: what holds for the next batch: `limit`, or less where a rate controller says so.
        reads: the source as executors have it.
    """

    def __init__(
        self, name: str, interval_ms: int, source: ReplayableSource[Any], limit: int | None, label: Label
    ) -> None:
        super().__init__(name, interval_ms, label)
        self.source = source
        self.reads = CountedReads(source, label)
        self.limit = limit
        self.batch_limit = limit

    @property
    def rate_control(self) -> RateControl:
        """From the start, if the source counts records."""
        return "always" if self.source.limits_records else "never"

    def set_controlled_rate(self, records_per_s: float | None, span_ms: float) -> None:
        """Limit batches to what a rate gives in a time, at least the batch interval, and to the user's limit."""
        if records_per_s is None:
            self.batch_limit = self.limit
        else:
            records = max(1, int(records_per_s * max(float(self.slide_ms), span_ms) / 1000.0))
            self.batch_limit = records if self.limit is None else min(self.limit, records)

    def told(self, planned: PlannedInput) -> BatchInput:
        """Give what a user's function may know of a plan."""
        return BatchInput(planned.records, planned.description, self.source.ranges(planned.splits))

    def confirmed(self, planned: PlannedInput) -> PlannedInput:
        """Give what can still be read of a plan, before its batch runs again.

        Raises:
            MillstreamError: it cannot be read any more, or not now.
        """
        if not planned.splits:
            return planned
        splits = self.source.confirm(planned.splits)
        return planned if len(splits) == len(planned.splits) else PlannedInput.of_splits(splits, planned.lags)

    @property
    def gives_columns(self) -> bool:
        """Most sources read columns."""
        return True

    def lineage_of(self, planned: PlannedInput, run: BatchRun) -> Lineage:
        """Make one partition of each split."""
        return SplitsRead(self.reads, planned.splits)


class QueueInput(InputNode):
    """An input that takes ready batches from a queue.

    Args:
        queue: gives the elements of the next batch: RDDs, or sequences of records.
        partitions: over how many partitions a sequence is spread.
    """

    def __init__(self, name: str, interval_ms: int, queue: BatchQueue, partitions: int, label: Label) -> None:
        super().__init__(name, interval_ms, label)
        self.queue = queue
        self.partitions = partitions

    def plan(self) -> PlannedInput:
        """Take what belongs to the next batch from the queue."""
        elements = self.queue.next_batch()
        lineages = [self._lineage(element) for element in elements]
        counts = [len(element) for element in elements if not isinstance(element, RDD)]
        return PlannedInput(lineages=lineages, records=sum(counts) if len(counts) == len(elements) else None)

    def _lineage(self, element: Any) -> Lineage:
        return element.lineage if isinstance(element, RDD) else held_rows(list(element), self.partitions)

    def lineage_of(self, planned: PlannedInput, run: BatchRun) -> Lineage:
        """Unite the elements of the batch."""
        if len(planned.lineages) == 1:
            return planned.lineages[0]
        return Union(planned.lineages) if planned.lineages else Held([[]])


class BatchQueue(Protocol):
    """Where a queue input takes its batches from."""

    def next_batch(self) -> Sequence[Any]:
        """Take the elements of the next batch: RDDs or sequences of records."""
        ...


def _lower(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _spread(blocks: Sequence[Block], partitions: int) -> list[PartitionData]:
    if not blocks:
        return [[]]
    count = min(partitions, len(blocks))
    if count == 1:
        return [_joined(blocks)]
    bounds = [len(blocks) * p // count for p in range(count + 1)]
    return [_joined(blocks[low:high]) for low, high in pairwise(bounds)]


def _made(data: PartitionData, make: Callable[[Any], list[Any]]) -> PartitionData:
    return Columns(data.table, scalar=data.scalar, make=make) if isinstance(data, Columns) else data


def _joined(blocks: Sequence[Block]) -> PartitionData:
    if len(blocks) == 1:
        return blocks[0].data
    if all(isinstance(block.data, Columns) for block in blocks):
        import pyarrow as pa

        parts: list[Any] = [block.data for block in blocks]
        return Columns.alike(parts[0], pa.concat_tables([part.table for part in parts]))
    if all(isinstance(block.data, EncodedRows) for block in blocks):
        runs: list[Any] = [block.data for block in blocks]
        return EncodedRows.joined(runs)
    rows: list[Any] = []
    for block in blocks:
        rows.extend(block.data.rows() if isinstance(block.data, Columns) else block.data)
    return rows

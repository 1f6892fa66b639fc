"""Windows: the operators that remember the parts of earlier batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from millstream.graph.batch_run import BatchRun
from millstream.graph.node import MemoryNode, Node
from millstream.model.label import Label
from millstream.model.partition import PartitionData, lasting
from millstream.rdd.exchange import Exchange
from millstream.rdd.lineage import Held, Lineage, Merged, Stepped, Union
from millstream.rdd.partitioner import Partitioner
from millstream.state.state_options import DEFAULT_OPTIONS, StateOptions
from millstream.state.step import StateStep


class WindowParts:
    """What each batch put into a window, by batch time, oldest first."""

    def __init__(self) -> None:
        self._parts: dict[int, list[PartitionData]] = {}

    def add(self, time_ms: int, parts: list[PartitionData]) -> None:
        """Remember the partitions of a batch, as rows that no later batch can change."""
        self._parts[time_ms] = [lasting(part) for part in parts]

    def between(self, after_ms: int, until_ms: int) -> list[list[PartitionData]]:
        """List the parts of batch times in `(after_ms, until_ms]`, oldest first."""
        return [parts for time_ms, parts in self._parts.items() if after_ms < time_ms <= until_ms]

    def forget(self, until_ms: int) -> None:
        """Drop the parts of batch times up to `until_ms`."""
        for time_ms in self.times(until_ms):
            del self._parts[time_ms]

    def roll_back(self, time_ms: int) -> None:
        """Drop the part of one batch."""
        self._parts.pop(time_ms, None)

    def of(self, time_ms: int) -> list[PartitionData] | None:
        """Give the part of one batch, or None when it put nothing into the window."""
        return self._parts.get(time_ms)

    def times(self, until_ms: int) -> list[int]:
        """List the batch times up to `until_ms` whose parts are held, oldest first."""
        return [time_ms for time_ms in self._parts if time_ms <= until_ms]

    def all(self) -> Mapping[int, list[PartitionData]]:
        """Give all parts by batch time, oldest first."""
        return self._parts

    def load(self, parts: Mapping[int, list[PartitionData]]) -> None:
        """Hold these parts and no others."""
        self._parts = {time_ms: parts[time_ms] for time_ms in sorted(parts)}


class PartsNode(MemoryNode):
    """A node that holds the parts of its window.

    Args:
        parent: what it gives in a batch is the batch's part.
        window_ms: length of the window.
        slide_ms: distance between windows.
        label: where the program added it.
        options: how the parts are kept in a checkpoint.

    Attributes:
        partitioner: how the pairs of each part are spread; None for records that need not be anywhere.
    """

    partitioner: Partitioner | None = None

    def __init__(
        self, parent: Node, window_ms: int, slide_ms: int, label: Label, options: StateOptions = DEFAULT_OPTIONS
    ) -> None:
        super().__init__((parent,), slide_ms, label)
        self.window_ms = window_ms
        self.options = options
        self.parts = WindowParts()

    def forgets_until(self, time_ms: int) -> int | None:
        """Tell up to which batch time `commit(time_ms)` forgets the parts; None: it forgets none."""
        return time_ms - self.window_ms

    def absorb(self, run: BatchRun) -> None:
        """Compute the parent's batch and remember it, whether the window is due or not."""
        parent = run.lineage(self.parents[0])
        if parent is not None:
            self.parts.add(run.time_ms, run.runner.keep(parent))

    def commit(self, time_ms: int) -> None:
        """Forget the parts that no later window can hold."""
        until_ms = self.forgets_until(time_ms)
        if until_ms is not None:
            self.parts.forget(until_ms)

    def roll_back(self, time_ms: int) -> None:
        """Forget the part of the failed batch."""
        self.parts.roll_back(time_ms)


class WindowNode(PartsNode):
    """All records of the batches in `(T - window, T]`, batch after batch."""

    def compute(self, run: BatchRun) -> Lineage | None:
        """Unite the parts in the window."""
        parts = self.parts.between(run.time_ms - self.window_ms, run.time_ms)
        return Union([Held(part) for part in parts])


class ReducedWindowNode(PartsNode):
    """Values of each key combined over the batches in `(T - window, T]`.

    Args:
        parent: gives pairs that are combined by key within each batch, spread by the exchange's partitioner.
        exchange: merges the parts of one partition.
    """

    def __init__(
        self,
        parent: Node,
        exchange: Exchange,
        window_ms: int,
        slide_ms: int,
        label: Label,
        options: StateOptions = DEFAULT_OPTIONS,
    ) -> None:
        super().__init__(parent, window_ms, slide_ms, label, options)
        self.exchange = exchange
        self.partitioner = exchange.partitioner

    def compute(self, run: BatchRun) -> Lineage | None:
        """Merge the parts in the window."""
        parts = self.parts.between(run.time_ms - self.window_ms, run.time_ms)
        return Merged([[Held(part, self.exchange.partitioner) for part in parts]], self.exchange)


class Carried(NamedTuple):
    """How far the running values of an inverse window were carried.

    Attributes:
        time_ms: the batch time at which they were carried on.
        window_ms: the length of the window then; another program may have another one.
    """

    time_ms: int
    window_ms: int


class InverseWindowNode(PartsNode):
    """A reduced window that is carried on: what entered is added, what left is taken away.

    Args:
        parent: gives pairs that are combined by key within each batch, spread by `partitioner`.
        step: keeps the running value of each key.

    Attributes:
        carried: how far the running values were carried, at the last batch that is done and in those under way.
    """

    partitioner: Partitioner

    def __init__(
        self,
        parent: Node,
        step: StateStep,
        partitioner: Partitioner,
        window_ms: int,
        slide_ms: int,
        label: Label,
        options: StateOptions = DEFAULT_OPTIONS,
    ) -> None:
        super().__init__(parent, window_ms, slide_ms, label, options)
        self.step = step
        self.partitioner = partitioner
        self.carried: list[Carried] = []

    def absorb(self, run: BatchRun) -> None:
        """Remember the batch, and carry the running values on when the window is due."""
        super().absorb(run)
        lineage = run.lineage(self)
        if lineage is not None:
            run.runner.keep(lineage)
            self.carried.append(Carried(run.time_ms, self.window_ms))

    def compute(self, run: BatchRun) -> Lineage | None:
        """Step the running values from the last due time to this one."""
        now_ms, window_ms = run.time_ms, self.window_ms
        last_ms, last_window_ms = self.carried[-1] if self.carried else (run.zero_ms, window_ms)
        entering = self.parts.between(max(last_ms, now_ms - window_ms), now_ms)
        leaving = self.parts.between(last_ms - last_window_ms, min(last_ms, now_ms - window_ms))
        inputs = [[Held(part, self.partitioner) for part in parts] for parts in (entering, leaving)]
        return Stepped(inputs, self.step, self.id, self.partitioner)

    def forgets_until(self, time_ms: int) -> int | None:
        """Tell up to which batch time `commit(time_ms)` forgets the parts: those that have left the running values."""
        done = [carried for carried in self.carried if carried.time_ms <= time_ms]
        return done[-1].time_ms - self.window_ms if done else None

    def commit(self, time_ms: int) -> None:
        """Forget the parts that have left, and versions before this one."""
        super().commit(time_ms)
        done_count = sum(carried.time_ms <= time_ms for carried in self.carried)
        del self.carried[: max(0, done_count - 1)]

    def roll_back(self, time_ms: int) -> None:
        """Forget that the failed batch was taken in."""
        super().roll_back(time_ms)
        if self.carried and self.carried[-1].time_ms == time_ms:
            del self.carried[-1]

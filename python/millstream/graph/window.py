"""Windows: the operators that remember the parts of earlier batches."""

from __future__ import annotations

from millstream.graph.batch_run import BatchRun
from millstream.graph.node import MemoryNode, Node
from millstream.model.label import Label
from millstream.model.partition import PartitionData, lasting
from millstream.rdd.exchange import Exchange
from millstream.rdd.lineage import Held, Lineage, Merged, Stepped, Union
from millstream.rdd.partitioner import Partitioner
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
        for time_ms in [time_ms for time_ms in self._parts if time_ms <= until_ms]:
            del self._parts[time_ms]

    def roll_back(self, time_ms: int) -> None:
        """Drop the part of one batch."""
        self._parts.pop(time_ms, None)


class _PartsNode(MemoryNode):
    """A node that holds the parts of its window."""

    def __init__(self, parent: Node, window_ms: int, slide_ms: int, label: Label) -> None:
        super().__init__((parent,), slide_ms, label)
        self.window_ms = window_ms
        self.parts = WindowParts()

    def absorb(self, run: BatchRun) -> None:
        """Compute the parent's batch and remember it, whether the window is due or not."""
        parent = run.lineage(self.parents[0])
        if parent is not None:
            self.parts.add(run.time_ms, run.runner.keep(parent))

    def commit(self, time_ms: int) -> None:
        """Forget the parts that no later window can hold."""
        self.parts.forget(time_ms - self.window_ms)

    def roll_back(self, time_ms: int) -> None:
        """Forget the part of the failed batch."""
        self.parts.roll_back(time_ms)


class WindowNode(_PartsNode):
    """All records of the batches in `(T - window, T]`, batch after batch."""

    def compute(self, run: BatchRun) -> Lineage | None:
        """Unite the parts in the window."""
        parts = self.parts.between(run.time_ms - self.window_ms, run.time_ms)
        return Union([Held(part) for part in parts])


class ReducedWindowNode(_PartsNode):
    """Values of each key combined over the batches in `(T - window, T]`.

    Args:
        parent: gives pairs that are combined by key within each batch, spread by the exchange's partitioner.
        exchange: merges the parts of one partition.
    """

    def __init__(self, parent: Node, exchange: Exchange, window_ms: int, slide_ms: int, label: Label) -> None:
        super().__init__(parent, window_ms, slide_ms, label)
        self.exchange = exchange

    def compute(self, run: BatchRun) -> Lineage | None:
        """Merge the parts in the window."""
        parts = self.parts.between(run.time_ms - self.window_ms, run.time_ms)
        return Merged([[Held(part, self.exchange.partitioner) for part in parts]], self.exchange)


class InverseWindowNode(_PartsNode):
    """A reduced window that is carried on: what entered is added, what left is taken away.

    Args:
        parent: gives pairs that are combined by key within each batch, spread by `partitioner`.
        step: keeps the running value of each key.
    """

    def __init__(
        self, parent: Node, step: StateStep, partitioner: Partitioner, window_ms: int, slide_ms: int, label: Label
    ) -> None:
        super().__init__(parent, window_ms, slide_ms, label)
        self.step = step
        self.partitioner = partitioner
        self._carried_ms: list[int] = []

    def absorb(self, run: BatchRun) -> None:
        """Remember the batch, and carry the running values on when the window is due."""
        super().absorb(run)
        lineage = run.lineage(self)
        if lineage is not None:
            run.runner.keep(lineage)
            self._carried_ms.append(run.time_ms)

    def compute(self, run: BatchRun) -> Lineage | None:
        """Step the running values from the last due time to this one."""
        now_ms, window_ms = run.time_ms, self.window_ms
        last_ms = self._carried_ms[-1] if self._carried_ms else run.zero_ms
        entering = self.parts.between(max(last_ms, now_ms - window_ms), now_ms)
        leaving = self.parts.between(last_ms - window_ms, min(last_ms, now_ms - window_ms))
        inputs = [[Held(part, self.partitioner) for part in parts] for parts in (entering, leaving)]
        return Stepped(inputs, self.step, self.id, self.partitioner)

    def commit(self, time_ms: int) -> None:
        """Forget the parts that have left, and versions before this one."""
        if self._carried_ms:
            del self._carried_ms[:-1]
            self.parts.forget(self._carried_ms[-1] - self.window_ms)

    def roll_back(self, time_ms: int) -> None:
        """Forget that the failed batch was taken in."""
        super().roll_back(time_ms)
        if self._carried_ms and self._carried_ms[-1] == time_ms:
            del self._carried_ms[-1]

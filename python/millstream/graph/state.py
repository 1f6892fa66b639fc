"""Keyed state: the operator that runs a state step on every batch."""

from __future__ import annotations

from millstream.graph.batch_run import BatchRun
from millstream.graph.node import MemoryNode, Node
from millstream.model.label import Label
from millstream.rdd.exchange import ByKey
from millstream.rdd.lineage import Held, Lineage, Shuffled, Stepped
from millstream.rdd.partitioner import Partitioner
from millstream.state.snapshots import StateSnapshots
from millstream.state.state_options import DEFAULT_OPTIONS, StateOptions
from millstream.state.step import StateStep


class StateNode(MemoryNode):
    """A state step over the pairs of its parent, which are brought to the partition of their key first.

    Args:
        parent: gives pairs.
        step: what is done to the state.
        partitioner: how the state is spread.
        label: where the program added it.
        options: how the state is kept in a checkpoint.
    """

    def __init__(
        self,
        parent: Node,
        step: StateStep,
        partitioner: Partitioner,
        label: Label,
        options: StateOptions = DEFAULT_OPTIONS,
    ) -> None:
        super().__init__((parent,), parent.slide_ms, label)
        self.options = options
        self.step = step
        self.partitioner = partitioner
        self._exchange = ByKey(partitioner, label)

    def absorb(self, run: BatchRun) -> None:
        """Run the step now, so that every batch counts even when no output asks for the result."""
        lineage = run.lineage(self)
        if lineage is not None:
            run.runner.keep(lineage)

    def compute(self, run: BatchRun) -> Lineage | None:
        """Step the state; a parent that gives nothing still lets the step run (timeouts, all keys)."""
        parent = run.lineage(self.parents[0])
        if parent is None:
            parent = Held([[] for _ in range(self.partitioner.partitions)], self.partitioner)
        elif parent.partitioner != self.partitioner:
            parent = Shuffled((parent,), self._exchange)
        return Stepped([[parent]], self.step, self.id, self.partitioner)


class SnapshotNode(Node):
    """All (key, state) pairs of a state node after each batch."""

    def __init__(self, parent: StateNode, label: Label) -> None:
        super().__init__((parent,), parent.slide_ms, label)
        self.state = parent
        self.step = StateSnapshots(label)

    def compute(self, run: BatchRun) -> Lineage | None:
        """Read the tables, after the state node's step has run in this batch."""
        stepped = run.lineage(self.state)
        if stepped is None:
            return None
        run.runner.keep(stepped)
        return Stepped([], self.step, self.state.id, self.state.partitioner)

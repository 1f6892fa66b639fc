"""Operators that work on each record or partition by itself."""

from __future__ import annotations

from millstream.graph.batch_run import BatchRun
from millstream.graph.node import Node
from millstream.rdd.lineage import Lineage, Narrow
from millstream.rdd.operations import Operation


class NarrowNode(Node):
    """One narrow operation on every batch of its parent."""

    def __init__(self, parent: Node, operation: Operation) -> None:
        super().__init__((parent,), parent.slide_ms, operation.label)
        self.operation = operation

    def compute(self, run: BatchRun) -> Lineage | None:
        """Put the operation on top of the parent's lineage."""
        parent = run.lineage(self.parents[0])
        return None if parent is None else Narrow(parent, self.operation)

"""The node: one operator of the stream graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.model.label import Label
from millstream.rdd.lineage import Lineage

if TYPE_CHECKING:
    from millstream.graph.batch_run import BatchRun


class Node(ABC):
    """One operator.

    Args:
        parents: the nodes that it reads.
        slide_ms: it gives something at batch times `zero + k * slide_ms`.
        label: where the program added it.

    Attributes:
        dependents: how many nodes and outputs read this one; what more than one reads is computed once a batch.
        is_kept: what it gives is kept for the rest of the batch, whoever reads it.
        id: unique in the graph and the same in every run of an unchanged program; set by the graph.
    """

    def __init__(self, parents: Sequence[Node], slide_ms: int, label: Label) -> None:
        self.parents = tuple(parents)
        self.slide_ms = slide_ms
        self.label = label
        self.dependents = 0
        self.is_kept = False
        self.id = ""
        for parent in self.parents:
            parent.dependents += 1

    @abstractmethod
    def compute(self, run: BatchRun) -> Lineage | None:
        """Give the lineage of the run's batch, or None when there is nothing; called once a run."""


class MemoryNode(Node):
    """A node that remembers across batches. Versions belong to batch times, so that a failed batch leaves no trace."""

    @abstractmethod
    def absorb(self, run: BatchRun) -> None:
        """Take the batch in; called once a run, after the memory nodes among its ancestors."""

    def commit(self, time_ms: int) -> None:
        """The batch is done: forget what only it, or batches before it, needed."""

    def roll_back(self, time_ms: int) -> None:
        """The attempt failed: forget that the batch was taken in."""

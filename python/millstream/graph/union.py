"""The operator that puts streams one behind the other."""

from __future__ import annotations

from collections.abc import Sequence

from millstream.graph.batch_run import BatchRun
from millstream.graph.node import Node
from millstream.graph.shuffle import same_slide_ms
from millstream.model.label import Label
from millstream.rdd.lineage import Lineage, Union


class UnionNode(Node):
    """All records of the first parent, then all of the second, and so on."""

    def __init__(self, parents: Sequence[Node], label: Label) -> None:
        super().__init__(parents, same_slide_ms(parents, label), label)

    def compute(self, run: BatchRun) -> Lineage | None:
        """Unite the parents' lineages; one that gives nothing adds nothing."""
        lineages = [lineage for parent in self.parents if (lineage := run.lineage(parent)) is not None]
        return Union(lineages) if lineages else None

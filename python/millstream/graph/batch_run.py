"""One attempt at one batch: the lineages of its nodes, each made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.model.batch import Batch
from millstream.rdd.lineage import Lineage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millstream.graph.inputs import PlannedInput
    from millstream.graph.node import Node
    from millstream.rdd.runner import Runner
    from millstream.recovery.decisions import Digest


class BatchRun:
    """One attempt at one batch.

    Args:
        batch: the batch and the attempt.
        zero_ms: the zero time of the grid.
        planned: what each input contributes, by the name of the input.
        runner: computes lineage.

    Attributes:
        output_digests: of each partition that was staged for an output, where digests are taken.
    """

    def __init__(self, batch: Batch, zero_ms: int, planned: Mapping[str, PlannedInput], runner: Runner) -> None:
        self.batch = batch
        self.time_ms = batch.time_ms
        self.zero_ms = zero_ms
        self.planned = planned
        self.runner = runner
        self.output_digests: dict[str, tuple[Digest, ...]] = {}
        self._made: dict[Node, Lineage | None] = {}

    def is_due(self, node: Node) -> bool:
        """Tell whether the node gives something at this batch time."""
        return (self.time_ms - self.zero_ms) % node.slide_ms == 0

    def lineage(self, node: Node) -> Lineage | None:
        """Give the lineage of a node for this batch, made at the first call; None when it gives nothing."""
        made = self._made
        if node in made:
            return made[node]
        lineage = node.compute(self) if self.is_due(node) else None
        if lineage is not None and (node.is_kept or node.dependents > 1):
            lineage.keep()
        made[node] = lineage
        return lineage

    def made(self) -> dict[Node, Lineage]:
        """Give the lineages that this run has made, without those of nodes that gave nothing."""
        return {node: lineage for node, lineage in self._made.items() if lineage is not None}

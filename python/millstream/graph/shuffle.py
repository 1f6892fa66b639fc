"""Operators that move records between partitions."""

from __future__ import annotations

from collections.abc import Sequence

from millstream.errors import GraphError
from millstream.graph.batch_run import BatchRun
from millstream.graph.node import Node
from millstream.model.label import Label
from millstream.rdd.exchange import Exchange
from millstream.rdd.lineage import Held, Lineage
from millstream.rdd.shuffle import shuffle


class ShuffleNode(Node):
    """One exchange over every batch of its parents: reduce_by_key, joins, repartition and their like.

    Parents whose records are in their place already are merged without a shuffle.
    """

    def __init__(self, parents: Sequence[Node], exchange: Exchange, label: Label) -> None:
        super().__init__(parents, same_slide_ms(parents, label), label)
        self.exchange = exchange

    def compute(self, run: BatchRun) -> Lineage | None:
        """Shuffle the parents' lineages; a parent that gives nothing counts as empty."""
        lineages = [run.lineage(parent) for parent in self.parents]
        if all(lineage is None for lineage in lineages):
            return None
        present = [Held([]) if lineage is None else lineage for lineage in lineages]
        return shuffle(present, self.exchange)


def same_slide_ms(nodes: Sequence[Node], label: Label) -> int:
    """Give the slide that all nodes share.

    Raises:
        GraphError: they do not share one.
    """
    slides = sorted({node.slide_ms for node in nodes})
    if len(slides) > 1:
        raise GraphError(
            f"{label.operator} needs streams that slide alike.",
            detail=f"Their slides are {', '.join(f'{slide / 1000:g} s' for slide in slides)}.",
            hint="Put .window(w, slide) on the faster stream, so that both give a batch at the same times.",
        )
    return slides[0]

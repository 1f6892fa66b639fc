"""What `slice` looks back on: the lineages of the batches that are done."""

from __future__ import annotations

from millstream.graph.batch_run import BatchRun
from millstream.graph.node import Node
from millstream.model.partition import lasting
from millstream.rdd.lineage import Lineage


class Remembered:
    """The lineages of every node, for the last while.

    Attributes:
        span_ms: how far back `slice` can look, milliseconds; 0 remembers nothing.
        forgotten_ms: the newest batch time that is not remembered.
    """

    def __init__(self) -> None:
        self.span_ms = 0
        self.forgotten_ms = 0
        self._by_time: dict[int, dict[Node, Lineage]] = {}

    def add(self, run: BatchRun) -> None:
        """Remember a batch that is done, and forget those that are too old."""
        if not self.span_ms:
            self.forgotten_ms = run.time_ms
            return
        made = run.made()
        for lineage in made.values():
            if lineage.kept is not None and lineage.kept.parts is not None:
                lineage.kept.parts = [lasting(part) for part in lineage.kept.parts]
        self._by_time[run.time_ms] = made
        for time_ms in [time_ms for time_ms in self._by_time if time_ms <= run.time_ms - self.span_ms]:
            del self._by_time[time_ms]
            self.forgotten_ms = time_ms

    def between(self, node: Node, from_ms: int, to_ms: int) -> list[Lineage]:
        """List what a node gave at batch times in `[from_ms, to_ms]`, oldest first."""
        return [
            made[node] for time_ms, made in list(self._by_time.items()) if from_ms <= time_ms <= to_ms and node in made
        ]

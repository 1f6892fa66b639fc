"""What `slice` looks back on: the lineages of the batches that are done."""

from __future__ import annotations

from collections.abc import Iterable

from millstream.graph.batch_run import BatchRun
from millstream.graph.node import Node
from millstream.model.partition import lasting
from millstream.rdd.lineage import Lineage, Stepped
from millstream.rdd.runner import Runner


class Remembered:
    """The lineages of every node, for the last while.

    Attributes:
        span_ms: how far back `slice` can look, milliseconds; 0 remembers nothing.
        forgotten_ms: the newest batch time that is not remembered.
    """

    def __init__(self) -> None:
        self.span_ms = 0
        self.forgotten_ms = 0
        self._by_time: dict[int, tuple[dict[Node, Lineage], Runner]] = {}

    def complete(self, run: BatchRun, nodes: Iterable[Node]) -> None:
        """Make what no output of the batch asked for, while windows and state are as the batch sees them."""
        if not self.span_ms:
            return
        for node in nodes:
            lineage = run.lineage(node)
            if isinstance(lineage, Stepped):
                run.runner.keep(lineage)

    def add(self, run: BatchRun) -> None:
        """Remember a batch that is done, and forget those that are too old."""
        if not self.span_ms:
            self.forgotten_ms = run.time_ms
            return
        made = run.made()
        for lineage in made.values():
            if lineage.kept is not None and lineage.kept.parts is not None:
                lineage.kept.parts = [lasting(part) for part in lineage.kept.parts]
        self._by_time[run.time_ms] = made, run.runner
        for time_ms in [time_ms for time_ms in self._by_time if time_ms <= run.time_ms - self.span_ms]:
            del self._by_time[time_ms]
            self.forgotten_ms = time_ms

    def between(self, node: Node, from_ms: int, to_ms: int) -> list[tuple[Lineage, Runner]]:
        """List what a node gave at batch times in `[from_ms, to_ms]`, oldest first, with what computes it.

        A runner knows its batch, for functions that ask for it.
        """
        return [
            (made[node], runner)
            for time_ms, (made, runner) in list(self._by_time.items())
            if from_ms <= time_ms <= to_ms and node in made
        ]

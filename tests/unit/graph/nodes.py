"""What the tests of the graph share: nodes that give what they are told to, and a runner that runs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from millstream.environment.rng import Rng, seeded_rng
from millstream.graph.batch_run import BatchRun
from millstream.graph.node import Node
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.rdd.lineage import Held, Lineage

INTERVAL_MS = 10


class Given(Node):
    """A node that gives the partitions of a dict by batch time, and counts how often it is asked."""

    def __init__(self, parts: dict[int, list[Any]], slide_ms: int = INTERVAL_MS, *parents: Node) -> None:
        super().__init__(parents, slide_ms, Label("given"))
        self.parts = parts
        self.asked = 0

    def compute(self, run: BatchRun) -> Lineage | None:
        self.asked += 1
        parts = self.parts.get(run.time_ms)
        return None if parts is None else Held(parts)


class NoRunner:
    """A runner for lineage whose data is at hand."""

    default_partitions = 1
    batch: Batch | None = None

    def __init__(self) -> None:
        self.kept: list[Lineage] = []

    @property
    def home(self) -> object:
        return self

    @property
    def rng(self) -> Rng:
        return seeded_rng(0)

    def keep(self, lineage: Lineage) -> list[Any]:
        self.kept.append(lineage)
        assert isinstance(lineage, Held)
        return list(lineage.parts)

    def run(self, lineage: Lineage, end: Any, partitions: Sequence[int] | None = None) -> list[Any]:
        raise AssertionError("Nothing is run here.")

    def run_lazily(self, lineage: Lineage, end: Any) -> Iterator[Any]:
        raise AssertionError("Nothing is run here.")


def run_of(time_ms: int, runner: NoRunner | None = None, attempt: int = 0) -> BatchRun:
    """Give an attempt at a batch without inputs."""
    return BatchRun(Batch(time_ms, attempt), 0, {}, runner or NoRunner())

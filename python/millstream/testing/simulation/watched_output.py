"""Looking at what a program does: its outputs with crashes and failures around them, and the inputs of its batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from millstream.errors import SinkUnavailableError
from millstream.graph.batch_run import BatchRun
from millstream.graph.inputs import InputNode, PlannedInput
from millstream.graph.outputs import Output
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.model.partition import rows_of
from millstream.model.ports.sink import SinkLineage
from millstream.testing.simulation.source import SimulatedSource

if TYPE_CHECKING:
    from millstream.testing.simulation.life import Life

SLOW_MS_MAX = 3_500
"""How long a slow sink takes, at most."""


class WatchedOutput(Output):
    """An output of the program, around which things go wrong.

    Args:
        inner: the output.
        life: the run of the program that it belongs to.
    """

    def __init__(self, inner: Output, life: Life) -> None:
        self.node, self.name, self.label, self.slide_ms = inner.node, inner.name, inner.label, inner.slide_ms
        self._inner = inner
        self._life = life

    def open(self, lineage: SinkLineage) -> int | None:
        self._life.point(f"{self.name}: before it is opened")
        self._fail("open")
        newest_ms = self._inner.open(lineage)
        self._life.point(f"{self.name}: opened")
        return newest_ms

    def note(self) -> Any:
        return self._inner.note()

    def own(self, batch: Batch) -> Batch:
        return self._inner.own(batch)

    def stage(self, run: BatchRun) -> Any:
        self._life.point(f"{self.name}: before {run.time_ms} is staged")
        self._fail("stage")
        staged = self._inner.stage(run)
        self._life.point(f"{self.name}: {run.time_ms} is staged")
        return staged

    def commit(self, batch: Batch, staged: Any) -> None:
        self._life.point(f"{self.name}: before the commit of {batch.time_ms}")
        if self._life.fails("pause"):
            self._life.world.pause(self._life)
        self._fail("commit")
        if self._life.fails("slow sink"):
            self._life.clock.advance(self._life.rng.uniform(0.1, SLOW_MS_MAX) / 1000.0)
        self._inner.commit(batch, staged)
        self._life.point(f"{self.name}: {batch.time_ms} is committed")
        self._fail("answer to commit")

    def discard(self, batch: Batch, staged: Any) -> None:
        self._life.point(f"{self.name}: before {batch.time_ms} is discarded")
        self._inner.discard(batch, staged)

    def close(self) -> None:
        self._life.point(f"{self.name}: before it is closed")
        self._inner.close()

    def _fail(self, call: str) -> None:
        if self._life.fails("sink"):
            raise SinkUnavailableError(
                f"The sink {self.name} does not answer.", detail=f"{call} failed.", hint="A simulation injects this."
            )


class InputWatcher(Output):
    """Tells what each attempt at a batch has of every input.

    Args:
        inputs: the inputs of the program.
        tell: gets the batch, the interval's start and the rows of each input, block by block or split by split.
    """

    def __init__(
        self, inputs: list[InputNode], tell: Callable[[Batch, dict[str, list[list[Any]]]], None], label: Label
    ) -> None:
        self.node, self.name, self.label, self.slide_ms = inputs[0], "simulation", label, inputs[0].slide_ms
        self._inputs = inputs
        self._tell = tell

    def stage(self, run: BatchRun) -> None:
        self._tell(run.batch, {node.name: _parts(node, run.planned[node.name]) for node in self._inputs})

    def commit(self, batch: Batch, staged: Any) -> None:
        """Nothing was staged."""


def _parts(node: Any, planned: PlannedInput) -> list[list[Any]]:
    if planned.blocks:
        return [list(rows_of(block.data)) for block in planned.blocks]
    source: Any = node.source if planned.splits else None
    if isinstance(source, SimulatedSource):
        return [source.records(split) for split in planned.splits]
    return [list(source.read(split).rows()) for split in planned.splits]

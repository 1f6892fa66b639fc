"""The scheduler: cuts lineage into stages and has a backend run their tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from millstream.environment.rng import Rng, seeded_rng
from millstream.errors import InternalError
from millstream.execution.backend import Backend
from millstream.execution.readers import HeldReader, MergeReader, PipelinesReader, SplitReader, StepReader
from millstream.execution.task import Pipeline, Task
from millstream.model.batch import Batch
from millstream.rdd.lineage import (
    Coalesced,
    Held,
    Lineage,
    Merged,
    Narrow,
    Shuffled,
    SplitsRead,
    Stepped,
    Union,
)
from millstream.rdd.operations import End, MapPartitions, Operation


class Scheduler:
    """Computes lineage on a backend. It is the `Runner` that RDDs are given.

    Args:
        backend: where tasks run.
        batch: the batch that the tasks belong to, or None in a batch program.
        rng: chance for what was given no seed; None: of the batch, or of the system where there is none.
    """

    def __init__(self, backend: Backend, batch: Batch | None = None, *, rng: Rng | None = None) -> None:
        self.backend = backend
        self.batch = batch
        self._rng = rng

    @property
    def default_partitions(self) -> int:
        """How many partitions a shuffle gets when nobody says."""
        return self.backend.default_partitions

    @property
    def home(self) -> object:
        """The backend: RDDs on the same one can be combined."""
        return self.backend

    @property
    def rng(self) -> Rng:
        """Chance for what was given no seed; inside a batch the same at every attempt."""
        if self._rng is None:
            self._rng = seeded_rng(None if self.batch is None else f"{self.batch.time_ms}:runner")
        return self._rng

    def run_lazily(self, lineage: Lineage, end: End) -> Iterator[Any]:
        """Give the result of `end` for partition after partition, a few at a time as they are asked for."""
        pipelines = self._pipelines(lineage)
        at, width = 0, 1
        while at < len(pipelines):
            tasks = [Task(pipeline, p, end) for p, pipeline in enumerate(pipelines[at : at + width], at)]
            yield from self.backend.run(tasks, self.batch)
            at += width
            width *= 4

    def run(self, lineage: Lineage, end: End, partitions: Sequence[int] | None = None) -> list[Any]:
        """Compute partitions (None: all) and give the result of `end` for each, in order."""
        pipelines = self._pipelines(lineage)
        chosen = range(len(pipelines)) if partitions is None else partitions
        return self.backend.run([Task(pipelines[p], p, end) for p in chosen], self.batch)

    def keep(self, lineage: Lineage) -> list[Any]:
        """Compute all partitions once and give their data; a node that is kept gives the same data again."""
        kept = lineage.kept
        if kept is None:
            return self._computed(self._pipelines(lineage))
        if kept.parts is None:
            kept.parts = self._computed(self._unkept(lineage))
        return kept.parts

    def _computed(self, pipelines: list[Pipeline]) -> list[Any]:
        if all(type(pipeline.reader) is HeldReader and not pipeline.operations for pipeline in pipelines):
            return self.backend.held([pipeline.reader.data for pipeline in pipelines])  # type: ignore[attr-defined]
        return self.backend.run([Task(pipeline, p, None) for p, pipeline in enumerate(pipelines)], self.batch)

    def _pipelines(self, lineage: Lineage) -> list[Pipeline]:
        """Give one pipeline a partition, after running the stages that these read from."""
        operations: list[Operation] = []
        node = lineage
        while type(node) is Narrow and node.kept is None:
            operations.append(node.operation)
            node = node.parent
        if node.kept is None:
            pipelines = self._unkept(node)
        else:
            pipelines = [Pipeline(HeldReader(part), (), p) for p, part in enumerate(self.keep(node))]
        if not operations:
            return pipelines
        more = tuple(reversed(operations))
        return [_extended(pipeline, more, index) for index, pipeline in enumerate(pipelines)]

    def _unkept(self, node: Lineage) -> list[Pipeline]:
        match node:
            case Held():
                return [Pipeline(HeldReader(part), (), p) for p, part in enumerate(node.parts)]
            case Narrow():
                parents = self._pipelines(node.parent)
                return [_extended(p, (node.operation,), index) for index, p in enumerate(parents)]
            case Shuffled():
                return self._shuffled(node)
            case SplitsRead():
                return [Pipeline(SplitReader(node.source, split), (), p) for p, split in enumerate(node.splits)]
            case Union():
                return [p for parent in node.flat() for p in self._pipelines(parent)]
            case Coalesced():
                parents = self._pipelines(node.parent)
                return [
                    Pipeline(PipelinesReader([[parents[p] for p in group]], None), (), index)
                    for index, group in enumerate(node.groups)
                ]
            case Merged():
                sides = [[self._pipelines(parent) for parent in side] for side in node.sides]
                return [
                    Pipeline(PipelinesReader([[parent[p] for parent in side] for side in sides], node.exchange), (), p)
                    for p in range(node.partitions)
                ]
            case Stepped():
                inputs = [[self._pipelines(parent) for parent in part] for part in node.inputs]
                return [
                    Pipeline(StepReader(node.step, node.operator_id, p, _at(inputs, p)), (), p)
                    for p in range(node.partitions)
                ]
            case _:
                raise InternalError(f"The scheduler met lineage that it does not know: {type(node).__name__}.")

    def _shuffled(self, node: Shuffled) -> list[Pipeline]:
        exchange = node.exchange
        sides = []
        for parent in exchange.prepared(node.parents, self):
            pipelines = self._pipelines(parent)
            tasks = [Task(pipeline, p, exchange.end, exchange) for p, pipeline in enumerate(pipelines)]
            sides.append(self.backend.run(tasks, self.batch))
        return [
            Pipeline(MergeReader(exchange, [[pieces[p] for pieces in side] for side in sides]), (), p)
            for p in range(exchange.partitions)
        ]


def _extended(pipeline: Pipeline, more: tuple[Operation, ...], index: int) -> Pipeline:
    if pipeline.index == index or not pipeline.operations:
        return Pipeline(pipeline.reader, pipeline.operations + more, index)
    if any(type(operation) is MapPartitions and operation.with_index for operation in more):
        # Below a union an operation sees the index in its own parent, above it that in the union.
        return Pipeline(PipelinesReader([[pipeline]], None), more, index)
    return Pipeline(pipeline.reader, pipeline.operations + more, pipeline.index)


def _at(inputs: list[list[list[Pipeline]]], partition: int) -> list[list[Pipeline]]:
    return [[parent[partition] for parent in part] for part in inputs]

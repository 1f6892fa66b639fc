"""Readers: where the rows of a task come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from millstream.errors import InternalError
from millstream.model.partition import Columns, PartitionData, rows_of

if TYPE_CHECKING:
    from millstream.execution.executor import Executor
    from millstream.execution.task import Pipeline
    from millstream.model.ports.replayable_source import ReplayableSource, Split
    from millstream.rdd.exchange import Exchange, Piece
    from millstream.state.step import StateStep


class Reader(ABC):
    """Gives the data that a task starts from."""

    __slots__ = ()

    @abstractmethod
    def read(self, executor: Executor) -> PartitionData:
        """Read; called once for each run of a task, on the executor."""


class HeldReader(Reader):
    """Data at hand."""

    __slots__ = ("data",)

    def __init__(self, data: PartitionData) -> None:
        self.data = data

    def read(self, executor: Executor) -> PartitionData:
        """Give the data."""
        data: PartitionData = executor.unpacked(self.data)
        return data


class SplitReader(Reader):
    """One split of a replayable source."""

    __slots__ = ("source", "split")

    def __init__(self, source: ReplayableSource[Any], split: Split) -> None:
        self.source = source
        self.split = split

    def read(self, executor: Executor) -> PartitionData:
        """Read the split."""
        return self.source.read(self.split).data


class MergeReader(Reader):
    """The pieces that map tasks made for one reduce partition."""

    __slots__ = ("exchange", "sides")

    def __init__(self, exchange: Exchange, sides: Sequence[Sequence[Piece]]) -> None:
        self.exchange = exchange
        self.sides = sides

    def read(self, executor: Executor) -> PartitionData:
        """Merge the pieces."""
        return self.exchange.merge([[executor.unpacked(piece) for piece in side] for side in self.sides])


class PipelinesReader(Reader):
    """Several pipelines one behind the other, merged by an exchange or only concatenated."""

    __slots__ = ("exchange", "sides")

    def __init__(self, sides: Sequence[Sequence[Pipeline]], exchange: Exchange | None) -> None:
        self.sides = sides
        self.exchange = exchange

    def read(self, executor: Executor) -> PartitionData:
        """Run the pipelines and put their rows together; columns alone stay columns."""
        if self.exchange is not None:
            return self.exchange.merge([[executor.rows(pipeline) for pipeline in side] for side in self.sides])
        parts = [executor.data(pipeline) for pipeline in self.sides[0]]
        table = _one_table(parts)
        return list(chain.from_iterable(map(rows_of, parts))) if table is None else table


def _one_table(parts: Sequence[PartitionData]) -> Columns | None:
    """Put columns that are alike one behind the other, or give None."""
    alike = [part for part in parts if isinstance(part, Columns) and _alike(part, parts[0])]
    if not alike or len(alike) < len(parts):
        return None
    import pyarrow as pa

    return alike[0].alike(pa.concat_tables([part.table for part in alike]))


def _alike(part: Columns, other: PartitionData) -> bool:
    return (
        isinstance(other, Columns)
        and part.scalar == other.scalar
        and part.make is other.make
        and bool(part.table.schema == other.table.schema)
    )


class StepReader(Reader):
    """What a state step gives for the rows of its inputs."""

    __slots__ = ("index", "inputs", "operator_id", "step")

    def __init__(self, step: StateStep, operator_id: str, index: int, inputs: Sequence[Sequence[Pipeline]]) -> None:
        self.step = step
        self.operator_id = operator_id
        self.index = index
        self.inputs = inputs

    def read(self, executor: Executor) -> PartitionData:
        """Run the step on the table of this operator and partition."""
        if executor.batch is None:
            raise InternalError("A state step was run outside of a batch.", detail=f"Operator {self.operator_id}.")
        inputs = [[executor.rows(pipeline) for pipeline in part] for part in self.inputs]
        table = executor.state.table(self.operator_id, self.index)
        return self.step.run(table, inputs, executor.batch)

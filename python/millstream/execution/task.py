"""Tasks: what an executor is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.execution.readers import Reader
from millstream.rdd.operations import End, Operation

if TYPE_CHECKING:
    from millstream.rdd.exchange import Exchange


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """A reader and the operations on what it reads.

    Attributes:
        index: the partition, as functions with an index see it.
    """

    reader: Reader
    operations: tuple[Operation, ...]
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A pipeline and what becomes of its rows.

    Attributes:
        partition: the partition of the stage; decides which executor runs the task.
        end: what gives the result; None keeps the rows (or columns) as partition data.
        exchange: when set, splits the result of `end` into one piece a reduce partition.
    """

    pipeline: Pipeline
    partition: int
    end: End | None
    exchange: Exchange | None = None

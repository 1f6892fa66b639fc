"""The tasks that fill the tables of a program with stored state, or write them out."""

from __future__ import annotations

from collections.abc import Iterable

from millstream.execution.readers import HeldReader, StepReader
from millstream.execution.task import Pipeline, Task
from millstream.rdd.operations import Collect
from millstream.state.step import StateStep
from millstream.state.table_load import TableDump, TableLoad


def load_tasks(loads: Iterable[TableLoad]) -> list[Task]:
    """Make a task for each partition of each table; it runs where the table lives."""
    return [
        _task(load.step, load.table, partition, [[Pipeline(HeldReader(part), (), partition)]])
        for load in loads
        for partition, part in enumerate(load.parts)
    ]


def dump_tasks(dumps: Iterable[TableDump]) -> list[Task]:
    """Make a task for each partition of each table; it runs where the table lives."""
    return [_task(dump.step, dump.table, partition, []) for dump in dumps for partition in range(dump.partitions)]


def _task(step: StateStep, table: str, partition: int, inputs: list[list[Pipeline]]) -> Task:
    return Task(Pipeline(StepReader(step, table, partition, inputs), (), partition), partition, Collect())

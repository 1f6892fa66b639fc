"""The tasks that fill the tables of a program with stored state."""

from __future__ import annotations

from collections.abc import Iterable

from millstream.execution.readers import HeldReader, StepReader
from millstream.execution.task import Pipeline, Task
from millstream.rdd.operations import Collect
from millstream.state.table_load import TableLoad


def load_tasks(loads: Iterable[TableLoad]) -> list[Task]:
    """Make a task for each partition of each table; it runs where the table lives."""
    return [
        Task(
            Pipeline(
                StepReader(load.step, load.table, partition, [[Pipeline(HeldReader(part), (), partition)]]),
                (),
                partition,
            ),
            partition,
            Collect(),
        )
        for load in loads
        for partition, part in enumerate(load.parts)
    ]

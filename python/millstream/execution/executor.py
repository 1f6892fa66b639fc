"""The executor: runs tasks, and holds the state that is pinned to it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from millstream.execution.fusion import compile_stage
from millstream.execution.task import Pipeline, Task
from millstream.model.accumulator import collecting_additions
from millstream.model.batch import Batch
from millstream.model.current import running_batch
from millstream.model.partition import Columns, PartitionData, Rows, rows_of
from millstream.rdd.operations import ApplyPartition, Collect, Count
from millstream.rdd.task_loop import TaskLoop
from millstream.state.store import StateStore

_COLLECT_ALL = Collect()


def _as_it_is(data: Any) -> Any:
    return data


class Executor:
    """Runs tasks one after another, in one thread at a time.

    Args:
        unpacked: turns data that came packed from the driver into partition data.
    """

    def __init__(self, unpacked: Callable[[Any], Any] = _as_it_is) -> None:
        self.state = StateStore()
        self.batch: Batch | None = None
        self.unpacked = unpacked
        self.loop = TaskLoop()

    def rows(self, pipeline: Pipeline) -> Rows:
        """Run a pipeline and give all its rows."""
        return rows_of(self.data(pipeline))

    def data(self, pipeline: Pipeline) -> PartitionData:
        """Run a pipeline and give its partition; columns stay columns where no operation asks for rows."""
        data = pipeline.reader.read(self)
        if not pipeline.operations:
            return data
        stage = compile_stage(pipeline.operations, _COLLECT_ALL)
        rows: Rows = stage.run_partition(data, pipeline.index, self.batch)
        return rows

    def run(self, task: Task, batch: Batch | None) -> Any:
        """Run one task and give its result; what it added to accumulators waits in `drain_accumulators`.

        Raises:
            UserCodeError: a user's function raised.
        """
        self.batch = batch
        with running_batch(batch), collecting_additions(), self.loop:
            result = self._result(task)
            return result if task.exchange is None else task.exchange.split(result, task.partition)

    def close(self) -> None:
        """End what tasks have left running. Safe to call twice."""
        self.loop.close()

    def _result(self, task: Task) -> Any:
        pipeline, end = task.pipeline, task.end
        if end is None:
            return self.data(pipeline)
        if type(end) is ApplyPartition:
            return end.f(self.batch, task.partition, self.data(pipeline))
        data = pipeline.reader.read(self)
        if not pipeline.operations:
            if type(end) is Count:
                return len(data)
            if type(end) is Collect:
                return _first(data, end.limit)
        return compile_stage(pipeline.operations, end).run_partition(data, pipeline.index, self.batch)


def _first(data: PartitionData, limit: int | None) -> Rows:
    if limit is None:
        rows = rows_of(data)
        return rows if type(rows) is list else list(rows)
    if isinstance(data, Columns):
        return data.alike(data.table.slice(0, limit)).rows()
    return list(islice(data, limit))

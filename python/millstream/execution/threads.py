"""The embedded backend: one executor in this process, nothing to start."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from millstream.errors import LifecycleError
from millstream.execution.backend import Backend
from millstream.execution.executor import Executor
from millstream.execution.table_tasks import load_tasks
from millstream.execution.task import Task
from millstream.model.accumulator import apply_accumulators, drain_accumulators
from millstream.model.batch import Batch
from millstream.state.downtime import Downtime
from millstream.state.state_change import StateChange
from millstream.state.table_format import TableFormat
from millstream.state.table_load import TableLoad


class ThreadsBackend(Backend):
    """Runs tasks in the caller's thread, one after another.

    Why not a thread for each core: Python functions cannot run in parallel under the GIL, and one more thread
    that is busy in Python makes every other one wait for whole switch intervals.
    """

    default_partitions = 1

    def __init__(self) -> None:
        self.executor = Executor()
        self._lock = threading.RLock()
        self._running = False
        self._formats: Mapping[str, TableFormat] = {}

    def run(self, tasks: Sequence[Task], batch: Batch | None) -> list[Any]:
        """Run the tasks here."""
        with self._lock:
            if self._running:
                raise _inside_a_task()
            self._running = True
            try:
                return [self._run(task, batch) for task in tasks]
            finally:
                self._running = False

    def _run(self, task: Task, batch: Batch | None) -> Any:
        result = self.executor.run(task, batch)
        if additions := drain_accumulators():
            apply_accumulators(additions)
        return result

    def begin_state(self, batch_ms: int) -> None:
        """Open a version of all state for a batch."""
        self.executor.state.begin(batch_ms)

    def commit_state(self, batch_ms: int) -> None:
        """Make the version of a batch final."""
        self.executor.state.commit(batch_ms)

    def roll_back_state(self, batch_ms: int) -> None:
        """Undo the version of a batch."""
        self.executor.state.rollback(batch_ms)

    def drop_state(self) -> None:
        """Forget all state."""
        self.executor.state.clear()
        self._formats = {}

    def persist_state(self, formats: Mapping[str, TableFormat]) -> None:
        """Encode what each batch from now on changes, when `state_changes` asks for it."""
        self._formats = formats

    def state_changes(self, batch_ms: int) -> list[StateChange]:
        """Encode what a batch under way changed."""
        return self.executor.state.changes(batch_ms, self._formats)

    def load_state(self, loads: Sequence[TableLoad], done_ms: int) -> None:
        """Fill tables with stored state."""
        self.run(load_tasks(loads), Batch(done_ms))

    def note_downtimes(self, downtimes: Sequence[Downtime]) -> None:
        """Say when the program was down."""
        self.executor.state.note_downtimes(downtimes)

    def close(self) -> None:
        """End what tasks have left running on their event loop."""
        # A task that still runs, in this thread or another, needs the loop: then it ends with the executor.
        if self._lock.acquire(blocking=False):
            try:
                if not self._running:
                    self.executor.close()
            finally:
                self._lock.release()


def _inside_a_task() -> LifecycleError:
    return LifecycleError(
        "An action on an RDD was called inside a task.",
        detail="A function that runs in tasks refers to an RDD; in worker processes there would be none.",
        hint="Join the two, or collect() the smaller one first and give it to the function by context.broadcast().",
    )

"""The backend of worker processes: many cores of one machine for Python functions."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from millstream.encoding.rows import pack, unpack
from millstream.environment.clock import SystemClock
from millstream.errors import BackendUnavailableError, ConfigurationError, LifecycleError
from millstream.execution.backend import Backend
from millstream.execution.data_numbers import DataNumbers
from millstream.execution.executor import Executor
from millstream.execution.launcher import Launcher
from millstream.execution.messages import BatchForm
from millstream.execution.packed import Fetched, Packed
from millstream.execution.readers import HeldReader, StepReader
from millstream.execution.shipments import Shipments
from millstream.execution.stage_run import StageRun
from millstream.execution.table_tasks import load_tasks
from millstream.execution.task import Task
from millstream.execution.wire import WireClosedError
from millstream.execution.worker_link import WorkerLink
from millstream.execution.worker_place import WorkerPlace
from millstream.model.accumulator import apply_accumulators
from millstream.model.batch import Batch
from millstream.model.partition import PartitionData
from millstream.rdd.operations import Collect, Count
from millstream.state.downtime import Downtime
from millstream.state.state_change import StateChange
from millstream.state.table_format import TableFormat
from millstream.state.table_load import TableLoad

START_TIMEOUT_S = 60.0
"""A worker is ready in about 0.2 s; a machine that swaps or compiles takes longer."""

END_TIMEOUT_S = 2.0
"""How long all workers together may take to end when asked: what the program wants done at exit."""


class ProcessesBackend(Backend):
    """Runs tasks in worker processes, one executor each.

    The workers start at once, beside whatever the program does next; the first tasks wait for them. A program
    needs no `__main__` guard: its functions and classes go to the workers by value. Workers end with the program,
    however that ends.

    A worker that dies is replaced, its state is rebuilt from what the driver keeps of it, and its tasks of the
    stage run again.

    Args:
        workers: how many; None: as many as this process may use cores.
        worker_restarts: how many workers may die within one stage before it is given up.
        start_timeout_s: how long a worker may take to get ready, seconds.

    Raises:
        ConfigurationError: an argument is out of range.

    Example:
        >>> from millstream.execution.readers import HeldReader
        >>> from millstream.execution.task import Pipeline
        >>> from millstream.rdd.operations import Collect
        >>> backend = ProcessesBackend(1)
        >>> backend.run([Task(Pipeline(HeldReader([1, 2]), (), 0), 0, Collect())], None)
        [[1, 2]]
        >>> backend.close()
    """

    def __init__(
        self, workers: int | None = None, *, worker_restarts: int = 3, start_timeout_s: float = START_TIMEOUT_S
    ) -> None:
        count = _cores() if workers is None else workers
        if count < 1:
            raise ConfigurationError(
                "workers must be at least 1.", detail=f"workers={count}.", hint="Leave it out for one a core."
            )
        if worker_restarts < 0:
            raise ConfigurationError(
                "worker_restarts must not be negative.",
                detail=f"worker_restarts={worker_restarts}.",
                hint="Give 0 to fail when the first worker dies.",
            )
        self.default_partitions = count
        self._worker_restarts = worker_restarts
        self._shipments = Shipments()
        self._numbers = DataNumbers()
        self._lock = threading.RLock()
        self._here = Executor()
        launcher = self._launcher = Launcher()
        places = [WorkerPlace(index, count, launcher, start_timeout_s) for index in range(count)]
        self._links = [WorkerLink(place, self._shipments, self._numbers, self._fetch) for place in places]
        # It runs at the exit of the interpreter too, and must not hold the backend.
        self._finalizer = weakref.finalize(self, _end, places, launcher, os.getpid())

    def run(self, tasks: Sequence[Task], batch: Batch | None) -> list[Any]:
        """Run the tasks on the workers."""
        with self._lock:
            self._check_open()
            if not tasks:
                return []
            self._begin_stage()
            if all(map(_needs_no_worker, tasks)):
                return [self._here.run(task, batch) for task in tasks]
            stage = StageRun(self._links, tasks, _form_of(batch), self._worker_restarts)
            answers = stage.run(order_first=bool(self._numbers.only_with_workers()))
            for answer in answers:
                if answer.additions is not None:
                    apply_accumulators(unpack(answer.additions))
            return stage.results()

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise LifecycleError(
                "The workers have been closed.",
                detail="An action or a batch was started after the context had been stopped.",
                hint="Make a new context.",
            )

    def _begin_stage(self) -> None:
        for number in self._numbers.freed():
            for link in self._links:
                link.data_ended(number)
        ended = self._shipments.begin_stage()
        if ended:
            for link in self._links:
                link.objects_ended(ended)

    def _fetch(self, link: WorkerLink, number: int) -> Fetched:
        with self._lock:
            self._check_open()
            for _ in range(1 + self._worker_restarts):
                try:
                    return link.fetch(number)
                except WireClosedError:
                    death = link.place.bury()
                except BaseException:
                    link.place.abandon()
                    raise
            raise BackendUnavailableError(
                "A worker died again and again while it sent data.",
                detail=f"Worker {death.index} (pid {death.pid}) {death.how}.",
                hint="Look for what ends the process in the __reduce__ of the records.",
            )

    def held(self, parts: Sequence[PartitionData]) -> list[PartitionData]:
        """Pack partitions that are to be read again."""
        return [part if type(part) is Packed else Packed.of(part) for part in parts]

    def begin_state(self, batch_ms: int) -> None:
        """Open a version of all state for a batch."""
        with self._lock:
            for link in self._links:
                link.state.roll_back(batch_ms)

    def commit_state(self, batch_ms: int) -> None:
        """Make the version of a batch final; workers learn it with their next tasks."""
        with self._lock:
            for link in self._links:
                link.state.commit(batch_ms)

    def roll_back_state(self, batch_ms: int) -> None:
        """Undo the version of a batch; workers learn it with their next tasks."""
        with self._lock:
            for link in self._links:
                link.state.roll_back(batch_ms)

    def drop_state(self) -> None:
        """Forget all state."""
        with self._lock:
            for link in self._links:
                link.state.drop()

    def persist_state(self, formats: Mapping[str, TableFormat]) -> None:
        """Have workers encode what each batch changes; the driver passes it on without looking inside."""
        packed = pack(dict(formats))
        with self._lock:
            for link in self._links:
                link.state.persist(packed)

    def state_changes(self, batch_ms: int) -> list[StateChange]:
        """Give what came back with the results of a batch's tasks."""
        with self._lock:
            return [change for link in self._links for change in link.state.replicas.changes(batch_ms)]

    def load_state(self, loads: Sequence[TableLoad], done_ms: int) -> None:
        """Have each worker fill its tables, and keep replicas of them."""
        with self._lock:
            tasks = load_tasks(loads)
            snapshots = self.run(tasks, Batch(done_ms))
            for task, snapshot in zip(tasks, snapshots, strict=True):
                reader = task.pipeline.reader
                assert isinstance(reader, StepReader)
                link = self._links[task.partition % len(self._links)]
                link.state.replicas.load(reader.operator_id, task.partition, done_ms, snapshot)

    def note_downtimes(self, downtimes: Sequence[Downtime]) -> None:
        """Say when the program was down; workers learn it with their next tasks."""
        with self._lock:
            for link in self._links:
                link.state.note_downtimes(downtimes)

    def worker_pids(self) -> list[int]:
        """Give the process ids of the workers that are there; waits until those that start are ready."""
        with self._lock:
            self._check_open()
            for link in self._links:
                link.get_ready()
            return [link.place.pid for link in self._links]

    def close(self) -> None:
        """End the workers within a few seconds, whatever they are doing. Safe to call twice."""
        if self._lock.acquire(timeout=END_TIMEOUT_S):
            self._lock.release()
        else:
            # Another thread is in the midst of a stage: it ends with an error once its workers are gone.
            self._launcher.refuse()
            for link in self._links:
                link.place.kill()
        with self._lock:
            self._finalizer()


def _needs_no_worker(task: Task) -> bool:
    """Tell whether a task only counts or hands out data that is here: sending it away would take longer."""
    reader = task.pipeline.reader
    if type(reader) is not HeldReader or task.pipeline.operations:
        return False
    if type(task.end) is Count:
        return True
    is_here = type(reader.data) is not Packed or reader.data.is_fetched
    return is_here and type(task.end) is Collect and task.exchange is None


def _form_of(batch: Batch | None) -> BatchForm | None:
    if batch is None:
        return None
    # Why new tuples: they pickle without asking Python for their class.
    inputs = {
        name: (given.records, given.description, [(*of,) for of in given.ranges])
        for name, given in batch.inputs.items()
    }
    return batch.time_ms, batch.attempt, inputs


def _end(places: Sequence[WorkerPlace], launcher: Launcher, driver_pid: int) -> None:
    if os.getpid() != driver_pid:
        return  # A fork of the driver ends; the workers are not its own.
    clock = SystemClock()
    until_ms = clock.monotonic_ms() + END_TIMEOUT_S * 1000.0
    for place in places:
        place.ask_to_end()
    for place in places:
        place.end(max(0.0, until_ms - clock.monotonic_ms()) / 1000.0)
    launcher.close()


def _cores() -> int:
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

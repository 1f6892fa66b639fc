"""Executors that answer late, run a task twice, or never answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from millstream.execution.executor import Executor
from millstream.execution.readers import HeldReader, MergeReader
from millstream.execution.task import Task
from millstream.execution.threads import ThreadsBackend
from millstream.model.accumulator import drain_accumulators
from millstream.model.batch import Batch
from millstream.rdd.operations import ApplyPartition

if TYPE_CHECKING:
    from millstream.testing.simulation.life import Life

SILENT_MS_MAX = 3_500
"""After how long it is noticed, at most, that an executor gives no answer; some batch times fall due meanwhile."""


class SimulatedExecutors(ThreadsBackend):
    """Runs tasks in this thread, some of them on executors that get lost.

    - `repeated task`: an executor runs tasks and is lost before it answers. Its successor runs them again, in the same
      attempt; what they staged and what they changed in the state the first time is there.
    - `silent task`: an executor runs a part of its tasks and never answers. When that is noticed the attempt fails,
      and the batch is run again under the next attempt; what was staged stays where it is. Sometimes the executor
      lives on, and runs all its tasks later, when nobody waits for them any more.

    Args:
        life: the run of the program that it belongs to.
    """

    def __init__(self, life: Life) -> None:
        super().__init__()
        self._life = life

    def run(self, tasks: Sequence[Task], batch: Batch | None) -> list[Any]:
        if batch is not None and self._life.ssc.state == "active":
            if self._life.fails("silent task"):
                self._go_silent(tasks, batch)
            if tasks and self._life.fails("repeated task"):
                self._run_unheard(tasks[: self._life.rng.randint(1, len(tasks))], batch)
        return super().run(tasks, batch)

    def _go_silent(self, tasks: Sequence[Task], batch: Batch) -> None:
        life = self._life
        self._run_unheard(tasks[: life.rng.randint(0, len(tasks))], batch)
        if life.rng.random() < 0.5:
            life.happen_later(lambda: self._run_late(tasks, batch))
        life.clock.advance(life.rng.uniform(0.0, SILENT_MS_MAX) / 1000.0)
        raise life.no_answer(f"the executor of {len(tasks)} tasks of attempt {batch.attempt} at {batch.time_ms}")

    def _run_unheard(self, tasks: Sequence[Task], batch: Batch) -> None:
        """Run tasks whose results, and what they add to accumulators, never get to the driver."""
        for task in tasks:
            self.executor.run(task, batch)
        drain_accumulators()

    def _run_late(self, tasks: Sequence[Task], batch: Batch) -> None:
        """Have tasks stage what nobody waits for; those that have state lost it with their executor."""
        if self._life.dead:
            return
        for task in tasks:
            if type(task.end) is ApplyPartition and isinstance(task.pipeline.reader, (HeldReader, MergeReader)):
                # Why suppressed: nobody hears what became of it.
                with suppress(Exception):
                    Executor().run(task, batch)
                drain_accumulators()

"""Batches that are done, run once more for their state alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from millstream.control.digests import input_digests
from millstream.control.recovered import Recovered
from millstream.execution.backend import Backend
from millstream.execution.scheduler import Scheduler
from millstream.graph.batch_run import BatchRun
from millstream.graph.graph import Graph
from millstream.graph.inputs import PlannedInput, SourceInput
from millstream.model.accumulator import silent_accumulators
from millstream.model.batch import Batch
from millstream.recovery.decisions import BatchPrepared


class SilentRuns:
    """Runs batches whose outputs have committed, to have their state again.

    Nothing is staged or committed, listeners hear nothing, and what tasks add to accumulators comes to nothing.

    Args:
        graph: the frozen graph.
        backend: where tasks run; its state is as of before the first of them.
        zero_ms: the zero time of the grid.
        compare: told what a batch had prepared, and what it comes to now.
    """

    def __init__(
        self, graph: Graph, backend: Backend, zero_ms: int, compare: Callable[[BatchPrepared, BatchPrepared], None]
    ) -> None:
        self._graph = graph
        self._backend = backend
        self._zero_ms = zero_ms
        self._compare = compare

    def run(self, done: Recovered) -> None:
        """Run one batch; called in order of batch time.

        Raises:
            DataError: it reads other records than it did.
            Exception: whatever a user's function, a source or an executor raised.
        """
        time_ms = done.plan.time_ms
        planned = dict(done.planned)
        for given in self._graph.inputs:
            if isinstance(given, SourceInput):
                planned[given.name] = given.confirmed(planned[given.name])
        inputs = {given.name: given.told(planned[given.name]) for given in self._graph.inputs}
        batch = Batch(time_ms, done.attempt, inputs)
        run = BatchRun(batch, self._zero_ms, planned, Scheduler(self._backend, batch))
        memory = list(self._graph.memory_nodes)
        with silent_accumulators():
            self._backend.begin_state(time_ms)
            for node in memory:
                node.absorb(run)
        if done.prepared is not None:
            self._check_inputs(done.prepared, planned, batch)
        self._backend.commit_state(time_ms)
        for node in memory:
            node.commit(time_ms)
        for given in self._graph.inputs:
            if isinstance(given, SourceInput):
                given.source.reports()  # They were told when the batch ran first.

    def _check_inputs(self, before: BatchPrepared, planned: Mapping[str, PlannedInput], batch: Batch) -> None:
        """Compare what was read; an input that only outputs read, and not the state, is not read now."""
        counts = input_digests(self._graph.inputs, planned, batch.time_ms)
        known = {
            name: digests
            for name, digests in counts.items()
            if all(one.count is not None for one in (*digests, *before.inputs.get(name, ())))
        }
        self._compare(before, BatchPrepared(batch.time_ms, batch.attempt, known, before.state))

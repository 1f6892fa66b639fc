"""The work that instructions about batches ask for: plan, run, commit, finish, undo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from millstream.control.batch_inputs import BatchInputs
from millstream.control.batch_report import BatchReport
from millstream.control.digests import input_digests, take_digests
from millstream.control.durability import Durability
from millstream.control.instructions import PlanBatch
from millstream.control.open_batch import OpenBatch
from millstream.control.recovered import Recovered
from millstream.control.silent_runs import SilentRuns
from millstream.control.state_digest import state_digest
from millstream.environment.clock import Clock
from millstream.environment.logger import logger
from millstream.errors import DataError
from millstream.execution.backend import Backend
from millstream.execution.scheduler import Scheduler
from millstream.graph.batch_run import BatchRun
from millstream.graph.graph import Graph
from millstream.graph.outputs import Output
from millstream.model.batch import Batch
from millstream.model.ports.rate_controller import BatchMeasured
from millstream.model.ports.sink import SinkLineage
from millstream.observe.event_bus import EventBus
from millstream.observe.events import BatchStep
from millstream.recovery.decisions import BatchDone, BatchPlanned, BatchPrepared
from millstream.recovery.journal import Journal


class BatchWork:
    """Performs the instructions about batches, one at a time.

    Args:
        graph: the frozen graph.
        backend: where tasks run.
        journal: where decisions go before they count.
        bus: hears what happens to batches.
        clock: stamps it.
        durability: keeps the program in its checkpoint; None: there is no checkpoint.

    Attributes:
        inputs: what they give to batches.
    """

    def __init__(
        self,
        graph: Graph,
        backend: Backend,
        journal: Journal,
        bus: EventBus,
        clock: Clock,
        durability: Durability | None = None,
    ) -> None:
        self._graph = graph
        self._backend = backend
        self._journal = journal
        self._durability = durability
        self._bus = bus
        self._clock = clock
        self._zero_ms = 0
        self._outputs = {output.name: output for output in graph.outputs}
        self._memory = list(graph.memory_nodes)
        self.inputs = BatchInputs(graph, bus, clock, {} if durability is None else durability.positions)
        self._committed: dict[str, int | None] = {}
        self._works: dict[int, OpenBatch] = {}
        if durability is not None and self._memory:
            take_digests(graph, logs_state=durability.logs_state)

    @property
    def keeps_blocks(self) -> bool:
        """Whether blocks that no batch had survive the process."""
        return self._durability is not None

    def begin(self, zero_ms: int) -> None:
        """Name the zero time of the grid; nothing is planned before."""
        self._zero_ms = zero_ms

    def open(self, lineage_id: str, epoch: int = 0, notes: Mapping[str, Any] | None = None) -> Mapping[str, int | None]:
        """Open sources and outputs; when one cannot be opened, those opened before are closed.

        Args:
            lineage_id: under which the sinks know the program.
            epoch: counts the drivers of the lineage.
            notes: what the sinks of the lineage had noted, by output.

        Returns:
            The newest batch that each output has committed, by its name.
        """
        opened: list[Callable[[], None]] = []
        try:
            self.inputs.open(opened)
            notes = notes or {}
            removed = tuple(note for name, note in notes.items() if name not in self._outputs)
            for output in self._graph.outputs:
                lineage = SinkLineage(lineage_id, output.name, epoch, notes.get(output.name), removed)
                self._committed[output.name] = output.open(lineage)
                opened.append(output.close)
        except BaseException:
            _close(opened)
            raise
        return self._committed

    def notes(self) -> dict[str, Any]:
        """Give what the open outputs have noted, by their names."""
        noted = {output.name: output.note() for output in self._graph.outputs}
        return {name: note for name, note in noted.items() if note is not None}

    def resume(self, recovered: Recovered) -> None:
        """Take over a batch that an earlier driver planned and did not finish."""
        plan = recovered.plan
        work = OpenBatch(plan.start_ms, BatchReport(plan.time_ms, self._bus, self._clock))
        work.planned = dict(recovered.planned)
        work.inputs = plan.inputs
        work.prepared = recovered.prepared
        work.is_resumed = True
        self._works[plan.time_ms] = work
        work.report.submit(work.planned)

    def repeat(self, zero_ms: int) -> None:
        """Run batches again, for their state alone, that an earlier driver finished without keeping what they changed.

        Called once everything is open.

        Args:
            zero_ms: the zero time of the grid.

        Raises:
            DataError: one reads other records than it did.
            Exception: whatever a user's function, a source or an executor raised.
        """
        durability = self._durability
        if durability is not None and durability.repeats:
            durability.repeat(SilentRuns(self._graph, self._backend, zero_ms, durability.divergences.compare).run)

    def plan(self, instruction: PlanBatch) -> Mapping[str, int]:
        """Ask every input what belongs to the batch, and write it to the journal.

        Returns:
            Records by input, as far as known.
        """
        time_ms = instruction.time_ms
        work = self._works.get(time_ms)
        if work is None:
            work = self._works[time_ms] = OpenBatch(instruction.start_ms, BatchReport(time_ms, self._bus, self._clock))
        self.inputs.plan(instruction, work)
        durability = self._durability
        if durability is not None:
            durability.before_plan()
        self._journal.append(BatchPlanned(time_ms, instruction.start_ms, time_ms, work.inputs))
        if durability is not None:
            durability.after_plan()
        self.inputs.go_on_behind(work)
        work.report.submit(work.planned)
        return {name: planned.records for name, planned in work.planned.items() if planned.records is not None}

    def run(self, time_ms: int, attempt: int, outputs: tuple[str, ...]) -> None:
        """Run the tasks of the batch: memory nodes take it in, outputs are staged.

        Raises:
            Exception: whatever a user's function, a sink or an executor raised.
        """
        work = self._works[time_ms]
        work.report.start(attempt)
        work.invalid_before = self.inputs.invalid()
        if attempt:  # It was planned a while ago, perhaps by an earlier driver.
            self.inputs.confirm(work)
        batch = work.batch = Batch(
            time_ms, attempt, {node.name: node.told(work.planned[node.name]) for node in self._graph.inputs}
        )
        work.run = run = BatchRun(batch, self._zero_ms, work.planned, Scheduler(self._backend, batch))
        if self._memory:
            self._backend.begin_state(time_ms)
            for node in self._memory:
                node.absorb(run)
        for name in outputs:
            output = self._outputs[name]
            if (time_ms - self._zero_ms) % output.slide_ms == 0:
                self._stage(output, run, work)
        self._graph.remembered.complete(run, self._graph.nodes)
        self._prepare(work, time_ms, attempt)

    def _prepare(self, work: OpenBatch, time_ms: int, attempt: int) -> None:
        """Journal that the attempt is complete, with what it changed in the state."""
        durability = self._durability
        if durability is None:
            return
        deltas = durability.deltas(time_ms, attempt) if self._memory else []
        inputs = input_digests(self._graph.inputs, work.planned, time_ms)
        outputs = {} if work.run is None else work.run.output_digests
        prepared = BatchPrepared(time_ms, attempt, inputs, state_digest(deltas), outputs)
        if work.prepared is not None:
            committed = any(newest_ms is not None and newest_ms >= time_ms for newest_ms in self._committed.values())
            durability.divergences.compare(work.prepared, prepared, committed=committed)
        if self._memory and durability.logs_state:
            self._journal.append(*deltas, prepared)
        else:
            self._journal.note(prepared)

    def _stage(self, output: Output, run: BatchRun, work: OpenBatch) -> None:
        work.report.start_output(output)
        try:
            work.staged[output.name] = output.stage(run)
        except BaseException as error:
            work.report.fail_output(output, error)
            raise
        work.report.stage_output(output)

    def commit(self, time_ms: int, name: str) -> None:
        """Commit one output; one to which nothing is due in this batch has nothing staged."""
        work = self._works[time_ms]
        if name in work.staged:
            assert work.batch is not None
            output = self._outputs[name]
            work.report.begin_commit(output)
            output.commit(work.batch, work.staged[name])
            work.report.commit_output(output)

    def report_failure(self, time_ms: int, step: BatchStep, error: BaseException, output: str | None = None) -> None:
        """Tell listeners that a step of a batch failed."""
        work = self._works.get(time_ms)
        if work is not None:
            work.error = error
            work.report.fail(step, error, output)

    def skip(self, time_ms: int) -> None:
        """Give a batch up whose last attempt was rolled back; may be repeated when it failed.

        Raises:
            DataError: too many batches were given up already.
        """
        work, durability = self._works[time_ms], self._durability
        assert durability is not None  # Invariant: without a checkpoint no batch is given up.
        blocks = [(name, block) for name, planned in work.planned.items() for block in planned.blocks]
        planned = BatchPlanned(time_ms, work.start_ms, time_ms, work.inputs)
        try:
            durability.skip(planned, blocks, f"{type(work.error).__name__}: {work.error}")
        except DataError as error:
            raise error from work.error
        self._release(work, time_ms)

    def finish(self, time_ms: int) -> BatchMeasured | None:
        """Write the end of the batch, and let go of everything that only it needed; may be repeated when it failed.

        Returns:
            How fast it was; None for a batch that an earlier driver began.
        """
        work = self._works[time_ms]
        self._journal.note(BatchDone(time_ms, {} if self._durability is None else self._durability.learnt(time_ms)))
        if self._memory:
            self._backend.commit_state(time_ms)
            for node in self._memory:
                node.commit(time_ms)
        if work.run is not None:
            self._graph.remembered.add(work.run)
        self.inputs.done(time_ms)
        read = self.inputs.counted_by_reading(work, time_ms)
        work.report.complete(self._outputs, read, self.inputs.invalid_of(work), self.inputs.take_lost())
        self._release(work, time_ms)
        if self._durability is not None and not work.is_resumed:
            self._durability.tell_first(time_ms)
        return None if work.is_resumed else work.report.measured(self._graph.interval_ms, read)

    def _release(self, work: OpenBatch, time_ms: int) -> None:
        """Let go of what only a batch needed that has ended."""
        if self._durability is None or self._durability.logs_state:
            self.inputs.release(time_ms)
        if self._durability is not None:
            self._durability.done(time_ms, [number for plan in work.inputs for number in plan.blocks])
        del self._works[time_ms]

    def roll_back(self, time_ms: int, outputs: tuple[str, ...]) -> None:
        """Undo an attempt: state, windows and staged output."""
        work = self._works[time_ms]
        if self._memory:
            self._backend.roll_back_state(time_ms)
            for node in self._memory:
                node.roll_back(time_ms)
        for name in outputs:
            if name in work.staged:
                assert work.batch is not None
                try:
                    self._outputs[name].discard(work.batch, work.staged.pop(name))
                except Exception:
                    # Why not raised: nobody follows what was staged, and the error of the attempt must not be lost.
                    logger.exception("The output %s could not discard what a failed attempt had staged.", name)

    def close(self, *, in_order: bool) -> None:
        """Close sources and outputs and drop the state; one that raises is logged and does not stop the others.

        Args:
            in_order: the stream ended without an error: a last checkpoint is written, so that the next start is quick.
        """
        closers: list[Callable[[], None]] = []
        if self._durability is not None:
            # Without a state log the live tables are written: what a batch put in that is not done must not be in them.
            closers += [self._undo_open, self._durability.write_checkpoint] if in_order else []
            closers.append(self._durability.close)
        closers += self.inputs.closers()
        if self._memory:
            closers.append(self._backend.drop_state)
        _close([*closers, *(output.close for output in self._graph.outputs)])

    def _undo_open(self) -> None:
        """Undo what batches have changed in the state that the next start runs again."""
        for time_ms in sorted(self._works, reverse=True):
            if self._memory and self._works[time_ms].run is not None:
                self._backend.roll_back_state(time_ms)
                for node in self._memory:
                    node.roll_back(time_ms)


def _close(closers: Iterable[Callable[[], None]]) -> None:
    for close in closers:
        try:
            close()
        except Exception:
            logger.exception("Closing a source, a sink, the state or the checkpoint failed.")

"""What a program with a checkpoint keeps, and what it goes on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from millstream.blocks.block_log import records_of
from millstream.control import program_form
from millstream.control.divergences import Divergences
from millstream.control.logged_blocks import LoggedBlocks
from millstream.control.rate.rate_memory import RateMemory
from millstream.control.recovered import Recovered
from millstream.control.recovery_policies import RecoveryPolicies
from millstream.control.start_progress import StartProgress
from millstream.encoding.codec import encode
from millstream.encoding.rows import Frame
from millstream.environment.environment import Environment
from millstream.environment.logger import logger
from millstream.errors import ConfigurationError, IncompatibleCheckpointError
from millstream.execution.backend import Backend
from millstream.graph.durable_state import DurableState
from millstream.graph.graph import Graph
from millstream.graph.inputs import FeedInput, QueueInput, SourceInput
from millstream.model.ports.block_feed import Block
from millstream.model.ports.rate_controller import RateController
from millstream.observe.event_bus import EventBus
from millstream.observe.events import BatchSkipped as BatchSkippedEvent
from millstream.observe.events import CheckpointFailed, StateRestored
from millstream.observe.events import CheckpointWritten as CheckpointWrittenEvent
from millstream.recovery.checkpoint import Checkpoint
from millstream.recovery.checkpoint_writer import CheckpointWriter
from millstream.recovery.chunk_file import TableChunk
from millstream.recovery.dead_letters import DeadLetter, keep_dead_letter
from millstream.recovery.decisions import (
    BatchPlanned,
    BatchPrepared,
    BatchSkipped,
    CheckpointWritten,
    DriverStarted,
    SinksOpened,
    StateDelta,
)
from millstream.recovery.matching import match_tables
from millstream.state.table_identity import TableIdentity


class Durability:
    """Keeps a running program in its checkpoint, and brings back what an earlier driver left there.

    The driver's thread alone calls it.

    Args:
        graph: the frozen graph.
        backend: where state lives.
        checkpoint: open, and held by this driver.
        environment: clock and threads.
        bus: hears of checkpoints.
        interval_ms: pause between checkpoints.
        policies: what to do about state that no operator claims, and about batches that come out differently.
        progress: told how far the start has come.

    Attributes:
        recovered: the batch that was left undone, or None.
        divergences: compares batches that run again with what they were.
    """

    def __init__(
        self,
        graph: Graph,
        backend: Backend,
        checkpoint: Checkpoint,
        environment: Environment,
        bus: EventBus,
        *,
        interval_ms: int,
        policies: RecoveryPolicies,
        progress: StartProgress | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self._progress = progress if progress is not None else StartProgress(environment.clock)
        self._waits_for_first = False
        self.journal = checkpoint.journal
        self._graph = graph
        self._clock = environment.clock
        self._bus = bus
        self._policies = policies
        self._state = DurableState(graph, backend)
        self.divergences = Divergences(policies, bus)
        snapshot = None if self.logs_state else self._snapshot
        self._writer = CheckpointWriter(
            checkpoint, environment, interval_ms, self._tell_written, self._tell_failed, snapshot
        )
        self._settled: list[int] = []
        # With state_log=False: the blocks of batches that run again as long as an older checkpoint may be needed.
        self._kept: dict[int, list[int]] = {}
        self.recovered: Recovered | None = None
        self._logged: LoggedBlocks | None = None
        self._to_repeat: list[tuple[BatchPlanned, BatchPrepared | None]] = []
        self._rates = RateMemory({}, {})

    @property
    def logs_state(self) -> bool:
        """Whether batches journal what they change in the state."""
        return self._policies.state_log or not self._state.tables

    @property
    def repeats(self) -> bool:
        """Whether there are batches to be run again for their state alone."""
        return bool(self._to_repeat)

    @property
    def blocks(self) -> Mapping[str, Sequence[Block]]:
        """Blocks that no batch had, by input, oldest first."""
        return {} if self._logged is None else self._logged.unplanned

    @property
    def epoch(self) -> int:
        """Counts the drivers of the lineage."""
        return self.journal.history.epoch

    @property
    def planned_ms(self) -> int | None:
        """The newest batch that an earlier driver planned, or None."""
        return self.journal.history.planned_ms

    @property
    def positions(self) -> Mapping[str, Any]:
        """Where each replayable input goes on."""
        return self.journal.history.positions

    @property
    def sink_lineage_id(self) -> str:
        """Under which the sinks know the program."""
        return self.checkpoint.identity.sink_lineage_id

    @property
    def sink_notes(self) -> Mapping[str, Any]:
        """What the sinks had noted when they were last opened, by output."""
        sinks = self.journal.history.sinks
        notes: Mapping[str, Any] = sinks.get("notes", {}) if sinks.get("lineage_id") == self.sink_lineage_id else {}
        return notes

    def remember_rates(self, controllers: Mapping[str, RateController]) -> None:
        """Have the rate controllers go on from what those of earlier drivers had learnt, and keep what these learn."""
        self._rates = RateMemory(controllers, self.journal.history.rates)

    def learnt(self, time_ms: int) -> Mapping[str, Any]:
        """Give what is to be kept of the rate controllers with a batch that is done."""
        return self._rates.newest(time_ms)

    def take_over(self) -> None:
        """Claim the checkpoint, load its state, and find what is left to be done.

        Raises:
            IncompatibleCheckpointError: the program does not fit to what is stored.
            CorruptSegmentError: the checkpoint is damaged.
            StorageUnavailableError: the storage does not answer.
        """
        began_ms = self._clock.monotonic_ms()
        for node in self._graph.inputs:
            if isinstance(node, QueueInput):
                raise _queue_refused(node.name, node.label.site)
        history = self.journal.history
        stored_program = history.program
        # Only inputs that keep their records while no driver runs have a backlog, behind which no key grows idle.
        keeps = any(isinstance(node, SourceInput) for node in self._graph.inputs)
        program = program_form.described(self._graph, self._state.tables, state_log=self.logs_state)
        started = DriverStarted(
            history.epoch + 1, round(self._clock.wall_ms()), history.planned_ms if keeps else None, program
        )
        if self.logs_state:
            self._state.begin()
        self._to_repeat = history.to_repeat
        state_ms = history.state_ms
        if stored_program is not None:
            self._progress.tell("reading state", 0)
            self._load(stored_program)
        self._progress.tell("reading blocks", 0)
        self._logged = self._find_blocks()
        if state_ms is not None and program_form.form(stored_program) != program_form.form(started.program):
            self.journal.append(self._writer.rewrite(self._snapshot(state_ms), started.program), started)
            self._settle_kept()
        else:
            self.journal.append(started)
        if history.undone is not None:
            self._claim_undone(history.undone, history.prepared, self._logged)
        if stored_program is not None:
            self._waits_for_first = True
            spent_ms = self._clock.monotonic_ms() - began_ms
            logger.info("Went on from %s in %.2f s.", self.checkpoint.storage.place, spent_ms / 1000.0)
            if StateRestored in self._bus.heard:
                self._bus.post(StateRestored(history.done_ms, history.epoch, spent_ms))

    def _snapshot(self, time_ms: int) -> list[TableChunk]:
        """Give the whole state, as of the newest batch in it."""
        changes = self._state.snapshots(time_ms)
        return [TableChunk(change.table, change.partition, change.data) for change in changes]

    def repeat(self, run: Callable[[Recovered], None]) -> None:
        """Have batches run again that are done and whose state was not kept; then keep it.

        Args:
            run: runs one batch for its state alone.
        """
        logged, undone = self._logged, self.journal.history.undone
        assert logged is not None  # Invariant: the checkpoint was taken over.
        began_ms = self._clock.monotonic_ms()
        self._state.note_downtimes(self.journal.history.downtimes)
        for number, (plan, prepared) in enumerate(self._to_repeat):
            self._progress.tell("replaying batches", number, len(self._to_repeat))
            run(Recovered(plan, logged.planned_inputs(plan), prepared, plan.attempt))
        spent_ms = self._clock.monotonic_ms() - began_ms
        logger.info("Ran %d batches again for their state in %.2f s.", len(self._to_repeat), spent_ms / 1000.0)
        self._to_repeat = []
        logged.forget_all_but(() if undone is None else (undone,))
        # So that a program that crashes again and again does not run more and more of them.
        done_ms = self.journal.history.done_ms
        assert done_ms is not None  # Invariant: those were done.
        self._writer.write_whole(self._snapshot(done_ms))

    def _load(self, program: Mapping[str, Any]) -> None:
        """Fill the state with what the checkpoint holds, matched with the operators of this program."""
        history = self.journal.history
        stored = {table["table"]: TableIdentity(**table) for table in program["tables"]}
        matching = match_tables(tuple(stored.values()), self._state.tables, self._policies.on_unmatched)
        chunks: dict[str, dict[int, list[Frame]]] = {}
        for chunk in self.checkpoint.chunks(lambda read, of: self._progress.tell("reading state", read, of)):
            chunks.setdefault(chunk.table, {}).setdefault(chunk.partition, []).append(chunk.data)
        self._progress.tell("filling state", 0)
        self._state.load(
            {
                table: [chunks[was].get(partition, []) for partition in range(stored[was].partitions)]
                for table, was in matching.pairs.items()
                if was in chunks
            },
            history.state_ms,
            stored={table: stored[was] for table, was in matching.pairs.items()},
        )

    def _find_blocks(self) -> LoggedBlocks:
        history = self.journal.history
        again = [plan for plan, _ in self._to_repeat]
        if history.undone is not None:
            again.append(history.undone)
        self._kept = {
            plan.time_ms: [number for given in plan.inputs for number in given.blocks] for plan, _ in history.unlogged
        }
        return LoggedBlocks(self._graph, self.checkpoint, again, chain.from_iterable(self._kept.values()))

    def _claim_undone(self, plan: BatchPlanned, prepared: BatchPrepared | None, logged: LoggedBlocks) -> None:
        attempt = max(plan.attempt, -1 if prepared is None else prepared.attempt) + 1
        again = BatchPlanned(plan.time_ms, plan.start_ms, plan.end_ms, plan.inputs, attempt)
        self.journal.append(again)
        self.recovered = Recovered(again, logged.planned_inputs(plan), prepared, attempt)

    def sinks_opened(self, committed: Mapping[str, int | None], notes: Mapping[str, Any], begin_ms: int) -> None:
        """Journal what the sinks say, and refuse one that knows more than the journal; a downtime ends here.

        Args:
            committed: the newest batch that each output has committed.
            notes: what sinks have noted for later drivers, by output.
            begin_ms: the last time of the grid; the first batch that is new is due an interval later.

        Raises:
            IncompatibleCheckpointError: a sink is ahead of the newest planned batch.
        """
        planned_ms = self.planned_ms
        for output, newest_ms in committed.items():
            if newest_ms is not None and (planned_ms is None or newest_ms > planned_ms):
                raise IncompatibleCheckpointError(
                    "A sink has committed a batch that the checkpoint does not know.",
                    detail=f"The output {output} has committed {newest_ms}; the newest batch planned in "
                    f"{self.checkpoint.storage.place} is {planned_ms}.",
                    hint="This checkpoint is an old copy, or not the one that the sink was written with: give the "
                    "right checkpoint=, or the output another name= to begin anew.",
                )
            if newest_ms is not None and newest_ms == self.journal.history.skipped_ms:
                what, detail = "was skipped, but a sink has committed it", f"The output {output} has committed it."
                self.divergences.report(newest_ms, what, detail, "on_divergence")
        said = SinksOpened(round(self._clock.wall_ms()), dict(committed), begin_ms, self.sink_lineage_id, dict(notes))
        self.journal.append(said)
        if downtimes := self.journal.history.downtimes:
            self._state.note_downtimes(downtimes)

    def persist_feeds(self) -> None:
        """Tell every feed that its blocks have to be durable before they are acknowledged."""
        positions = {} if self._logged is None else self._logged.positions
        for node in self._graph.inputs:
            if isinstance(node, FeedInput):
                node.feed.persist(node.name, self.checkpoint.blocks, positions.get(node.name))

    def number(self, name: str, block: Block) -> int:
        """Give the id of a block, which is written to the write-ahead log when it is not there yet."""
        return block.number if block.number is not None else self.checkpoint.blocks.write(name, block)

    def before_plan(self) -> None:
        """Make the blocks durable that were taken; the plan that names them follows.

        Raises:
            FencedError: another driver has the checkpoint now.
        """
        self.checkpoint.lock.check()
        self.checkpoint.blocks.sync()

    def after_plan(self) -> None:
        """Let go of blocks whose batches are done: this is durable since the plan of the next one is."""
        if self._settled:
            lowest = self.checkpoint.blocks.settle(self._settled)
            self.journal.history.blocks.raise_floor(lowest)
            self._settled = []

    def deltas(self, time_ms: int, attempt: int) -> list[StateDelta]:
        """Give what an attempt changed in every table; nothing without a state log."""
        if not self.logs_state:
            return []
        return [
            StateDelta(time_ms, attempt, change.table, change.partition, change.data)
            for change in self._state.changes(time_ms)
        ]

    def skip(self, planned: BatchPlanned, blocks: Sequence[tuple[str, Block]], error: str) -> None:
        """Give a batch up for good, and keep what it had read.

        Args:
            planned: its inputs.
            blocks: its blocks, each with the name of its input.
            error: why.

        Raises:
            DataError: too many batches were given up already.
        """
        kept = tuple((name, encode(records_of(block))) for name, block in blocks)
        letter = DeadLetter(planned, error, kept)
        name = keep_dead_letter(self.checkpoint.storage, letter, self._policies.dead_letter_limit)
        self.journal.append(BatchSkipped(planned.time_ms, error, name))
        logger.error("The batch %d was given up: %s", planned.time_ms, error)
        if BatchSkippedEvent in self._bus.heard:
            place = f"{self.checkpoint.storage.place}/{name}"
            self._bus.post(BatchSkippedEvent(planned.time_ms, self._clock.wall_ms(), error, place))

    def tell_first(self, time_ms: int) -> None:
        """A new batch is done; the first one after a start says how long that took."""
        if self._waits_for_first:
            self._waits_for_first = False
            logger.info(
                "The first new batch, %d, was done %.2f s after the start: %s.",
                time_ms,
                self._progress.spent_ms / 1000.0,
                self._progress.summary,
            )

    def done(self, time_ms: int, numbers: Sequence[int]) -> None:
        """A batch is done and noted so; these were its blocks."""
        if self.logs_state:
            self._settled.extend(numbers)
        else:
            self._kept[time_ms] = list(numbers)
        self._writer.batch_done()

    def write_checkpoint(self) -> None:
        """Write a checkpoint now, such as the last one of a program that ends in order."""
        self._writer.write()

    def close(self) -> None:
        """Let go of the checkpoint."""
        self._writer.close()
        self.checkpoint.close()

    def _settle_kept(self) -> None:
        """Let go of the blocks of batches that no checkpoint that is kept needs run again."""
        oldest_ms = self.journal.history.checkpoints[0].time_ms
        for time_ms in [time_ms for time_ms in self._kept if time_ms <= oldest_ms]:
            self._settled.extend(self._kept.pop(time_ms))

    def _tell_written(self, written: CheckpointWritten) -> None:
        self._settle_kept()
        if CheckpointWrittenEvent in self._bus.heard:
            self._bus.post(
                CheckpointWrittenEvent(
                    written.time_ms, self._clock.wall_ms(), written.size_bytes, self.checkpoint.size_bytes
                )
            )

    def _tell_failed(self, error: BaseException) -> None:
        if CheckpointFailed in self._bus.heard:
            self._bus.post(CheckpointFailed(self._clock.wall_ms(), f"{type(error).__name__}: {error}"))


def _queue_refused(name: str, site: str | None) -> ConfigurationError:
    return ConfigurationError(
        "A stream of a queue cannot be recovered.",
        detail=f"The input {name} was made at {site}; what is in its queue ends with the process.",
        hint="Use memory_stream, a file or another source, or run without checkpoint=.",
    )

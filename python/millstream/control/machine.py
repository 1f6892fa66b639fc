"""The control machine: facts in, instructions out."""

from __future__ import annotations

from enum import Enum
from typing import assert_never

from millstream.control.admission import Admission
from millstream.control.batches import Batches
from millstream.control.facts import (
    BatchDue,
    BatchFailed,
    BatchFinished,
    BatchPlanned,
    BatchPrepared,
    BatchSkipped,
    BlockStored,
    CommitFailed,
    Fact,
    FinishFailed,
    OutputCommitted,
    PlanFailed,
    ProgramStarted,
    RateMeasured,
    ReceiverFact,
    ReceiverFailed,
    ReceiverRestartDue,
    ReceiversStopped,
    ReceiverStarted,
    ReceiverStopped,
    RetryDue,
    SkipFailed,
    StopRequested,
    StopTimedOut,
)
from millstream.control.failure import Failure
from millstream.control.grid import BatchGrid
from millstream.control.instructions import Instruction, Left, StopReceivers, StopStream
from millstream.control.rates import Rates
from millstream.control.receivers import Receivers
from millstream.control.retries import Backoff, RetryPolicy
from millstream.control.unplanned_blocks import UnplannedBlocks
from millstream.errors import InternalError, UserCodeError


class Mode(Enum):
    """How far the stream is from its end."""

    NEW = "not started"
    RUNNING = "running"
    STOPPING_RECEIVERS = "stopping gracefully: receivers are ending"
    AWAITING_LAST_DUE = "stopping gracefully: receivers have ended, the last batch time is awaited"
    FLUSHING = "stopping gracefully: the last batches are processed"
    HALTING = "stopping: the batch in flight is finished"
    STOPPED = "stopped"


class Machine:
    """Decides everything about batches; does nothing itself.

    `handle` is called with one fact after another, from one thread. It takes no time worth mentioning, never
    blocks, and its memory does not grow with the number of batches. One batch runs at a time; batches run and
    commit in order of batch time.

    After an InternalError the state can no longer be trusted: end the stream with that error.

    Example:
        >>> from millstream.control.facts import InputSpec
        >>> machine = Machine()
        >>> machine.handle(ProgramStarted(1_000, 0, (InputSpec("lines", "receiver"),), ("print",)))
        (StartReceiver(input='lines'),)
        >>> machine.handle(BlockStored("lines", block_id=1, batch_ms=1_000, records=5))
        ()
        >>> machine.handle(BatchDue(1_000))
        (PlanBatch(time_ms=1000, start_ms=0, blocks={'lines': (1,)}),)
        >>> machine.handle(BatchPlanned(1_000, {"lines": 5}))
        (RunBatch(time_ms=1000, attempt=0, outputs=('print',)),)
    """

    __slots__ = (
        "_admission",
        "_batches",
        "_blocks",
        "_failure",
        "_mode",
        "_rates",
        "_receivers",
        "_receivers_told_to_stop",
        "_skip_failed",
    )

    _admission: Admission
    _batches: Batches
    _blocks: UnplannedBlocks
    _rates: Rates
    _receivers: Receivers

    def __init__(self) -> None:
        self._mode = Mode.NEW
        self._failure: Failure | None = None
        self._receivers_told_to_stop = False
        self._skip_failed = False

    @property
    def mode(self) -> Mode:
        """How far the stream is from its end; for people and tests, not for decisions elsewhere."""
        return self._mode

    def handle(self, fact: Fact) -> tuple[Instruction, ...]:
        """Take in one fact and give what has to be done now, in this order.

        By rule some facts change nothing, because they may come late: about batches that ended and earlier attempts;
        batch times that were planned already, or that come when the last one is fixed; about receivers when the
        stream has begun to stop; a stop that is no more urgent than the one under way; all after StopStream.

        Raises:
            InternalError: the fact is impossible in this state; it names both.
        """
        try:
            return self._react(fact)
        except InternalError as error:
            error.detail = f"Fact: {fact!r}. State: {self}."
            error.hint = "Please report this as a bug of millstream, with the lines above."
            raise

    def _react(self, fact: Fact) -> tuple[Instruction, ...]:
        if self._mode is Mode.STOPPED:
            return ()
        if self._mode is Mode.NEW:
            return self._start(fact)
        match fact:
            case BlockStored():
                return self._store_block(fact)
            case BatchDue():
                return self._note_due(fact)
            case BatchPlanned():
                run = self._batches.planned(fact)
                return () if run is None else self._stop() if self._mode is Mode.HALTING else (run,)
            case BatchPrepared():
                return _given(self._batches.prepared(fact))
            case OutputCommitted():
                return _given(self._batches.committed(fact))
            case BatchFinished():
                return self._go_on() if self._batches.finished(fact) else ()
            case RateMeasured():
                return self._measure(fact)
            case BatchSkipped():
                return self._go_on() if self._batches.skipped(fact) else ()
            case PlanFailed() | BatchFailed() | CommitFailed() | FinishFailed() | SkipFailed():
                return self._fail_step(fact)
            case RetryDue():
                return _given(self._batches.retry_due(fact))
            case ReceiverStarted() | ReceiverFailed() | ReceiverStopped() | ReceiverRestartDue():
                return self._follow_receiver(fact)
            case StopRequested():
                return self._request_stop(fact)
            case ReceiversStopped():
                return self._note_receivers_stopped()
            case StopTimedOut():
                if self._mode is Mode.RUNNING:
                    raise InternalError("Nobody asked the stream to stop.")
                return self._stop()
            case ProgramStarted():
                raise InternalError("The stream was started twice.")
            case _:
                assert_never(fact)

    def _start(self, fact: Fact) -> tuple[Instruction, ...]:
        if not isinstance(fact, ProgramStarted):
            raise InternalError("The stream was not started.")
        names = [spec.name for spec in fact.inputs if spec.kind == "receiver"]
        grid = BatchGrid(fact.interval_ms, fact.zero_time_ms, fact.slides_ms, fact.max_queued_batches)
        policy = RetryPolicy(fact.batch_retries, Backoff(fact.retry_initial_ms, fact.retry_max_ms))
        self._admission = Admission(grid, fact.max_queued_batches, fact.planned_ms)
        self._batches = Batches(fact.outputs, policy, self._admission.planned_ms)
        self._blocks = UnplannedBlocks(names)
        self._receivers = Receivers(names, Backoff(fact.receiver_restart_initial_ms, fact.receiver_restart_max_ms))
        self._skip_failed = fact.skip_failed
        self._rates = Rates(fact.rate_controllers, frozenset(spec.name for spec in fact.inputs if spec.unhurried))
        self._mode = Mode.RUNNING
        try:
            limits = self._rates.start(fact.interval_ms)
        except UserCodeError as error:
            self._failure = Failure.of(error)
            return self._stop()
        unfinished = () if fact.unfinished is None else (self._batches.resume(fact.unfinished),)
        return (*limits, *self._receivers.start(), *unfinished)

    def _store_block(self, fact: BlockStored) -> tuple[Instruction, ...]:
        self._admission.grid.check(fact.batch_ms)
        self._blocks.store(fact)
        self._receivers.note_block(fact.input)
        return ()

    def _note_due(self, fact: BatchDue) -> tuple[Instruction, ...]:
        admission = self._admission
        admission.grid.check(fact.time_ms)
        if self._mode is Mode.RUNNING:
            admission.note_due(fact.time_ms)
            return self._go_on() + admission.hold()
        if self._mode is Mode.STOPPING_RECEIVERS:
            admission.note_due(fact.time_ms)
            return self._go_on()
        if self._mode is Mode.AWAITING_LAST_DUE:
            self._mode = Mode.FLUSHING
            newest_ms = self._blocks.newest_ms
            if newest_ms is not None or admission.is_waiting:
                admission.note_due(fact.time_ms if newest_ms is None else max(fact.time_ms, newest_ms))
            return self._go_on()
        return ()  # The last batch time is fixed, or no batch is planned any more.

    def _go_on(self) -> tuple[Instruction, ...]:
        """Plan the next batch, or stop, when no batch is in flight."""
        if self._batches:
            return ()
        if self._mode is Mode.HALTING:
            return self._stop()
        if self._mode is Mode.FLUSHING and not self._admission.is_waiting:
            newest_ms = self._blocks.newest_ms
            if newest_ms is None:
                return self._stop()
            # A clock that went backwards, or a block that came after the last batch time: one more batch, no loss.
            self._admission.note_due(max(newest_ms, self._admission.planned_ms + self._admission.grid.interval_ms))
        return self._plan() if self._admission.is_waiting else ()

    def _plan(self) -> tuple[Instruction, ...]:
        start_ms = self._admission.planned_ms
        time_ms, before = self._admission.take_next()
        return (*before, self._batches.plan(time_ms, start_ms, self._blocks.take(time_ms)))

    def _measure(self, fact: RateMeasured) -> tuple[Instruction, ...]:
        if self._mode is not Mode.RUNNING:
            return ()
        try:
            limits = self._rates.measure(fact.batch)
        except UserCodeError as error:
            self._failure = self._failure or Failure.of(error)
            return self._halt()
        return self._admission.hold_after(fact.batch.batches_waiting) + limits

    def _fail_step(
        self, fact: PlanFailed | BatchFailed | CommitFailed | FinishFailed | SkipFailed
    ) -> tuple[Instruction, ...]:
        life = self._batches.failing(fact)
        if life is None:
            return ()
        # Why no rollback after CommitFailed: the sink may have committed all the same, and data that it has made
        # visible must not be discarded. Recovery asks the sink.
        undo: tuple[Instruction, ...] = (self._batches.roll_back(life),) if isinstance(fact, BatchFailed) else ()
        if self._mode is Mode.HALTING:
            return undo + self._stop()
        retry = self._batches.retry(life)
        if retry is not None:
            return (*undo, retry)
        # Only what the user's code does with the records: an outage would have every batch given up.
        if self._skip_failed and isinstance(fact, BatchFailed) and fact.failure.kind == "user":
            skip = self._batches.skip(life)
            if skip is not None:
                return (*undo, skip)
        self._failure = self._failure or fact.failure
        return undo + self._stop()

    def _follow_receiver(self, fact: ReceiverFact) -> tuple[Instruction, ...]:
        final = fact.failure if isinstance(fact, ReceiverFailed) and fact.failure.kind == "final" else None
        if self._mode is Mode.RUNNING and final is None:
            return self._receivers.handle(fact)
        self._receivers.check(fact.input)
        if final is None or self._mode is Mode.HALTING:
            return ()
        # A receiver that can never work again fails the stream; a graceful stop first processes what it received.
        self._failure = self._failure or final
        return self._halt() if self._mode is Mode.RUNNING else ()

    def _request_stop(self, fact: StopRequested) -> tuple[Instruction, ...]:
        if not fact.graceful:
            return self._halt()
        if self._mode is not Mode.RUNNING:
            return ()
        self._mode = Mode.STOPPING_RECEIVERS
        return self._stop_receivers()

    def _note_receivers_stopped(self) -> tuple[Instruction, ...]:
        if self._mode is Mode.STOPPING_RECEIVERS:
            self._mode = Mode.AWAITING_LAST_DUE
        elif self._mode is not Mode.HALTING:
            raise InternalError("The receivers were not told to stop, or have stopped already.")
        return ()

    def _halt(self) -> tuple[Instruction, ...]:
        """Plan no more, and stop as soon as nothing is being done for a batch."""
        self._mode = Mode.HALTING
        return self._stop() if self._batches.all_pausing else self._stop_receivers()

    def _stop(self) -> tuple[Instruction, ...]:
        left = self._left()
        self._mode = Mode.STOPPED
        return (*self._stop_receivers(), StopStream(self._failure, left))

    def _stop_receivers(self) -> tuple[Instruction, ...]:
        if self._receivers_told_to_stop:
            return ()
        self._receivers_told_to_stop = True
        return (StopReceivers(),)

    def _left(self) -> Left:
        records: dict[str, int] = {}
        stored = [self._blocks.left()]
        for life in self._batches:
            if life.records is None:
                stored.append(life.blocks)
            else:
                for name, count in life.records.items():
                    records[name] = records.get(name, 0) + count
        for blocks_by_input in stored:
            for name, blocks in blocks_by_input.items():
                records[name] = records.get(name, 0) + sum(block.records for block in blocks.values())
        oldest = next(iter(self._batches), None)
        return Left(
            batch_times_ms=tuple(life.time_ms for life in self._batches),
            records={name: count for name, count in records.items() if count},
            failure=None if oldest is None else oldest.failure,
        )

    def __str__(self) -> str:
        if self._mode is Mode.NEW:
            return str(Mode.NEW.value)
        return (
            f"{self._mode.value}, planned until {self._admission.planned_ms}, due until {self._admission.due_ms}, "
            f"batches in flight: {self._batches}, receivers: {self._receivers}"
        )


def _given(instruction: Instruction | None) -> tuple[Instruction, ...]:
    return () if instruction is None else (instruction,)

"""The driver: tells the machine what happened and performs what it says."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from millstream.control.batch_work import BatchWork
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
    ReceiverRestartDue,
    ReceiversStopped,
    RetryDue,
    SkipFailed,
    StopRequested,
    StopTimedOut,
)
from millstream.control.failure import Failure
from millstream.control.instructions import (
    CommitOutput,
    FinishBatch,
    HoldInputs,
    Instruction,
    PlanBatch,
    ReportSkipped,
    RestartReceiver,
    ResumeInputs,
    RollBackBatch,
    RunBatch,
    ScheduleRetry,
    SetRate,
    SkipBatch,
    StartReceiver,
    StopReceivers,
    StopStream,
)
from millstream.control.machine import Machine
from millstream.control.receiver_work import ReceiverWork
from millstream.control.whereabouts import note_whereabouts
from millstream.environment.environment import Environment
from millstream.environment.logger import logger
from millstream.environment.loop import Loop
from millstream.environment.process_tuning import ProcessTuning
from millstream.environment.steady_clock import SteadyClock
from millstream.errors import MillstreamError
from millstream.model.batch import Batch
from millstream.model.ports.block_feed import Block
from millstream.observe.event_bus import EventBus
from millstream.observe.events import (
    BatchStep,
    BatchTimesMerged,
    InputsHeld,
    RateChanged,
    StreamingStarted,
    StreamingStopped,
)


class Driver:
    """Runs one stream, in a loop of its own.

    Args:
        program: the configuration, the machine's first fact.
        batches: performs what is said about batches.
        receivers: performs what is said about receivers.
        bus: hears what happens.
        environment: gives the loop.
        tuning: the tuning of the process, applied; put back at the end. None: the process is left alone.
        stream: the name of the stream, for errors.
        clock: the time by which batches are made.
        begin_ms: the last time of the grid before the start; the first batch is due after it.
        left_blocks: blocks of the write-ahead log that no batch had, with the facts that tell of them.
    """

    def __init__(
        self,
        program: ProgramStarted,
        batches: BatchWork,
        receivers: ReceiverWork,
        bus: EventBus,
        environment: Environment,
        tuning: ProcessTuning | None,
        stream: str,
        clock: SteadyClock,
        begin_ms: int,
        left_blocks: Iterable[tuple[BlockStored, Block]] = (),
    ) -> None:
        self._program = program
        self._batches = batches
        self._receivers = receivers
        self._bus = bus
        self._environment = environment
        self._clock = clock
        self._tuning = tuning
        self._stream = stream
        self._machine = Machine()
        self._posted: deque[Fact] = deque()
        self._timers: list[tuple[float, int, Fact]] = []
        self._numbers = itertools.count()
        self._next_due_ms = begin_ms + program.interval_ms
        self._left_blocks = left_blocks
        self._loop: Loop | None = None
        self._stop_by_ms = math.inf
        self._newest_failure: tuple[BatchStep, BaseException] | None = None
        self._finished_batch = False
        self._calls_at_end: list[Callable[[], None]] = []
        self._end_lock = threading.Lock()
        self.ended = threading.Event()
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start the loop."""
        if StreamingStarted in self._bus.heard:
            self._bus.post(StreamingStarted(self._clock.wall_ms(), self._program.interval_ms))
        self._posted.append(self._program)
        for fact, block in self._left_blocks:
            self._batches.inputs.hold(fact.input, fact.block_id, block)
            self._posted.append(fact)
        self._left_blocks = ()
        self._receivers.connect(self.post)
        self._loop = self._environment.drive("millstream-driver", self._step)

    def post(self, fact: Fact) -> None:
        """Tell the machine something, soon; safe from any thread."""
        self._posted.append(fact)
        if self._loop is not None:
            self._loop.wake()

    def stop(self, *, graceful: bool, timeout_s: float | None) -> bool:
        """Ask the stream to end and wait for it.

        Returns:
            False when the time ran out first, or when called from the loop itself, which cannot wait for its own end.
        """
        if graceful and not self.ended.is_set():
            waits = "its receivers, and the batches of what they received"
            logger.info("The stream %s stops: it waits for %s.", self._stream, waits)
        self.post(StopRequested(graceful))
        if timeout_s is not None:
            # Only after the request: the machine takes a time-out as the end of a stop that it knows of.
            self._stop_by_ms = self._clock.wall_ms() + timeout_s * 1000.0
        assert self._loop is not None
        return self._loop.join(None if timeout_s is None else timeout_s + _STOP_GRACE_S)

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until the stream has ended."""
        return self.ended.wait(timeout_s)

    def call_at_end(self, call: Callable[[], None]) -> None:
        """Have `call` called once when the stream has ended, in the loop; at once when it has."""
        with self._end_lock:
            if not self.ended.is_set():
                self._calls_at_end.append(call)
                return
        call()

    def forget_call(self, call: Callable[[], None]) -> None:
        """Have nothing called at the end after all."""
        with self._end_lock:
            if call in self._calls_at_end:
                self._calls_at_end.remove(call)

    def _step(self) -> float | None:
        try:
            return self._advance()
        except BaseException as error:  # The loop's last line of defence: nobody else would hear of it.
            logger.exception("The driver failed.")
            self._end(error, {})
            return None

    def _advance(self) -> float | None:
        self._take_facts()
        if self.ended.is_set():
            return None
        now_ms = self._clock.wall_ms()
        while self._timers and self._timers[0][0] <= now_ms:
            self._handle(heapq.heappop(self._timers)[2])
        if now_ms >= self._stop_by_ms:
            self._stop_by_ms = math.inf
            self._take_facts()
            self._handle(StopTimedOut())
        elif now_ms >= self._next_due_ms:
            self._tick(now_ms)
        self._take_facts()
        if self.ended.is_set():
            return None
        wake_ms = min(self._next_due_ms, self._stop_by_ms, self._timers[0][0] if self._timers else math.inf)
        if self._finished_batch and self._tuning is not None:
            self._finished_batch = False
            self._tuning.idle(wake_ms - self._clock.wall_ms())
        return self._clock.machine_ms(wake_ms)

    def _tick(self, now_ms: float) -> None:
        interval_ms = self._program.interval_ms
        elapsed = math.floor((now_ms - self._program.zero_time_ms) / interval_ms)
        due_ms = self._program.zero_time_ms + elapsed * interval_ms
        self._next_due_ms = due_ms + interval_ms
        self._store_blocks(due_ms)
        self._handle(BatchDue(due_ms))

    def _store_blocks(self, until_ms: int) -> None:
        for fact, block in self._receivers.take(until_ms):
            self._batches.inputs.hold(fact.input, fact.block_id, block)
            self._handle(fact)

    def _take_facts(self) -> None:
        posted = self._posted
        while posted:
            self._handle(posted.popleft())
            if self._receivers.all_ended and not self.ended.is_set():
                self._after_receivers()

    def _after_receivers(self) -> None:
        """Make what the receivers left the last batch."""
        self._receivers.all_ended = False
        # Why not simply the next due time: a batch that ran meanwhile may have made it a time of the past, and what
        # came in since belongs to a later one.
        intervals = max(0, math.ceil((self._clock.wall_ms() - self._next_due_ms) / self._program.interval_ms))
        last_ms = self._next_due_ms + intervals * self._program.interval_ms
        self._store_blocks(last_ms)
        self._handle(ReceiversStopped())
        self._handle(BatchDue(last_ms))

    def _handle(self, fact: Fact) -> None:
        """Tell the machine a fact, and go on with the answers to what it says until it says nothing more."""
        answers: deque[Fact] = deque((fact,))
        while answers:
            for instruction in self._machine.handle(answers.popleft()):
                answer = self._perform(instruction)
                if answer is not None:
                    answers.append(answer)

    def _perform(self, instruction: Instruction) -> Fact | None:
        perform = self._PERFORM[type(instruction)]
        return perform(self, instruction)

    def _plan(self, instruction: PlanBatch) -> Fact:
        time_ms = instruction.time_ms
        try:
            records = self._batches.plan(instruction)
        except Exception as error:
            return PlanFailed(time_ms, self._failed("plan", time_ms, error))
        self._batches.inputs.release_blocks(instruction)
        return BatchPlanned(time_ms, records)

    def _run(self, instruction: RunBatch) -> Fact:
        time_ms, attempt = instruction.time_ms, instruction.attempt
        try:
            self._batches.run(time_ms, attempt, instruction.outputs)
        except BaseException as error:
            return BatchFailed(time_ms, attempt, self._failed("run", time_ms, error))
        return BatchPrepared(time_ms, attempt)

    def _commit(self, instruction: CommitOutput) -> Fact:
        time_ms, output = instruction.time_ms, instruction.output
        try:
            self._batches.commit(time_ms, output)
        except BaseException as error:
            return CommitFailed(time_ms, output, self._failed("commit", time_ms, error, output))
        return OutputCommitted(time_ms, output)

    def _finish(self, instruction: FinishBatch) -> Fact:
        try:
            measured = self._batches.finish(instruction.time_ms)
        except Exception as error:
            return FinishFailed(instruction.time_ms, self._failed("finish", instruction.time_ms, error))
        self._finished_batch = True
        if measured is not None:
            # Before the answer, because the next batch is planned with it.
            for change in self._machine.handle(RateMeasured(measured)):
                self._perform(change)
        return BatchFinished(instruction.time_ms)

    def _skip(self, instruction: SkipBatch) -> Fact:
        try:
            self._batches.skip(instruction.time_ms)
        except Exception as error:
            return SkipFailed(instruction.time_ms, self._failed("finish", instruction.time_ms, error))
        self._finished_batch = True
        return BatchSkipped(instruction.time_ms)

    def _failed(self, step: BatchStep, time_ms: int, error: BaseException, output: str | None = None) -> Failure:
        note_whereabouts(error, self._stream, Batch(time_ms))
        self._batches.report_failure(time_ms, step, error, output)
        self._newest_failure = (step, error)
        return Failure.of(error)

    def _roll_back(self, instruction: RollBackBatch) -> None:
        self._batches.roll_back(instruction.time_ms, instruction.outputs)

    def _schedule_retry(self, instruction: ScheduleRetry) -> None:
        assert self._newest_failure is not None  # Invariant: the answer to a failure.
        step, error = self._newest_failure
        logger.warning(
            "The batch %d failed (%s) and is tried again in %d ms: %s: %s",
            instruction.time_ms,
            step,
            instruction.delay_ms,
            type(error).__name__,
            error.message if isinstance(error, MillstreamError) else error,
        )
        self._at(self._clock.wall_ms() + instruction.delay_ms, RetryDue(instruction.time_ms))

    def _restart_receiver(self, instruction: RestartReceiver) -> None:
        self._at(self._clock.wall_ms() + instruction.delay_ms, ReceiverRestartDue(instruction.input))

    def _start_receiver(self, instruction: StartReceiver) -> Fact | None:
        return self._receivers.start(instruction.input)

    def _stop_receivers(self, instruction: StopReceivers) -> None:
        self._receivers.begin_stop()

    def _hold(self, instruction: HoldInputs) -> None:
        self._receivers.hold()
        if InputsHeld in self._bus.heard:
            self._bus.post(InputsHeld(True))

    def _resume(self, instruction: ResumeInputs) -> None:
        self._receivers.resume()
        if InputsHeld in self._bus.heard:
            self._bus.post(InputsHeld(False))

    def _set_rate(self, instruction: SetRate) -> None:
        name, records_per_s = instruction.input, instruction.records_per_s
        if not self._receivers.set_rate(name, records_per_s, instruction.span_ms):
            self._batches.inputs.set_rate(name, records_per_s, instruction.span_ms)
        if RateChanged in self._bus.heard:
            self._bus.post(RateChanged(name, records_per_s, self._clock.wall_ms()))

    def _report_skipped(self, instruction: ReportSkipped) -> None:
        if BatchTimesMerged in self._bus.heard:
            self._bus.post(
                BatchTimesMerged(instruction.from_ms, instruction.to_ms, instruction.count, instruction.slides_count)
            )

    def _stop_stream(self, instruction: StopStream) -> None:
        failure = instruction.failure
        left = dict(instruction.left.records)
        for fact, _ in self._receivers.take(_NEVER_MS):
            left[fact.input] = left.get(fact.input, 0) + fact.records
        self._end(None if failure is None else failure.error, left)

    def _end(self, error: BaseException | None, left: Mapping[str, int]) -> None:
        self.failure = error
        if error is not None:
            logger.error("The stream stopped: %s: %s", type(error).__name__, error)
        self._receivers.close()
        self._batches.close(in_order=error is None)
        kept = self._batches.keeps_blocks
        for name, records in left.items():
            fate = "kept in the checkpoint, and come first at the next start" if kept else "lost with the process"
            logger.warning("%d records of the input %s were not processed: they are %s.", records, name, fate)
        text = None if error is None else f"{type(error).__name__}: {error}"
        self._bus.close(StreamingStopped(self._clock.wall_ms(), text, dict(left), kept), _LISTENERS_END_S)
        if self._tuning is not None:
            self._tuning.restore()
        with self._end_lock:
            self.ended.set()
            calls, self._calls_at_end = self._calls_at_end, []
        for call in calls:
            call()

    def _at(self, due_ms: float, fact: Fact) -> None:
        heapq.heappush(self._timers, (due_ms, next(self._numbers), fact))

    _PERFORM: ClassVar[Mapping[type, Callable[..., Fact | None]]] = {
        PlanBatch: _plan,
        RunBatch: _run,
        CommitOutput: _commit,
        FinishBatch: _finish,
        SkipBatch: _skip,
        RollBackBatch: _roll_back,
        ScheduleRetry: _schedule_retry,
        RestartReceiver: _restart_receiver,
        StartReceiver: _start_receiver,
        StopReceivers: _stop_receivers,
        HoldInputs: _hold,
        ResumeInputs: _resume,
        SetRate: _set_rate,
        ReportSkipped: _report_skipped,
        StopStream: _stop_stream,
    }


_NEVER_MS = 2**53
"""A batch time that no block is after."""

_STOP_GRACE_S = 10.0
"""How much longer than its timeout a stop may take: the batch that runs is finished."""

_LISTENERS_END_S = 1.0
"""How long listeners may take to hear the last events."""

"""What happened: everything that the machine is ever told.

Facts are posted one after another, from one thread. Every instruction that has an end ends in exactly one fact:
PlanBatch in BatchPlanned or PlanFailed, RunBatch in BatchPrepared or BatchFailed, CommitOutput in OutputCommitted,
CommitFailed or BatchFailed, FinishBatch in BatchFinished or FinishFailed, SkipBatch in BatchSkipped or SkipFailed,
ScheduleRetry in RetryDue, StartReceiver in ReceiverStarted or ReceiverFailed, RestartReceiver in ReceiverRestartDue,
StopReceivers in ReceiversStopped.
All times are milliseconds since the Unix epoch, all durations milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from millstream.control.failure import Failure
from millstream.model.ports.rate_controller import BatchMeasured, RateController


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of the program.

    Attributes:
        name: unique among the inputs.
        kind: `receiver`: records are pushed and wait as blocks, which the machine gives to batches.
            `replayable`: the source is asked what belongs to a batch when the batch is planned.
        unhurried: it is not limited before something was measured.
    """

    name: str
    kind: Literal["receiver", "replayable"]
    unhurried: bool = False


@dataclass(frozen=True, slots=True)
class UnfinishedBatch:
    """A batch that an earlier driver planned and did not finish; it runs again with the same inputs.

    Attributes:
        time_ms: the batch time.
        start_ms: the exclusive start of its interval.
        attempt: of the run that follows, > 0.
        records: known records by input.
        outputs_left: outputs that have not committed it, in order of registration.
    """

    time_ms: int
    start_ms: int
    attempt: int
    records: Mapping[str, int]
    outputs_left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProgramStarted:
    """The stream was started with this graph and configuration. The first fact, posted once by the driver.

    Attributes:
        interval_ms: the batch interval, > 0.
        zero_time_ms: batch times are `zero_time_ms + k * interval_ms`, k >= 1.
        inputs: the inputs, in order of registration.
        outputs: names of the output operations, in order of registration; they commit in this order.
        slides_ms: slides of windows and outputs that are longer than the interval, each a multiple of it. Batch
            times at `zero_time_ms + k * slide` are not merged into later ones while there are not too many.
        max_queued_batches: how many batch times may wait, due and not planned, before inputs are held; and how
            many overdue times of slides are kept. >= 1.
        batch_retries: how often each step of a batch is tried again after transient failures, >= 0. A failure
            of user code is tried again once, or never when this is 0.
        retry_initial_ms: pause before the first retry; doubles with each.
        retry_max_ms: longest pause before a retry.
        receiver_restart_initial_ms: pause before the first restart of a receiver; doubles with each failure
            until the receiver has stored a block again.
        receiver_restart_max_ms: longest pause before a restart.
        skip_failed: a batch in which code of the user fails again and again, and that no output has committed, is
            given up, and the stream goes on; False: the stream stops.
        planned_ms: the newest batch time that an earlier driver planned, or None: then the zero time.
        unfinished: the batch that an earlier driver left, or None.
        rate_controllers: the controllers of the inputs that are limited, by name. They belong to the machine from now
            on, as parts of it.
    """

    interval_ms: int
    zero_time_ms: int
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    slides_ms: tuple[int, ...] = ()
    max_queued_batches: int = 10
    batch_retries: int = 3
    retry_initial_ms: int = 100
    retry_max_ms: int = 5_000
    receiver_restart_initial_ms: int = 100
    receiver_restart_max_ms: int = 10_000
    skip_failed: bool = False
    planned_ms: int | None = None
    unfinished: UnfinishedBatch | None = None
    rate_controllers: Mapping[str, RateController] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchDue:
    """The clock has reached a batch time. Posted by the driver's timer.

    After ReceiversStopped the driver posts one more, for the next batch time after now, behind the BlockStored of
    everything that the receivers left: it makes the last batch of a graceful stop.

    Attributes:
        time_ms: the latest batch time at or before now; the driver may have slept through earlier ones.
    """

    time_ms: int


@dataclass(frozen=True, slots=True)
class BlockStored:
    """A block of a receiver can be read. Posted by the driver, for each block once, before the batch is planned.

    Attributes:
        input: the receiver's input.
        block_id: identity of the block within the input.
        batch_ms: the first batch time at or after the moment the block was sealed.
        records: how many records it holds.
    """

    input: str
    block_id: int
    batch_ms: int
    records: int


@dataclass(frozen=True, slots=True)
class BatchPlanned:
    """The sources were asked and the inputs of the batch are in the journal. Posted by the driver after PlanBatch.

    Attributes:
        time_ms: the batch.
        records: how many records each input gives; an input that cannot tell before it is read is left out.
    """

    time_ms: int
    records: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PlanFailed:
    """A source could not plan, or the journal refused the plan. Posted by the driver after PlanBatch."""

    time_ms: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class BatchPrepared:
    """All tasks of an attempt are done, its outputs are staged and its state is journalled. Posted after RunBatch."""

    time_ms: int
    attempt: int


@dataclass(frozen=True, slots=True)
class BatchFailed:
    """An attempt failed. Posted by the driver after RunBatch; after CommitOutput when staged output got lost.

    As an answer to CommitOutput it asserts that this output has not been committed: it will be staged again.

    Attributes:
        time_ms: the batch.
        attempt: the attempt that failed.
        failure: why.
        output: the output operation whose job failed, or None when it cannot be told.
    """

    time_ms: int
    attempt: int
    failure: Failure
    output: str | None = None


@dataclass(frozen=True, slots=True)
class OutputCommitted:
    """A sink has committed the batch. Posted by the driver after CommitOutput."""

    time_ms: int
    output: str


@dataclass(frozen=True, slots=True)
class CommitFailed:
    """A sink did not commit, or its answer is unknown; what was staged is there still. Posted after CommitOutput."""

    time_ms: int
    output: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class BatchFinished:
    """The end of the batch is in the journal and what it held is released. Posted by the driver after FinishBatch."""

    time_ms: int


@dataclass(frozen=True, slots=True)
class RateMeasured:
    """The speed of a batch that ended is known. Posted by the driver in FinishBatch, before BatchFinished.

    Not posted for batches that were given up, or that an earlier driver began.
    """

    batch: BatchMeasured


@dataclass(frozen=True, slots=True)
class FinishFailed:
    """The end of the batch could not be journalled or released. Posted by the driver after FinishBatch."""

    time_ms: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class BatchSkipped:
    """The batch was given up, durably, and what it held is released. Posted by the driver after SkipBatch."""

    time_ms: int


@dataclass(frozen=True, slots=True)
class SkipFailed:
    """The batch could not be given up: too many were already, or storage does not answer. Posted after SkipBatch."""

    time_ms: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The pause before a retry is over. Posted by the driver's timer after ScheduleRetry."""

    time_ms: int


@dataclass(frozen=True, slots=True)
class ReceiverStarted:
    """A receiver runs. Posted by the driver after StartReceiver."""

    input: str


@dataclass(frozen=True, slots=True)
class ReceiverFailed:
    """A receiver did not start, failed, or asked for a restart. Posted by the driver.

    Attributes:
        input: the receiver's input.
        failure: why. A final failure stops the stream; any other is followed by a restart.
        delay_ms: the pause that the receiver itself asked for, or None: the backoff decides.
    """

    input: str
    failure: Failure
    delay_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ReceiverStopped:
    """A receiver ended: by its own will, then it is not restarted, or told by StopReceivers. Posted by the driver."""

    input: str


@dataclass(frozen=True, slots=True)
class ReceiverRestartDue:
    """The pause before a restart is over. Posted by the driver's timer after RestartReceiver."""

    input: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody asked the stream to stop. Posted by the driver for each call of stop(), also when it stops already.

    Attributes:
        graceful: True: receivers stop, and what they received is processed first. False: only the batch that
            runs is finished; also while a graceful stop is under way, which it cuts short.
    """

    graceful: bool


@dataclass(frozen=True, slots=True)
class ReceiversStopped:
    """Every receiver has ended. Posted by the driver after StopReceivers, at once when there are no receivers."""


@dataclass(frozen=True, slots=True)
class StopTimedOut:
    """The time allowed for stopping is over. Posted by the driver's timer, which runs from StopRequested on."""


BatchFact: TypeAlias = (
    BatchPlanned
    | PlanFailed
    | BatchPrepared
    | BatchFailed
    | OutputCommitted
    | CommitFailed
    | BatchFinished
    | FinishFailed
    | BatchSkipped
    | SkipFailed
    | RetryDue
)
ReceiverFact: TypeAlias = ReceiverStarted | ReceiverFailed | ReceiverStopped | ReceiverRestartDue
Fact: TypeAlias = (
    ProgramStarted
    | BatchDue
    | BlockStored
    | RateMeasured
    | BatchFact
    | ReceiverFact
    | StopRequested
    | ReceiversStopped
    | StopTimedOut
)

"""What has to be done: everything that the machine ever asks for.

The driver performs instructions in the order in which the machine gave them, without waiting for the end of one
before the next, unless an instruction says otherwise. An instruction that has an end is answered by exactly one
fact (see `facts`). All times are milliseconds since the Unix epoch, all durations milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from millstream.control.failure import Failure


@dataclass(frozen=True, slots=True)
class PlanBatch:
    """Ask the replayable sources, write the inputs of the batch to the journal, answer BatchPlanned or PlanFailed.

    A repeated plan, after PlanFailed, has the same times and blocks.

    Attributes:
        time_ms: the batch, the inclusive end of its interval.
        start_ms: the exclusive start: the batch time planned before, or the zero time.
        blocks: the blocks of every receiver input, by name, in the order in which they were stored.
    """

    time_ms: int
    start_ms: int
    blocks: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class RunBatch:
    """Run the tasks of the batch: stage the outputs and compute the state; answer BatchPrepared or BatchFailed.

    A retry starts only when no task of the earlier attempt runs any more, or its executor was replaced.

    Attributes:
        time_ms: the batch, planned.
        attempt: 0, then one more with each retry.
        outputs: the output operations to stage, in order of registration: those that have not committed.
    """

    time_ms: int
    attempt: int
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RollBackBatch:
    """Undo what an attempt did to the state and discard what it staged, so that it leaves no trace. No answer.

    Given before a retry and before the stream stops because of the batch.

    Attributes:
        time_ms: the batch.
        attempt: the attempt that failed.
        outputs: the outputs whose staged data is discarded: those that have not committed.
    """

    time_ms: int
    attempt: int
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommitOutput:
    """Commit what the last attempt staged for one output; answer OutputCommitted, CommitFailed or BatchFailed.

    Given for one output after the other, in order of registration; an output to which nothing is due in this
    batch is answered at once.
    """

    time_ms: int
    output: str


@dataclass(frozen=True, slots=True)
class FinishBatch:
    """Write the end of the batch to the journal, then acknowledge, release and tell listeners.

    Answer BatchFinished or FinishFailed. It may be given again after FinishFailed, so it must be idempotent.
    """

    time_ms: int


@dataclass(frozen=True, slots=True)
class SkipBatch:
    """Give the batch up: keep a description of its inputs, write that it is skipped to the journal, release it.

    Its last attempt has been rolled back, and no output has committed it. Answer BatchSkipped or SkipFailed.
    """

    time_ms: int


@dataclass(frozen=True, slots=True)
class ScheduleRetry:
    """Answer RetryDue when the pause is over; the failed step of the batch is given again then."""

    time_ms: int
    delay_ms: int


@dataclass(frozen=True, slots=True)
class HoldInputs:
    """Make the receivers take in no more records: batches come in faster than they are processed.

    Replayable sources need no hold: they are asked only when a batch is planned. No answer.
    """


@dataclass(frozen=True, slots=True)
class ResumeInputs:
    """Let the receivers take in records again. Follows each HoldInputs, unless the stream stops. No answer."""


@dataclass(frozen=True, slots=True)
class SetRate:
    """Limit what an input gives from now on, below what the user has set. No answer.

    Attributes:
        input: a receiver, or a source that counts records.
        records_per_s: above zero; None: no limit.
        span_ms: a batch of a source takes records for so long, where that is longer than the batch interval.
    """

    input: str
    records_per_s: float | None
    span_ms: float


@dataclass(frozen=True, slots=True)
class StartReceiver:
    """Start a receiver, or start it again, and answer ReceiverStarted or ReceiverFailed."""

    input: str


@dataclass(frozen=True, slots=True)
class RestartReceiver:
    """End what is left of a failed receiver, and answer ReceiverRestartDue when the pause is over.

    The start itself is a StartReceiver of its own, given only when the stream has not been asked to stop meanwhile.
    """

    input: str
    delay_ms: int


@dataclass(frozen=True, slots=True)
class StopReceivers:
    """Make every receiver end, seal and post what they hold as BlockStored, then answer ReceiversStopped.

    Given at most once. When StopStream is in the same answer, it does not wait for ReceiversStopped.
    """


@dataclass(frozen=True, slots=True)
class ReportSkipped:
    """Report batch times that were overdue and merged into a later batch, which holds their data. No answer.

    Attributes:
        from_ms: the first batch time that has no batch of its own.
        to_ms: the last one, inclusive.
        count: how many, all between the two.
        slides_count: how many due times of `slides_ms` are among them, summed over the slides: windows that do
            not appear.
    """

    from_ms: int
    to_ms: int
    count: int
    slides_count: int


@dataclass(frozen=True, slots=True)
class Left:
    """What a stream that stopped has not processed.

    Attributes:
        batch_times_ms: batches that were planned, or being planned, and did not end.
        records: known records of those batches and of blocks that no batch has, by input; inputs without any
            are left out.
        failure: the last failure of the oldest of those batches, or None.
    """

    batch_times_ms: tuple[int, ...]
    records: Mapping[str, int]
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class StopStream:
    """End the stream. The last instruction, given exactly once; whatever the machine is told then gives nothing.

    Within a limit of its own the driver first lets receivers end that StopReceivers told to.

    Attributes:
        failure: why the stream failed, or None when it was stopped by request.
        left: what was not processed; nothing after a graceful stop that was not cut short.
    """

    failure: Failure | None
    left: Left


Instruction: TypeAlias = (
    PlanBatch
    | RunBatch
    | RollBackBatch
    | CommitOutput
    | FinishBatch
    | SkipBatch
    | ScheduleRetry
    | HoldInputs
    | ResumeInputs
    | SetRate
    | StartReceiver
    | RestartReceiver
    | StopReceivers
    | ReportSkipped
    | StopStream
)

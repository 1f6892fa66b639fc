"""Events: what listeners are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from millstream.model.html_table import html_table

BatchStep: TypeAlias = Literal["plan", "run", "commit", "finish"]


@dataclass(frozen=True, slots=True)
class StreamingStarted:
    """The stream runs.

    Attributes:
        time_ms: wall time, milliseconds since the epoch.
        interval_ms: the batch interval.
    """

    time_ms: float
    interval_ms: int


@dataclass(frozen=True, slots=True)
class BatchSubmitted:
    """A batch is planned: what it consists of is fixed, for every attempt at it.

    Attributes:
        batch_time_ms: the batch.
        records: how many records each input gives, as far as known, by the name of the input.
        inputs: one line about what each input gives, by the name of the input.
        submitted_ms: wall time at which it was planned.
        lags: how many records wait behind the batch in each part of an input (of Kafka: offsets, in each Kafka
            partition, `topic[0]`), by the name of the input; inputs that cannot tell are not in it.
    """

    batch_time_ms: int
    records: Mapping[str, int]
    inputs: Mapping[str, str]
    submitted_ms: float
    lags: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def records_total(self) -> int:
        """Records of all inputs."""
        return sum(self.records.values())


@dataclass(frozen=True, slots=True)
class BatchStarted:
    """The work of a batch begins, or begins again after an attempt that failed.

    Attributes:
        batch_time_ms: the batch.
        attempt: 0 for the first one.
        submitted_ms: wall time at which the batch was planned.
        started_ms: wall time at which this attempt began.
    """

    batch_time_ms: int
    attempt: int
    submitted_ms: float
    started_ms: float

    @property
    def scheduling_delay_ms(self) -> float:
        """From the batch time to the beginning of the attempt; milliseconds, at least 0."""
        return max(0.0, self.started_ms - self.batch_time_ms)


@dataclass(frozen=True, slots=True)
class OutputStarted:
    """An output operation of a batch begins to be computed.

    An `OutputCompleted` of the same attempt follows, or a `BatchAttemptFailed`.

    Attributes:
        batch_time_ms: the batch.
        attempt: 0 for the first one.
        name: the name of the output.
        operator: the method that added it, such as `print`.
        site: `file:line` of the call that added it, or None.
        started_ms: wall time.
    """

    batch_time_ms: int
    attempt: int
    name: str
    operator: str
    site: str | None
    started_ms: float


@dataclass(frozen=True, slots=True)
class OutputCompleted:
    """An output operation of a batch has committed, or failed to be computed.

    All outputs of a batch are computed first and committed then, one after another; where `error` is None, what the
    output puts out is there.

    Attributes:
        batch_time_ms: the batch.
        attempt: 0 for the first one.
        name: the name of the output.
        operator: the method that added it, such as `print`.
        site: `file:line` of the call that added it, or None.
        started_ms: wall time at which its computation began.
        ended_ms: wall time at which it had committed, or failed.
        duration_ms: time that it took itself: to compute, and to commit; other outputs may have had their turn between.
        error: the error's text, or None.
    """

    batch_time_ms: int
    attempt: int
    name: str
    operator: str
    site: str | None
    started_ms: float
    ended_ms: float
    duration_ms: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class BatchCompleted:
    """A batch is done: every output has committed it.

    Attributes:
        batch_time_ms: the batch.
        records: how many records each input gave, as far as known, by the name of the input.
        inputs: one line about what each input gave, by the name of the input.
        submitted_ms: wall time at which the batch was planned.
        started_ms: wall time at which the attempt that succeeded began.
        ended_ms: wall time at which its last output had committed.
        attempts: how often it was run.
        outputs: its output operations, in the order in which they committed.
        invalid: how much of each input was no record as it came (lines that are not UTF-8 or too long) and was repaired
            or left out, by the name of the input; inputs without any are not in it.
        lags: how many records waited behind the batch when it was planned, as in `BatchSubmitted`.
        lost: how many records an input has lost by a policy since the batch before was done, as `SourceReported` tells
            in words, by the name of the input; those of which nobody knows how many are not in it.
    """

    batch_time_ms: int
    records: Mapping[str, int]
    inputs: Mapping[str, str]
    submitted_ms: float
    started_ms: float
    ended_ms: float
    attempts: int
    outputs: tuple[OutputCompleted, ...]
    invalid: Mapping[str, int] = field(default_factory=dict)
    lags: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        return html_table(
            f"Batch {self.batch_time_ms}",
            [
                *(
                    (f"input {name}", self.inputs.get(name) or f"{count} records")
                    for name, count in self.records.items()
                ),
                *((f"output {output.name}", f"{output.duration_ms:.1f} ms") for output in self.outputs),
                ("scheduling delay", f"{self.scheduling_delay_ms:.1f} ms"),
                ("processing", f"{self.processing_ms:.1f} ms"),
                ("attempts", self.attempts),
                *((f"invalid in {name}", count) for name, count in self.invalid.items()),
                *((f"lost in {name}", count) for name, count in self.lost.items()),
            ],
        )

    @property
    def records_total(self) -> int:
        """Records of all inputs."""
        return sum(self.records.values())

    @property
    def scheduling_delay_ms(self) -> float:
        """From the batch time to the beginning of the work; milliseconds, at least 0."""
        return max(0.0, self.started_ms - self.batch_time_ms)

    @property
    def processing_ms(self) -> float:
        """From the beginning of the work to the last commit, milliseconds."""
        return self.ended_ms - self.started_ms

    @property
    def total_delay_ms(self) -> float:
        """From the batch time to the last commit, milliseconds."""
        return self.scheduling_delay_ms + self.processing_ms


@dataclass(frozen=True, slots=True)
class BatchAttemptFailed:
    """A step of a batch failed; it is tried again, or the stream stops.

    Attributes:
        batch_time_ms: the batch.
        attempt: 0 for the first one.
        error: the error's text.
        step: `plan` (an input could not say what it gives), `run` (the attempt left no trace and is run again),
            `commit` (of one output; what was computed is kept) or `finish` (after the last commit).
        output: the name of the output that could not commit, or None.
    """

    batch_time_ms: int
    attempt: int
    error: str
    step: BatchStep = "run"
    output: str | None = None


@dataclass(frozen=True, slots=True)
class BatchTimesMerged:
    """Batch times that were overdue have no batch of their own: their records are in the next one.

    Attributes:
        from_ms: the first of them.
        to_ms: the last of them.
        count: how many.
        windows: how many due times of windows are among them.
    """

    from_ms: int
    to_ms: int
    count: int
    windows: int


@dataclass(frozen=True, slots=True)
class InputsHeld:
    """Inputs are slowed, because batches wait (`held`), or run freely again."""

    held: bool


@dataclass(frozen=True, slots=True)
class RateChanged:
    """A rate controller has changed the limit of an input.

    Attributes:
        input: the input's name.
        records_per_s: the limit; None: none. A limit of the user's holds besides.
        time_ms: wall time.
    """

    input: str
    records_per_s: float | None
    time_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ReceiverStarted:
    """A receiver receives, for the first time or again.

    Attributes:
        input: the input's name.
        message: one line.
        time_ms: wall time.
    """

    input: str
    message: str = ""
    time_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ReceiverFailed:
    """Something went wrong in a receiver.

    Attributes:
        input: the input's name.
        message: one line.
        error: the error's text, or None.
        time_ms: wall time.
        is_down: it has ended, and is started again after a pause unless the stream stops; False: it goes on by itself.
    """

    input: str
    message: str = ""
    error: str | None = None
    time_ms: float = 0.0
    is_down: bool = False


@dataclass(frozen=True, slots=True)
class ReceiverStopped:
    """A receiver has ended, because the stream stops; what it received is still processed.

    Attributes:
        input: the input's name.
        message: one line.
        time_ms: wall time.
    """

    input: str
    message: str = ""
    time_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class StateRestored:
    """The program went on from its checkpoint.

    Attributes:
        batch_time_ms: the newest batch that was done, or None when there was none.
        epoch: how many drivers the checkpoint has had, this one included.
        spent_ms: how long it took to read the checkpoint and to fill the state.
    """

    batch_time_ms: int | None
    epoch: int
    spent_ms: float


@dataclass(frozen=True, slots=True)
class CheckpointWritten:
    """State up to a batch is in files of its own, and the journal before it is not needed any more.

    Attributes:
        batch_time_ms: the newest batch in it.
        time_ms: wall time.
        state_bytes: size of its state files.
        log_bytes: size of journal and write-ahead log.
    """

    batch_time_ms: int
    time_ms: float
    state_bytes: int
    log_bytes: int


@dataclass(frozen=True, slots=True)
class CheckpointFailed:
    """A checkpoint could not be written; nothing is lost, the journal has everything. It is tried again.

    Attributes:
        time_ms: wall time.
        error: what went wrong.
    """

    time_ms: float
    error: str


@dataclass(frozen=True, slots=True)
class BatchDiverged:
    """A batch that an earlier driver had prepared ran again, and came out differently.

    Attributes:
        batch_time_ms: the batch.
        what: what differs.
        detail: both sides.
        accepted: the stream goes on; False: it stops with an error.
    """

    batch_time_ms: int
    what: str
    detail: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class BatchSkipped:
    """A batch failed and was given up; the stream goes on without it.

    Attributes:
        batch_time_ms: the batch.
        time_ms: wall time.
        error: why it failed.
        dead_letter: the file that keeps what it had read.
    """

    batch_time_ms: int
    time_ms: float
    error: str
    dead_letter: str


@dataclass(frozen=True, slots=True)
class ClockSetBack:
    """The clock of the machine was set back, and batch times go on by the monotonic clock.

    Attributes:
        time_ms: wall time, as the clock shows it now.
        behind_ms: how far it is behind the time of the batches.
    """

    time_ms: float
    behind_ms: float


@dataclass(frozen=True, slots=True)
class SourceReported:
    """A source, or a member of a Kafka group, tells of something that is no error: the stream goes on.

    Attributes:
        input: the input's name.
        kind: `lost`: records will never be read, by a policy of the user's; `unreachable` and `reachable`: the outside
            does not answer, and answers again, once each.
        message: one line.
        records: how many records were lost, as far as known.
        time_ms: wall time.
    """

    input: str
    kind: Literal["lost", "unreachable", "reachable"]
    message: str
    records: int | None = None
    time_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamingStopped:
    """The stream has ended.

    Attributes:
        time_ms: wall time.
        error: why it failed, or None.
        left: records that were received and not processed, by input.
        kept: they are in the checkpoint, and come first when the program is started again; False: they are lost.
    """

    time_ms: float
    error: str | None
    left: Mapping[str, int] = field(default_factory=dict)
    kept: bool = False


Event: TypeAlias = (
    StreamingStarted
    | BatchSubmitted
    | BatchStarted
    | OutputStarted
    | OutputCompleted
    | BatchCompleted
    | BatchAttemptFailed
    | BatchTimesMerged
    | InputsHeld
    | RateChanged
    | ReceiverStarted
    | ReceiverFailed
    | ReceiverStopped
    | StateRestored
    | CheckpointWritten
    | CheckpointFailed
    | BatchDiverged
    | BatchSkipped
    | ClockSetBack
    | SourceReported
    | StreamingStopped
)

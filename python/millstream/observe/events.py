"""Events: what listeners are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


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
class OutputReport:
    """How one output operation of a batch went.

    Attributes:
        name: the name of the output.
        operator: the method that added it, such as `print`.
        duration_ms: time to compute and stage it.
        error: what went wrong, or None.
    """

    name: str
    operator: str
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
        started_ms: wall time at which its work began.
        ended_ms: wall time at which its last output had committed.
        attempts: how often it was run.
        outputs: its output operations, in order.
        invalid: how much of each input was no record as it came (lines that are not UTF-8 or too long) and was repaired
            or left out, by the name of the input; inputs without any are not in it.
    """

    batch_time_ms: int
    records: Mapping[str, int]
    inputs: Mapping[str, str]
    submitted_ms: float
    started_ms: float
    ended_ms: float
    attempts: int
    outputs: tuple[OutputReport, ...]
    invalid: Mapping[str, int] = field(default_factory=dict)

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
    """An attempt at a batch failed and left no trace; it is tried again, or the stream stops.

    Attributes:
        batch_time_ms: the batch.
        attempt: 0 for the first one.
        error: the error's text.
    """

    batch_time_ms: int
    attempt: int
    error: str


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
class ReceiverEvent:
    """Something happened to a receiver.

    Attributes:
        input: the input's name.
        kind: `started`, `failed`, `stopped`, `error`, `reconnected`.
        message: one line.
        error: the error's text, or None.
        time_ms: wall time.
    """

    input: str
    kind: str
    message: str = ""
    error: str | None = None
    time_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamingStopped:
    """The stream has ended.

    Attributes:
        time_ms: wall time.
        error: why it failed, or None.
        left: records that were received and not processed, by input.
    """

    time_ms: float
    error: str | None
    left: Mapping[str, int] = field(default_factory=dict)


Event: TypeAlias = (
    StreamingStarted
    | BatchCompleted
    | BatchAttemptFailed
    | BatchTimesMerged
    | InputsHeld
    | ReceiverEvent
    | StreamingStopped
)

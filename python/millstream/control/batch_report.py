"""The report of one batch: its times, and the events that tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millstream.environment.clock import Clock
from millstream.graph.inputs import PlannedInput
from millstream.graph.outputs import Output
from millstream.model.ports.rate_controller import BatchMeasured
from millstream.observe.event_bus import EventBus
from millstream.observe.events import (
    BatchAttemptFailed,
    BatchCompleted,
    BatchStarted,
    BatchStep,
    BatchSubmitted,
    OutputCompleted,
    OutputStarted,
)


@dataclass(slots=True)
class _OutputTimes:
    """When an output was worked on.

    Attributes:
        attempt: the attempt at the batch that computed it.
        started_ms: wall time at which its computation began.
        began_ms: monotonic time at which the step that runs began.
        spent_ms: duration of the steps before.
        ended_ms: wall time at which it had committed, or 0.
        told: the event that told of its commit, or None where nobody heard it.
    """

    attempt: int
    started_ms: float
    began_ms: float
    spent_ms: float = 0.0
    ended_ms: float = 0.0
    told: OutputCompleted | None = None


class BatchReport:
    """Stamps what happens to one batch and tells the listeners; events that nobody hears are not made.

    The times are taken even so, because somebody may begin to listen before the batch ends.

    Args:
        time_ms: the batch.
        bus: hears what happens.
        clock: stamps it.
    """

    __slots__ = (
        "_attempt_began_ms",
        "_attempts",
        "_began_ms",
        "_bus",
        "_clock",
        "_outputs",
        "_plan_ms",
        "_planned",
        "_started_ms",
        "_submitted_ms",
        "_time_ms",
        "_told",
    )

    def __init__(self, time_ms: int, bus: EventBus, clock: Clock) -> None:
        self._time_ms = time_ms
        self._bus = bus
        self._clock = clock
        self._submitted_ms = clock.wall_ms()
        self._began_ms = clock.monotonic_ms()
        self._plan_ms = 0.0
        self._attempt_began_ms = self._began_ms
        self._started_ms = 0.0
        self._attempts = 0
        self._planned: Mapping[str, PlannedInput] = {}
        self._outputs: dict[str, _OutputTimes] = {}
        self._told: tuple[dict[str, int], dict[str, str]] | None = None

    def submit(self, planned: Mapping[str, PlannedInput]) -> None:
        """The batch is planned."""
        self._plan_ms = self._clock.monotonic_ms() - self._began_ms
        self._planned = planned
        if BatchSubmitted in self._bus.heard:
            self._bus.post(BatchSubmitted(self._time_ms, *self._inputs(), self._submitted_ms, self._lags()))

    def start(self, attempt: int) -> None:
        """An attempt begins."""
        self._attempts = attempt + 1
        self._started_ms = self._clock.wall_ms()
        self._attempt_began_ms = self._clock.monotonic_ms()
        if BatchStarted in self._bus.heard:
            self._bus.post(BatchStarted(self._time_ms, attempt, self._submitted_ms, self._started_ms))

    def start_output(self, output: Output) -> None:
        """An output begins to be computed."""
        attempt, started_ms = self._attempts - 1, self._clock.wall_ms()
        self._outputs[output.name] = _OutputTimes(attempt, started_ms, self._clock.monotonic_ms())
        if OutputStarted in self._bus.heard:
            label = output.label
            self._bus.post(OutputStarted(self._time_ms, attempt, output.name, label.operator, label.site, started_ms))

    def stage_output(self, output: Output) -> None:
        """An output is computed."""
        times = self._outputs[output.name]
        times.spent_ms = self._clock.monotonic_ms() - times.began_ms

    def fail_output(self, output: Output, error: BaseException) -> None:
        """An output could not be computed."""
        times = self._outputs.pop(output.name)
        if OutputCompleted in self._bus.heard:
            times.spent_ms = self._clock.monotonic_ms() - times.began_ms
            times.ended_ms = self._clock.wall_ms()
            self._bus.post(self._completed(output, times, _text(error)))

    def begin_commit(self, output: Output) -> None:
        """An output begins to commit."""
        self._outputs[output.name].began_ms = self._clock.monotonic_ms()

    def commit_output(self, output: Output) -> None:
        """An output has committed."""
        times = self._outputs.pop(output.name)
        times.spent_ms += self._clock.monotonic_ms() - times.began_ms
        times.ended_ms = self._clock.wall_ms()
        # Why put back: the outputs of the batch are listed in the order in which they committed.
        self._outputs[output.name] = times
        if OutputCompleted in self._bus.heard:
            times.told = self._completed(output, times)
            self._bus.post(times.told)

    def fail(self, step: BatchStep, error: BaseException, output: str | None = None) -> None:
        """A step of the batch failed."""
        if BatchAttemptFailed in self._bus.heard:
            attempt = max(0, self._attempts - 1)
            self._bus.post(BatchAttemptFailed(self._time_ms, attempt, _text(error), step, output))

    def complete(
        self,
        outputs: Mapping[str, Output],
        read: Mapping[str, int],
        invalid: Mapping[str, int],
        lost: Mapping[str, int],
    ) -> None:
        """The batch is done.

        Args:
            outputs: the output operations of the program, by name.
            read: records of the inputs that only reading could count.
            invalid: how much of each input was no record as it came.
            lost: how much of each input was lost since the batch before.
        """
        if BatchCompleted in self._bus.heard:
            records, descriptions = self._inputs()
            self._bus.post(
                BatchCompleted(
                    self._time_ms,
                    {**records, **read} if read else records,
                    descriptions,
                    self._submitted_ms,
                    self._started_ms,
                    self._clock.wall_ms(),
                    self._attempts,
                    tuple(
                        [times.told or self._completed(outputs[name], times) for name, times in self._outputs.items()]
                    ),
                    invalid,
                    self._lags(),
                    lost,
                )
            )

    def measured(self, interval_ms: int, read: Mapping[str, int]) -> BatchMeasured:
        """Tell how fast the batch was, now that it has ended.

        Args:
            interval_ms: the batch interval.
            read: records of the inputs that only reading could count.
        """
        now_ms = self._clock.monotonic_ms()
        processing_ms = self._plan_ms + now_ms - self._attempt_began_ms
        total_ms = max(0.0, self._submitted_ms - self._time_ms) + now_ms - self._began_ms
        records, _ = self._inputs()
        return BatchMeasured(
            self._time_ms,
            interval_ms,
            {**records, **read} if read else records,
            processing_ms,
            max(0.0, total_ms - processing_ms),
            self._attempts,
        )

    def _completed(self, output: Output, times: _OutputTimes, error: str | None = None) -> OutputCompleted:
        return OutputCompleted(
            self._time_ms,
            times.attempt,
            output.name,
            output.label.operator,
            output.label.site,
            times.started_ms,
            times.ended_ms,
            times.spent_ms,
            error,
        )

    def _inputs(self) -> tuple[dict[str, int], dict[str, str]]:
        """Give records and description of each input, by name."""
        if self._told is None:
            records = {name: planned.records for name, planned in self._planned.items() if planned.records is not None}
            self._told = records, {name: planned.description for name, planned in self._planned.items()}
        return self._told

    def _lags(self) -> dict[str, Mapping[str, int]]:
        return {name: planned.lags for name, planned in self._planned.items() if planned.lags}


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"

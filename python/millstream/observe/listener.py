"""Listeners: users' objects that are told what happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from millstream.observe.events import (
    BatchAttemptFailed,
    BatchCompleted,
    BatchDiverged,
    BatchSkipped,
    BatchStarted,
    BatchSubmitted,
    BatchTimesMerged,
    CheckpointFailed,
    CheckpointWritten,
    ClockSetBack,
    Event,
    InputsHeld,
    OutputCompleted,
    OutputStarted,
    RateChanged,
    ReceiverFailed,
    ReceiverStarted,
    ReceiverStopped,
    SourceReported,
    StateRestored,
    StreamingStarted,
    StreamingStopped,
)


class StreamingListener:
    """Override what you want to hear. Calls come in order, one at a time, from a thread of their own.

    Of a batch, the events are `BatchSubmitted`, `BatchStarted`, an `OutputStarted` for each output operation, an
    `OutputCompleted` for each, `BatchCompleted`. Where a step failed there is a `BatchAttemptFailed` between them, and
    with the next attempt the events from `BatchStarted` on come again.

    A listener can neither change nor slow the stream: one that raises is logged and called again with the next
    event; one that is too slow misses events, and the log says how many. What no listener overrides is not even made.

    Example:
        >>> class Batches(StreamingListener):
        ...     def on_batch_completed(self, event: BatchCompleted) -> None:
        ...         print(event.batch_time_ms, event.records_total)
    """

    def on_event(self, event: Event) -> None:
        """Hear every event; calls the method of its kind."""
        match event:
            case OutputStarted():
                self.on_output_started(event)
            case OutputCompleted():
                self.on_output_completed(event)
            case BatchSubmitted():
                self.on_batch_submitted(event)
            case BatchStarted():
                self.on_batch_started(event)
            case BatchCompleted():
                self.on_batch_completed(event)
            case BatchAttemptFailed():
                self.on_batch_attempt_failed(event)
            case BatchTimesMerged():
                self.on_batch_times_merged(event)
            case InputsHeld():
                self.on_inputs_held(event)
            case RateChanged():
                self.on_rate_changed(event)
            case ReceiverStarted():
                self.on_receiver_started(event)
            case ReceiverFailed():
                self.on_receiver_failed(event)
            case ReceiverStopped():
                self.on_receiver_stopped(event)
            case SourceReported():
                self.on_source_reported(event)
            case StreamingStarted():
                self.on_streaming_started(event)
            case StateRestored():
                self.on_state_restored(event)
            case CheckpointWritten():
                self.on_checkpoint_written(event)
            case CheckpointFailed():
                self.on_checkpoint_failed(event)
            case BatchDiverged():
                self.on_batch_diverged(event)
            case ClockSetBack():
                self.on_clock_set_back(event)
            case BatchSkipped():
                self.on_batch_skipped(event)
            case StreamingStopped():
                self.on_streaming_stopped(event)
            case _:
                assert_never(event)

    def on_streaming_started(self, event: StreamingStarted) -> None:
        """The stream runs."""

    def on_batch_submitted(self, event: BatchSubmitted) -> None:
        """A batch is planned."""

    def on_batch_started(self, event: BatchStarted) -> None:
        """The work of a batch begins, or begins again."""

    def on_output_started(self, event: OutputStarted) -> None:
        """An output operation of a batch begins."""

    def on_output_completed(self, event: OutputCompleted) -> None:
        """An output operation of a batch has committed, or failed."""

    def on_batch_completed(self, event: BatchCompleted) -> None:
        """A batch is done."""

    def on_batch_attempt_failed(self, event: BatchAttemptFailed) -> None:
        """A step of a batch failed."""

    def on_batch_times_merged(self, event: BatchTimesMerged) -> None:
        """Overdue batch times were merged into a later one."""

    def on_inputs_held(self, event: InputsHeld) -> None:
        """Inputs are slowed, or run freely again."""

    def on_rate_changed(self, event: RateChanged) -> None:
        """The limit of an input has changed."""

    def on_receiver_started(self, event: ReceiverStarted) -> None:
        """A receiver receives, for the first time or again."""

    def on_receiver_failed(self, event: ReceiverFailed) -> None:
        """Something went wrong in a receiver."""

    def on_receiver_stopped(self, event: ReceiverStopped) -> None:
        """A receiver has ended."""

    def on_state_restored(self, event: StateRestored) -> None:
        """The program went on from its checkpoint; comes before StreamingStarted."""

    def on_checkpoint_written(self, event: CheckpointWritten) -> None:
        """A checkpoint is durable."""

    def on_checkpoint_failed(self, event: CheckpointFailed) -> None:
        """A checkpoint could not be written."""

    def on_batch_diverged(self, event: BatchDiverged) -> None:
        """A batch that ran again after a restart came out differently."""

    def on_clock_set_back(self, event: ClockSetBack) -> None:
        """The clock was set back, and batches go on without it."""

    def on_source_reported(self, event: SourceReported) -> None:
        """A replayable source lost records by a policy, or its outside does not answer or answers again."""

    def on_batch_skipped(self, event: BatchSkipped) -> None:
        """A batch was given up."""

    def on_streaming_stopped(self, event: StreamingStopped) -> None:
        """The stream has ended; the last event."""


def kinds_heard(listener: StreamingListener) -> frozenset[type[Event]]:
    """Tell which kinds of events a listener overrides the method of."""
    if _overrides(listener, "on_event"):
        return frozenset(_METHODS)
    return frozenset(kind for kind, method in _METHODS.items() if _overrides(listener, method))


def _overrides(listener: StreamingListener, method: str) -> bool:
    # Why not by the class: a method may have been given to the instance.
    return getattr(getattr(listener, method), "__func__", None) is not getattr(StreamingListener, method)


_METHODS: Final[Mapping[type[Event], str]] = {
    StreamingStarted: "on_streaming_started",
    BatchSubmitted: "on_batch_submitted",
    BatchStarted: "on_batch_started",
    OutputStarted: "on_output_started",
    OutputCompleted: "on_output_completed",
    BatchCompleted: "on_batch_completed",
    BatchAttemptFailed: "on_batch_attempt_failed",
    BatchTimesMerged: "on_batch_times_merged",
    InputsHeld: "on_inputs_held",
    RateChanged: "on_rate_changed",
    ReceiverStarted: "on_receiver_started",
    ReceiverFailed: "on_receiver_failed",
    ReceiverStopped: "on_receiver_stopped",
    StateRestored: "on_state_restored",
    CheckpointWritten: "on_checkpoint_written",
    CheckpointFailed: "on_checkpoint_failed",
    BatchDiverged: "on_batch_diverged",
    ClockSetBack: "on_clock_set_back",
    SourceReported: "on_source_reported",
    BatchSkipped: "on_batch_skipped",
    StreamingStopped: "on_streaming_stopped",
}

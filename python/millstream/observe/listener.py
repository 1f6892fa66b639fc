"""Listeners: users' objects that are told what happens."""

from __future__ import annotations

from millstream.observe.events import (
    BatchAttemptFailed,
    BatchCompleted,
    BatchTimesMerged,
    Event,
    InputsHeld,
    ReceiverEvent,
    StreamingStarted,
    StreamingStopped,
)


class StreamingListener:
    """Override what you want to hear. Calls come in order, one at a time, from a thread of their own.

    A listener can neither change nor slow the stream: one that raises is logged and called again with the next
    event; one that is too slow misses events, and the log says how many.

    Example:
        >>> class Batches(StreamingListener):
        ...     def on_batch_completed(self, event: BatchCompleted) -> None:
        ...         print(event.batch_time_ms, event.records_total)
    """

    def on_event(self, event: Event) -> None:
        """Hear every event; calls the method of its kind."""
        match event:
            case BatchCompleted():
                self.on_batch_completed(event)
            case BatchAttemptFailed():
                self.on_batch_attempt_failed(event)
            case BatchTimesMerged():
                self.on_batch_times_merged(event)
            case InputsHeld():
                self.on_inputs_held(event)
            case ReceiverEvent():
                self.on_receiver_event(event)
            case StreamingStarted():
                self.on_streaming_started(event)
            case StreamingStopped():
                self.on_streaming_stopped(event)

    def on_streaming_started(self, event: StreamingStarted) -> None:
        """The stream runs."""

    def on_batch_completed(self, event: BatchCompleted) -> None:
        """A batch is done."""

    def on_batch_attempt_failed(self, event: BatchAttemptFailed) -> None:
        """An attempt at a batch failed."""

    def on_batch_times_merged(self, event: BatchTimesMerged) -> None:
        """Overdue batch times were merged into a later one."""

    def on_inputs_held(self, event: InputsHeld) -> None:
        """Inputs are slowed, or run freely again."""

    def on_receiver_event(self, event: ReceiverEvent) -> None:
        """Something happened to a receiver."""

    def on_streaming_stopped(self, event: StreamingStopped) -> None:
        """The stream has ended."""

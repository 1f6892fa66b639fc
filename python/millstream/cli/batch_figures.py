"""The figures of a running stream: what its listener hears, for whoever shows it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from millstream.cli.delay_histogram import DelayHistogram
from millstream.observe.events import (
    BatchAttemptFailed,
    BatchCompleted,
    BatchTimesMerged,
    InputsHeld,
    ReceiverFailed,
    ReceiverStarted,
    ReceiverStopped,
    StateRestored,
    StreamingStarted,
    StreamingStopped,
)
from millstream.observe.listener import StreamingListener

RECENT_MAX = 120
"""Batches that a view can look back on: more than any terminal has columns for in a sparkline."""

UNREAD_MAX = 10_000
"""Batches that may wait to be printed; when the reader of a pipe stands still the oldest are given up."""


@dataclass(frozen=True, slots=True)
class BatchFigure:
    """What one batch took.

    Attributes:
        batch_time_ms: the batch, milliseconds since the epoch.
        records: records of all inputs.
        span_ms: time since the batch before; more than the interval where batch times were merged.
        scheduling_delay_ms: from the batch time to the beginning of its work.
        processing_ms: from there to its last commit.
        attempts: how often it was run.
        outputs: how many output operations it had.
    """

    batch_time_ms: int
    records: int
    span_ms: int
    scheduling_delay_ms: float
    processing_ms: float
    attempts: int
    outputs: int

    @property
    def rate_records_per_s(self) -> float:
        """Records a second."""
        return self.records * 1000.0 / self.span_ms

    @property
    def total_delay_ms(self) -> float:
        """From the batch time to its last commit."""
        return self.scheduling_delay_ms + self.processing_ms


@dataclass(frozen=True, slots=True)
class FiguresNow:
    """All figures at one moment.

    Attributes:
        interval_ms: the batch interval; 0 before the stream runs.
        recent: the last batches, oldest first.
        batches: how many there were.
        records: how many records they had.
        span_ms: the time that they cover.
        merged: batch times without a batch of their own.
        failed_attempts: attempts at batches that failed.
        held: inputs are slowed, because batches wait.
        notice: what happened to a receiver last, or an empty string.
        error: why the stream stopped, or None.
        stopped: the stream has ended.
        restored: how long it took to go on from a checkpoint, or an empty string.
    """

    interval_ms: int
    recent: tuple[BatchFigure, ...]
    batches: int
    records: int
    span_ms: int
    merged: int
    failed_attempts: int
    held: bool
    notice: str
    error: str | None
    stopped: bool
    restored: str


class BatchFigures(StreamingListener):
    """Gathers the figures of one stream; any thread may ask for them.

    Attributes:
        changed: set with each event; whoever waits for it clears it.
        scheduling: scheduling delays of all batches.
        processing: processing times of all batches.
        total: total delays of all batches.
    """

    def __init__(self) -> None:
        self.changed = threading.Event()
        self.scheduling = DelayHistogram()
        self.processing = DelayHistogram()
        self.total = DelayHistogram()
        self._lock = threading.Lock()
        self._recent: deque[BatchFigure] = deque(maxlen=RECENT_MAX)
        self._unread: deque[BatchFigure] = deque(maxlen=UNREAD_MAX)
        self._interval_ms = 0
        self._last_ms = 0
        self._batches = self._records = self._span_ms = self._merged = self._failed_attempts = 0
        self._held = self._stopped = False
        self._notice = ""
        self._error: str | None = None
        self._restored: StateRestored | None = None
        self._restored_text = ""
        self._started_ms = 0.0

    def now(self) -> FiguresNow:
        """Give all figures as they are now."""
        with self._lock:
            return FiguresNow(
                self._interval_ms,
                tuple(self._recent),
                self._batches,
                self._records,
                self._span_ms,
                self._merged,
                self._failed_attempts,
                self._held,
                self._notice,
                self._error,
                self._stopped,
                self._restored_text,
            )

    def take_unread(self) -> list[BatchFigure]:
        """Give the batches that were done since the last call, oldest first."""
        with self._lock:
            unread = list(self._unread)
            self._unread.clear()
            return unread

    def on_streaming_started(self, event: StreamingStarted) -> None:
        """Note the interval."""
        with self._lock:
            self._interval_ms = event.interval_ms
            self._started_ms = event.time_ms
        self.changed.set()

    def on_state_restored(self, event: StateRestored) -> None:
        """Note that the stream goes on from a checkpoint."""
        with self._lock:
            self._restored = event
            self._restored_text = f"went on from a checkpoint: read in {event.spent_ms / 1000.0:.2f} s"

    def on_batch_completed(self, event: BatchCompleted) -> None:
        """Add a batch."""
        with self._lock:
            if self._restored is not None:
                first_s = (event.ended_ms - self._started_ms + self._restored.spent_ms) / 1000.0
                self._restored_text += f", first batch done {first_s:.2f} s after the start"
                self._restored = None
            span_ms = event.batch_time_ms - self._last_ms if self._last_ms else self._interval_ms
            self._last_ms = event.batch_time_ms
            figure = BatchFigure(
                event.batch_time_ms,
                event.records_total,
                span_ms,
                event.scheduling_delay_ms,
                event.processing_ms,
                event.attempts,
                len(event.outputs),
            )
            self._recent.append(figure)
            self._unread.append(figure)
            self._batches += 1
            self._records += figure.records
            self._span_ms += span_ms
            self.scheduling.add(figure.scheduling_delay_ms)
            self.processing.add(figure.processing_ms)
            self.total.add(figure.total_delay_ms)
        self.changed.set()

    def on_batch_attempt_failed(self, event: BatchAttemptFailed) -> None:
        """Count a failed attempt."""
        with self._lock:
            self._failed_attempts += 1

    def on_batch_times_merged(self, event: BatchTimesMerged) -> None:
        """Count the batch times that got no batch."""
        with self._lock:
            self._merged += event.count

    def on_inputs_held(self, event: InputsHeld) -> None:
        """Note whether inputs are slowed."""
        with self._lock:
            self._held = event.held

    def on_receiver_failed(self, event: ReceiverFailed) -> None:
        """Note what went wrong in a receiver."""
        said = event.error or event.message or "failed"
        self._note(f"{event.input}: {said.partition(chr(10))[0]}")

    def on_receiver_started(self, event: ReceiverStarted) -> None:
        """Take back what was said of a failure before."""
        self._note("")

    def on_receiver_stopped(self, event: ReceiverStopped) -> None:
        """Take back what was said of a failure before."""
        self._note("")

    def _note(self, notice: str) -> None:
        with self._lock:
            self._notice = notice
        self.changed.set()

    def on_streaming_stopped(self, event: StreamingStopped) -> None:
        """Note the end."""
        with self._lock:
            self._stopped = True
            self._error = event.error
        self.changed.set()

"""A stream that the program itself fills."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from millstream.environment.clock import Clock
from millstream.ingest.block_buffer import MAX_RECORDS, BlockBuffer, OnFull
from millstream.ingest.buffered_feed import BufferedFeed
from millstream.model.ports.block_feed import FeedEvent

T = TypeVar("T")


class MemoryStream(BufferedFeed, Generic[T]):
    """Records that threads of the program push, and that wait here until a batch takes them.

    Pushing works from any thread, before the start too. A record belongs to the first batch planned after it was
    pushed; records of one thread keep their order. What was pushed and not processed is lost with the process.

    Args:
        clock: the clock of the program.
        name: of the input, for errors and events.
        max_records: records that may wait, >= 1.
        on_full: while there is no room, because batches are slower than the pushing: `block` makes a push wait,
            `raise` makes it raise InputFullError. Do not push into a stream that blocks from a function that the
            stream itself runs, or from the thread that moves a manual clock: when it is full nobody makes room.
        full_timeout_s: with `block`, how long a push waits before it raises; None: for ever.
        rate_per_s: limit of records a second, or None; over it a push waits or raises in the same way.

    Raises:
        ConfigurationError: an argument cannot work.

    Example:
        >>> from millstream.environment.clock import ManualClock
        >>> stream = MemoryStream[str](ManualClock())
        >>> stream.push("a"); stream.push_many(["b", "c"])
        >>> [list(block.data) for block in stream.take(1_000)]
        [['a', 'b', 'c']]
    """

    def __init__(
        self,
        clock: Clock,
        *,
        name: str = "memory",
        max_records: int = MAX_RECORDS,
        on_full: OnFull = "block",
        full_timeout_s: float | None = None,
        rate_per_s: float | None = None,
    ) -> None:
        self.name = name
        self.max_rate = rate_per_s
        # Who asked for an error when there is no room means the room that was given, and wants no error before.
        self.rate_control = "measured" if on_full == "block" else "never"
        self._buffer: BlockBuffer[T] = BlockBuffer(
            clock, name=name, max_records=max_records, on_full=on_full, full_timeout_s=full_timeout_s
        )
        self._buffer.set_rate(rate_per_s)
        self._notify: Callable[[FeedEvent], None] | None = None
        self._stopped = False
        self._last_batch_due = False
        self.push = self._buffer.push  # type: ignore[method-assign]  # Why: one call less for each record.

    def push(self, record: T) -> None:
        """Add one record.

        Raises:
            InputFullError: there was no room, or not in time; the record was not taken.
            LifecycleError: the stream was closed or has stopped.
        """
        self._buffer.push(record)

    def push_many(self, records: Iterable[T]) -> None:
        """Add records next to each other: all of them, or none when it raises.

        Raises:
            InputFullError: there was no room for all, or not in time. More records than all the room are let in
                when nothing else waits.
            LifecycleError: the stream was closed or has stopped.
        """
        self._buffer.push_many(records)

    def close(self) -> None:
        """Say that nothing more will be pushed; what waits is still processed."""
        self._buffer.close()
        self._tell_stopped()
        left = self._buffer.pending
        if self._last_batch_due and left and self._notify is not None:
            self._notify(FeedEvent("error", f"{left} records of {self.name} came too late for the last batch."))

    def start(self, *, interval_ms: int, zero_ms: int, notify: Callable[[FeedEvent], None]) -> None:
        self._buffer.start(interval_ms=interval_ms, zero_ms=zero_ms)
        self._notify = notify
        notify(FeedEvent("started", f"{self.name} takes records."))

    def set_rate(self, records_per_s: float | None) -> None:
        self._buffer.set_rate(records_per_s)

    def restart(self) -> None:
        """It never fails, so there is nothing to start again."""

    def begin_stop(self) -> None:
        self._buffer.close()
        self._tell_stopped(again=True)
        self._last_batch_due = True

    def _tell_stopped(self, *, again: bool = False) -> None:
        if self._notify is not None and (again or not self._stopped):
            self._stopped = True
            self._notify(FeedEvent("stopped", f"{self.name} takes no more records."))

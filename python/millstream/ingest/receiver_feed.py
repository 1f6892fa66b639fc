"""The feed in front of a user's receiver."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from millstream.environment.environment import Environment
from millstream.errors import ArgumentTypeError
from millstream.ingest.block_buffer import MAX_RECORDS, BlockBuffer, checked_rate
from millstream.ingest.buffered_feed import BufferedFeed
from millstream.ingest.process_session import ProcessSession, packed_receiver
from millstream.ingest.receiver_session import ReceiverSession
from millstream.ingest.session import Session, SessionLimits
from millstream.model.ports.block_feed import FeedEvent
from millstream.model.ports.receiver import Receiver

T = TypeVar("T")


class ReceiverFeed(BufferedFeed, Generic[T]):
    """Runs a receiver, and holds what it stores until a batch takes it.

    A receiver that fails (it raises in `on_start`, calls `restart`, its process dies) is ended at once and reported
    as `failed`; `restart` starts it again when whoever drives the feed finds the pause long enough.

    Args:
        receiver: the user's receiver.
        environment: clock and threads.
        process: run it in a Python process of its own, so that its work does not take the GIL from the driver's.
            It gets a pickled copy, made now and used for every start.
        max_records: records that may wait here; then `store` waits.
        full_timeout_s: how long it waits for room before it raises InputFullError, seconds; None: for ever.
        rate_per_s: limit of records a second, or None.
        limits: how long the receiver's methods may take.

    Raises:
        ArgumentTypeError: not an instance of `Receiver`.
        ShippingError: it is to run in a process and cannot be pickled.
    """

    def __init__(
        self,
        receiver: Receiver[T],
        environment: Environment,
        *,
        process: bool = False,
        max_records: int = MAX_RECORDS,
        full_timeout_s: float | None = None,
        rate_per_s: float | None = None,
        limits: SessionLimits | None = None,
    ) -> None:
        if not isinstance(receiver, Receiver):
            raise ArgumentTypeError(
                "A receiver stream needs a Receiver.",
                detail=f"{receiver!r} is of type {type(receiver).__name__}.",
                hint="Give an instance (not the class) of a subclass of millstream.Receiver.",
            )
        self.name = receiver.name
        self.max_rate = rate_per_s
        self.receiver = receiver
        self._environment = environment
        self._packed = packed_receiver(receiver) if process else None
        self._limits = limits if limits is not None else SessionLimits()
        self._buffer: BlockBuffer[T] = BlockBuffer(
            environment.clock, name=self.name, max_records=max_records, full_timeout_s=full_timeout_s
        )
        self._notify: Callable[[FeedEvent], None] = _unheard
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._stopping = False
        self.set_rate(rate_per_s)

    def start(self, *, interval_ms: int, zero_ms: int, notify: Callable[[FeedEvent], None]) -> None:
        self._notify = notify
        self._buffer.start(interval_ms=interval_ms, zero_ms=zero_ms)
        self._open_session()

    def wait_for_records(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` records can be taken or none will come any more; False when the time ran out first."""
        return self._buffer.wait_for_records(count, timeout_s)

    def wait_until_full(self, timeout_s: float) -> bool:
        """Wait until the receiver waits for room or none will come any more; False when the time ran out first."""
        return self._buffer.wait_until_full(timeout_s)

    def set_rate(self, records_per_s: float | None) -> None:
        self._rate_per_s = checked_rate(records_per_s, self.name)
        if self._packed is None:
            self._buffer.set_rate(records_per_s)
        if self._session is not None:
            self._session.set_rate(records_per_s)

    def set_room(self, records: int | None) -> None:
        self._buffer.set_room(records)

    def restart(self) -> None:
        with self._lock:
            session = self._session
        if session is not None:
            session.end(self._open_session)

    def begin_stop(self) -> None:
        with self._lock:
            self._stopping = True
            session = self._session
        if session is None:
            self._stopped()
            return
        session.end(self._stopped)
        # Why: a receiver that waits for room could not stop, and nobody makes room before it has stopped.
        self._buffer.drain()

    def close(self) -> None:
        with self._lock:
            stopping, self._stopping = self._stopping, True
            session = self._session
        if session is None:
            self._buffer.close()
        else:
            # Why not closed at once: a receiver that stops as it is told should not meet an error on its way out.
            session.end(self._buffer.close)
            self._buffer.drain()
        left = self._buffer.pending
        if stopping and left:
            self._notify(FeedEvent("error", f"{left} records of {self.name} came too late for the last batch."))

    def _open_session(self) -> None:
        with self._lock:
            if self._stopping:
                return
            session = self._new_session()
            self._session = session
        session.start()

    def _new_session(self) -> Session:
        if self._packed is None:
            return ReceiverSession(self.receiver, self._buffer, self._environment, self._report, self._limits)
        return ProcessSession(
            self.name, self._packed, self._buffer, self._environment, self._report, self._limits, self._rate_per_s
        )

    def _report(self, event: FeedEvent) -> None:
        self._notify(event)

    def _stopped(self) -> None:
        self._buffer.close()
        self._notify(FeedEvent("stopped", f"The receiver {self.name} has stopped."))


def _unheard(event: FeedEvent) -> None:
    """Before the start nobody listens, and nothing happens."""

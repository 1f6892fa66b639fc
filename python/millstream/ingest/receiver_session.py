"""A receiver that runs in threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from millstream.environment.environment import Environment
from millstream.errors import UserCodeError
from millstream.ingest.block_buffer import BlockBuffer
from millstream.ingest.deadline import Deadline
from millstream.ingest.session import Session, SessionLimits
from millstream.model.ports.block_feed import FeedEvent
from millstream.model.ports.receiver import Receiver, ReceiverHost


class ReceiverSession(Session, ReceiverHost):
    """One run of a receiver in this process.

    A thread of its own calls `on_start`, waits, and calls `on_stop`. While `on_start` blocks beyond its limit the
    receiver counts as started, and at the end `on_stop` is called beside it at once, since that is what makes it
    return.

    Args:
        receiver: the user's receiver.
        buffer: where its records go.
        environment: threads and time.
        report: told what happens; called from any thread.
        limits: how long the receiver may take.
        store: stores one whole block and returns when it is stored; None: into the buffer.
    """

    def __init__(
        self,
        receiver: Receiver[Any],
        buffer: BlockBuffer[Any],
        environment: Environment,
        report: Callable[[FeedEvent], None],
        limits: SessionLimits,
        store: Callable[[list[Any], Any], None] | None = None,
    ) -> None:
        self._receiver = receiver
        self._buffer = buffer
        self._environment = environment
        self._report = report
        self._limits = limits
        self._store = store if store is not None else lambda run, position: buffer.store_block(run, len(run), position)
        self.store_one = buffer.push  # type: ignore[method-assign]  # Why: one call less for each record.
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._start_known = False
        self._on_start_over = False
        self._on_start_blocks = False
        self._on_stop_called = False
        self._over = False
        self._goodbye: FeedEvent | None = None
        self._then: list[Callable[[], None]] = []
        self._start_deadline: Deadline | None = None
        self._stop_deadline: Deadline | None = None

    def start(self) -> None:
        self._receiver.attach(self)
        name = self._receiver.name
        self._start_deadline = Deadline(
            self._environment, f"start of {name}", self._limits.start_s, self._on_start_late
        )
        self._environment.start_thread(f"receiver {name}", self._run)

    def end(self, then: Callable[[], None]) -> None:
        self.when_over(then)
        self._begin_end()

    def when_over(self, then: Callable[[], None]) -> None:
        """Have `then` called once the session is over, whoever ends it; at once when it is over already."""
        with self._lock:
            over = self._over
            if not over:
                self._then.append(then)
        if over:
            then()

    def store_one(self, record: Any) -> None:
        self._buffer.push(record)

    def store_many(self, records: Iterable[Any], position: Any) -> None:
        self._store(list(records), position)

    def report_error(self, message: str, error: BaseException | None) -> None:
        self._report(FeedEvent("error", message, error))

    def restart(self, message: str, error: BaseException | None, delay_s: float | None) -> None:
        self._fail(FeedEvent("failed", message, error, delay_s))

    def stop(self, message: str, error: BaseException | None) -> None:
        self._know_start()
        with self._lock:
            if self._ending.is_set():
                return
            self._goodbye = FeedEvent("stopped", message, error)
            self._ending.set()
        self._begin_end()

    def is_stopped(self) -> bool:
        return self._ending.is_set()

    def _run(self) -> None:
        try:
            self._receiver.on_start()
        except BaseException as error:  # Why not only Exception: SystemExit would end the thread without a word.
            failure: BaseException | None = error
        else:
            failure = None
        with self._lock:
            self._on_start_over = True
        if self._start_deadline is not None:
            self._start_deadline.cancel()
        if failure is None:
            self._know_start()
        else:
            raised = self._user_error("on_start", failure)
            if not self._fail(FeedEvent("failed", raised.message, raised)):
                self._report(FeedEvent("error", raised.message, raised))
        self._ending.wait()
        if self._claim_on_stop():
            self._stop_receiver()

    def _fail(self, event: FeedEvent) -> bool:
        """Report a failure and end the session; False, and nothing, when it is ending already."""
        with self._lock:
            if self._ending.is_set():
                return False
            self._ending.set()
        self._report(event)
        self._begin_end()
        return True

    def _on_start_late(self) -> None:
        if self._on_start_over or self._ending.is_set():
            return
        self._on_start_blocks = True
        limit_s = self._limits.start_s
        error = UserCodeError(
            f"on_start of the receiver {self._receiver.name} must not block.",
            operator="receiver",
            detail=f"It has not returned within {limit_s:g} s. What it stores is processed nevertheless.",
            hint="Start a thread in on_start and return; the thread runs until is_stopped() is true.",
        )
        self._report(FeedEvent("error", error.message, error))
        self._know_start()

    def _know_start(self) -> None:
        with self._lock:
            known = self._start_known or self._ending.is_set()
            self._start_known = True
        if not known:
            self._report(FeedEvent("started", f"The receiver {self._receiver.name} runs."))

    def _begin_end(self) -> None:
        with self._lock:
            if self._stop_deadline is None and not self._over:
                self._stop_deadline = Deadline(
                    self._environment, f"end of {self._receiver.name}", self._limits.stop_s, self._end_late
                )
        self._ending.set()
        if self._on_start_blocks and not self._on_start_over and self._claim_on_stop():
            self._environment.start_thread(f"on_stop of {self._receiver.name}", self._stop_receiver)

    def _claim_on_stop(self) -> bool:
        with self._lock:
            claimed = not self._on_stop_called
            self._on_stop_called = True
            return claimed

    def _stop_receiver(self) -> None:
        try:
            self._receiver.on_stop()
        except BaseException as error:
            raised = self._user_error("on_stop", error)
            self._report(FeedEvent("error", raised.message, raised))
        self._finish()

    def _end_late(self) -> None:
        if self._claim_on_stop():
            self._environment.start_thread(f"on_stop of {self._receiver.name}", self._stop_receiver)
            with self._lock:
                if not self._over:
                    self._stop_deadline = Deadline(
                        self._environment, f"end of {self._receiver.name}", self._limits.stop_s, self._give_up
                    )
        else:
            self._give_up()

    def _give_up(self) -> None:
        if self._over:
            return
        error = UserCodeError(
            f"on_stop of the receiver {self._receiver.name} has not returned.",
            operator="receiver",
            detail=f"It was given {self._limits.stop_s:g} s. Its threads may still run; they are left behind.",
            hint="Make on_stop wake its threads and return, and join them with a time limit.",
        )
        self._report(FeedEvent("error", error.message, error))
        self._finish()

    def _finish(self) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
            then, self._then = self._then, []
        if self._stop_deadline is not None:
            self._stop_deadline.cancel()
        if self._goodbye is not None:
            self._report(self._goodbye)
        for call in then:
            call()

    def _user_error(self, method: str, cause: BaseException) -> UserCodeError:
        error = UserCodeError(
            f"The receiver {self._receiver.name} raised {type(cause).__name__} in {method}: {cause}",
            operator="receiver",
            detail=f"{type(self._receiver).__qualname__}.{method}.",
            hint="The traceback of the cause shows the line.",
        )
        error.__cause__ = cause
        return error

"""What logs share that make durable together what waits together."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from millstream.blocks.log import Bytes, Log
from millstream.environment.logger import logger
from millstream.errors import FencedError, LifecycleError, MillstreamError, StorageUnavailableError

WAITING_BYTES_MAX = 8 << 20
"""How much `write` leaves in memory, bytes; the call that goes beyond waits like `append`."""

Background = Callable[[str, Callable[[], None]], object]
"""Runs a function in a thread of that name."""


@dataclass(slots=True, eq=False)
class Run:
    """Records that one call gave.

    Attributes:
        first: the number of the first of them.
        records: kind and bytes of each; a mark has none.
        payload_bytes: of all of them together.
        awaited: whether the call waits for them; then they are the caller's to give again after an error.
        is_mark: whether a group is to be made though there are no records, so that a release becomes durable.
        done: durable, or failed with `error`.
        error: why they are not durable.
    """

    first: int
    records: list[tuple[int, Bytes]]
    payload_bytes: int
    awaited: bool
    is_mark: bool = False
    done: bool = False
    error: BaseException | None = None


class GroupedLog(Log):
    """A log whose calls wait for each other's records: one of them leads and makes durable what all have given.

    Records get their numbers when they are given. The leader is the first call that finds none; when its own records
    are durable it leaves, and one of those that came meanwhile leads.

    Args:
        folder: the folder of this log alone, named in errors.
        read_only: whether nothing may be changed.
        background: runs the removal of what was released; None: the thread that releases does it.
    """

    def __init__(self, folder: str, *, read_only: bool, background: Background | None = None) -> None:
        self._folder = folder
        self._read_only = read_only
        self._background = background
        self._sweeping = False
        self._is_closed = False
        # Guards what waits and who leads, and is never held long. Why not a lock that the leader holds: those whose
        # records it made durable would queue for it with those that come anew, and the next group would have few.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._leading = False
        self._followers = 0
        self._next_number = 0
        self._keep_waiting([])

    @property
    def next_number(self) -> int:
        return self._next_number

    def append(self, records: Sequence[tuple[int, Bytes]]) -> int:
        run = self._enqueue(list(records), awaited=True)
        self._await(run)
        return run.first

    def write(self, records: Sequence[tuple[int, Bytes]]) -> int:
        kept = [(kind, data if isinstance(data, bytes) or data.readonly else bytes(data)) for kind, data in records]
        run = self._enqueue(kept, awaited=False)
        if run.awaited:
            self._await(run)
        return run.first

    @abstractmethod
    def _flush(self) -> None:
        """Make what waits durable, or a part of it that begins with the oldest; called by who leads.

        What is durable is `done`. An error goes into the runs that are awaited, which are done with it; what `write`
        had left goes on waiting.
        """

    @abstractmethod
    def _remove_released(self) -> None:
        """Make it durable what was released, and then remove it; called by one thread at a time.

        Raises:
            StorageUnavailableError: something stays for the next time.
        """

    def _sweep(self) -> None:
        """Remove what was released, once: a sweep under way is not joined by another."""
        with self._lock:
            if self._sweeping:
                return
            self._sweeping = True
        if self._background is None:
            self._sweep_now()
        else:
            self._background("millstream-sweep", self._sweep_now)

    def _sweep_now(self) -> None:
        try:
            self._remove_released()
        except StorageUnavailableError as error:
            logger.warning("Files of %s that are not needed any more stay for now: %s", self._folder, error)
        except (FencedError, LifecycleError):
            # Why nothing: the next append says that this driver is fenced; and a log that was closed is swept by the
            # next one that opens it.
            return
        finally:
            with self._lock:
                self._sweeping = False
                self._changed.notify_all()

    def _wait_for_sweep(self) -> None:
        with self._lock:
            while self._sweeping:
                self._changed.wait()

    def _enqueue(self, records: list[tuple[int, Bytes]], *, awaited: bool, is_mark: bool = False) -> Run:
        payload_bytes = sum([len(data) if isinstance(data, bytes) else data.nbytes for _, data in records])
        with self._lock:
            self._check_usable()
            run = Run(self._next_number, records, payload_bytes, awaited, is_mark)
            self._next_number += len(records)
            self._waiting.append(run)
            if not awaited:
                self._waiting_bytes += payload_bytes
                run.awaited = self._waiting_bytes > WAITING_BYTES_MAX
        return run

    def _keep_waiting(self, runs: list[Run]) -> None:
        """Have these runs wait, and no others; called with `_lock` held."""
        self._waiting = runs
        self._waiting_bytes = sum([run.payload_bytes for run in runs if not run.awaited]) if runs else 0

    def _await(self, run: Run) -> None:
        """Return when a run is durable; raise what it failed with."""
        if self._becomes_leader(run):
            try:
                self._flush()
                while not run.done:
                    self._wake()
                    self._flush()
            finally:
                self._leave()
        error = run.error
        if error is None:
            return
        if isinstance(error, MillstreamError):
            # Why anew: each of several threads gets a traceback of its own.
            raise type(error)(error.message, detail=error.detail, hint=error.hint) from error
        raise error

    def _becomes_leader(self, run: Run | None = None) -> bool:
        """Wait until nobody leads, and lead; False when the run is done before."""
        with self._lock:
            while self._leading and (run is None or not run.done):
                self._followers += 1
                self._changed.wait()
                self._followers -= 1
            if run is not None and run.done:
                return False
            self._leading = True
            return True

    def _leave(self) -> None:
        with self._lock:
            self._leading = False
            if self._followers:
                self._changed.notify_all()

    def _wake(self) -> None:
        """Have those who wait look whether they are done."""
        with self._lock:
            if self._followers:
                self._changed.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep everybody else from making a group."""
        self._becomes_leader()
        try:
            yield
        finally:
            self._leave()

    def _check_usable(self) -> None:
        """Raise LifecycleError when the log takes no records."""
        if self._is_closed or self._read_only:
            raise LifecycleError(
                f"The log {self._folder} takes no records.",
                detail="It was closed." if self._is_closed else "It was opened to be read only.",
                hint="Open the log again, for writing.",
            )

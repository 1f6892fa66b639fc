"""The journal: the log of control decisions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from millstream.errors import InternalError
from millstream.recovery.decisions import BatchDone, Decision


class Journal(ABC):
    """The port behind which decisions are kept.

    The decisions of one batch come in the order BatchPlanned, StateDelta, BatchPrepared, BatchDone; BatchDone of
    different batches in order of batch time; those of the next batch may lie between. A decision may be appended
    again when its first append failed or the step around it is repeated.
    """

    @abstractmethod
    def append(self, *decisions: Decision) -> None:
        """Write decisions behind all others, next to each other.

        When it returns they, and all before them, are as durable as this journal can make them.

        Raises:
            StorageUnavailableError: they may or may not be kept; do not act on them, and append them again.
            FencedError: another driver owns the journal; stop.
        """

    @abstractmethod
    def note(self, decision: Decision) -> None:
        """Write a decision that may wait for the next `append` to become durable, such as BatchDone.

        A crash between the two makes the batch run again, and the sinks know that they have it.
        """

    @abstractmethod
    def decisions(self) -> Iterator[Decision]:
        """Give the decisions that are kept, oldest first.

        At least those of all batches without BatchDone, and of the newest batch with it.
        """


class MemoryJournal(Journal):
    """A journal that lasts as long as the process.

    It is bounded: with each BatchDone it forgets everything at or before the BatchDone before that.

    Example:
        >>> journal = MemoryJournal()
        >>> for time_ms in (1_000, 2_000, 3_000):
        ...     journal.note(BatchDone(time_ms))
        >>> list(journal.decisions())
        [BatchDone(time_ms=3000)]
    """

    def __init__(self) -> None:
        self._decisions: list[Decision] = []
        self._done_ms: int | None = None

    def append(self, *decisions: Decision) -> None:
        for decision in decisions:
            self.note(decision)

    def note(self, decision: Decision) -> None:
        """Keep a decision.

        Raises:
            InternalError: a BatchDone is earlier than the one before.
        """
        if isinstance(decision, BatchDone):
            if decision.time_ms == self._done_ms:
                return
            self._forget_before(decision)
        self._decisions.append(decision)

    def _forget_before(self, done: BatchDone) -> None:
        before_ms = self._done_ms
        if before_ms is not None:
            if done.time_ms < before_ms:
                raise InternalError(
                    "Batches ended out of order.", detail=f"The batch {done.time_ms} ended after {before_ms}."
                )
            self._decisions = [decision for decision in self._decisions if decision.time_ms > before_ms]
        self._done_ms = done.time_ms

    def decisions(self) -> Iterator[Decision]:
        return iter(tuple(self._decisions))

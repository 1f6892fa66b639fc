"""The journal that survives the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from millstream.blocks.log import Log
from millstream.recovery.decisions import Decision
from millstream.recovery.history import History
from millstream.recovery.journal import Journal
from millstream.recovery.records import decision_of, record_of

TOLD_EVERY = 256
"""After how many records it is told how far the reading has come."""


class LogJournal(Journal):
    """Decisions as records of a log.

    State deltas are records of it too, so that one sync makes a batch's deltas durable together with its
    BatchPrepared. The driver's thread alone writes.

    Args:
        log: where the records go; closed with the journal. Its records are read once, now.
        tell_read: told now and then how many records were read, and how many there are.

    Attributes:
        history: what all decisions in it come to, up to the newest.

    Raises:
        CorruptSegmentError: bytes that had been durable are wrong.
        IncompatibleCheckpointError: a newer version wrote it.
    """

    def __init__(self, log: Log, tell_read: Callable[[int, int], None] | None = None) -> None:
        self._log = log
        self.history = History()
        decisions = self.numbered()
        self.history.fold(decisions if tell_read is None else _told(decisions, log.next_number, tell_read))

    @property
    def next_number(self) -> int:
        """The number that the next decision gets."""
        return self._log.next_number

    @property
    def size_bytes(self) -> int:
        """How much room the journal takes."""
        return self._log.size_bytes

    def append(self, *decisions: Decision) -> None:
        first = self._log.append([record_of(decision) for decision in decisions])
        self.history.fold(enumerate(decisions, first))

    def note(self, decision: Decision) -> None:
        self.history.take(decision, self._log.write([record_of(decision)]))

    def decisions(self) -> Iterator[Decision]:
        return (decision for _, decision in self.numbered())

    def numbered(self, first: int = 0) -> Iterator[tuple[int, Decision]]:
        """Give the decisions that are kept from a number on, each with its number.

        Raises:
            CorruptSegmentError: bytes that had been durable are wrong.
            IncompatibleCheckpointError: a newer version wrote them.
        """
        return ((record.number, decision_of(record)) for record in self._log.read(first))

    def release(self, before: int) -> None:
        """Forget the decisions before a number."""
        self._log.release(before)

    def close(self) -> None:
        """Let go of the log."""
        self._log.close()


def _told(
    decisions: Iterator[tuple[int, Decision]], end: int, tell_read: Callable[[int, int], None]
) -> Iterator[tuple[int, Decision]]:
    first: int | None = None
    for number, decision in decisions:
        first = number if first is None else first
        yield number, decision
        if (number - first) % TOLD_EVERY == 0:
            tell_read(number + 1 - first, end - first)

"""The port of sinks: staged by tasks, committed once for each batch."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from millstream.model.batch import Batch
from millstream.model.partition import Partition

T_contra = TypeVar("T_contra", contravariant=True)

Receipt: TypeAlias = Any
"""What `stage` gives back: small plain data that tells `commit` and `discard` what was staged."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.]+")
SLUG_CHARACTERS = 60
"""Characters of an output's name that its key carries."""


@dataclass(frozen=True, slots=True)
class SinkLineage:
    """Whose commits these are.

    Attributes:
        lineage_id: the identity of one unbroken history of the program.
        output: the name of the output operation, unique in the program.
        epoch: counts the drivers of this lineage; part of every staged name. 0: the program has no checkpoint, and
            no later driver.
        note: what this output's sink had noted (`Sink.note`) when the newest driver before had opened it, or None.
        removed: what the sinks of outputs had noted that earlier drivers opened and this program has no more.
    """

    lineage_id: str
    output: str
    epoch: int = 0
    note: Any = None
    removed: tuple[Any, ...] = ()

    @property
    def key(self) -> str:
        """A short name of history and output, fit for file names: readable, and another one for every other of them.

        Example:
            >>> SinkLineage("lineage-1", "word counts").key
            'word-counts-097a78f96fb2'
        """
        slug = _NOT_IN_NAMES.sub("-", self.output)[:SLUG_CHARACTERS].strip("-.") or "output"
        identity = "\0".join((self.lineage_id, self.output)).encode()
        return f"{slug}-{hashlib.blake2s(identity, digest_size=6).hexdigest()}"


class Sink(ABC, Generic[T_contra]):
    """Where the records of a batch go, exactly once.

    `open`, `commit`, `discard` and `close` are called on the driver, one at a time, not always from the same thread;
    `stage` on executors, from a pickled copy of the opened object, or from that object itself. For each batch:
    `stage` for every partition (again for a retried attempt), then `commit` with the receipts of one complete
    attempt, in order of batch time; or `discard`.

    A crash after `stage` leaves staged data that nobody sees; `open` of the next driver may clear it. A crash in or
    after `commit`, before the engine noted it, makes the engine ask `open` which batch was newest: so commit and the
    record of it must be one atomic step. The next driver may have another number of partitions.

    A driver that was paused may wake up when its successor, which has a larger epoch, is at work. Whatever it does
    then must change nothing: `open` leaves the epoch where `commit` looks.

    `millstream.testing.conformance.SinkSuite` tests all this; docs/custom-sinks.md shows a whole sink.
    """

    name: str = "sink"
    """Shown in errors, events and the UI."""

    @abstractmethod
    def open(self, lineage: SinkLineage) -> int | None:
        """Get ready and give the newest committed batch time of this lineage and output, in ms, or None.

        Called once by each driver, before anything is staged. Batches without records need not be remembered.

        Raises:
            InvalidError: the sink can never work as configured.
            FencedError: a driver of a larger epoch has opened this output.
            SinkUnavailableError: it may work later; the engine tries again.
        """

    def note(self) -> Any:
        """Give what later drivers have to know to open this output, or None: plain data, kept in the checkpoint.

        Asked for after `open`, kept before the first batch runs. The next driver's sink gets it as `lineage.note`, and
        if the next program has the output no more, every sink of that program in `lineage.removed`. It must hold no
        secrets.
        """
        return None

    @abstractmethod
    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        """Write one partition so that nobody sees it yet. May be called again for the same partition.

        Names must carry epoch, batch time and `batch.attempt`, so that a late attempt cannot touch another's. What
        reading the records raises is passed on.

        Raises:
            ArgumentTypeError, DataError: a record does not fit; name it. The stream stops.
            SinkUnavailableError: may pass; the attempt is discarded, and the batch is run again.
        """

    @abstractmethod
    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        """Make the batch visible in one atomic step. Idempotent: a batch that is committed stays as it is.

        Args:
            batch: the batch; its time is larger than that of every commit before.
            receipts: what `stage` gave, in order of partitions.

        Raises:
            FencedError: a newer driver has opened this output: stop.
            SinkUnavailableError: may pass, or whether it went through is not known; commit is called again.
            DataError: the target refuses a record; name it. The stream stops.
        """

    @abstractmethod
    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        """Throw away what an attempt staged. Never raises for data that is gone already."""

    def close(self) -> None:
        """Let go of everything. Called once at stop; not called after a crash."""

"""The port of sources that can be asked for the same data again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from millstream.model.offset_range import OffsetRange
from millstream.model.partition import Partition

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Split:
    """What one task reads: plain data that is journalled and read back as it was.

    Attributes:
        data: None, bool, int, float, str, bytes, or lists and dicts of these; everything that pins the records
            (an offset range; path, size and mtime of a file).
        records: how many records the split holds, or None when only reading can tell.
        description: one line for people, such as a path or `topic[0] 10..20`.
    """

    data: Any
    records: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one batch reads from a source, and where the next one goes on.

    Attributes:
        splits: the splits of the batch, in the order of their records.
        position: plain data; handed to the next `plan` as `after`, and to `open` after a restart. One that is a
            mapping and grows long may be told as a `PositionChange` against the position before: the next `plan` is
            handed that same object, and `open` the mapping that all changes come to.
        remaining: how many records (or files) are known to wait behind the plan, or None; for admission.
        lags: the same for each part of the source, such as `lines[0]`; for those who watch it.
    """

    splits: list[Split] = field(default_factory=list)
    position: Any = None
    remaining: int | None = None
    lags: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Something that a source tells those who watch the stream; it changes nothing.

    Attributes:
        kind: `lost` (records will never be read, by a policy of the user's), `unreachable` or `reachable` (once each,
            however often it is tried between).
        message: one line.
        records: how many were lost, as far as known.
    """

    kind: Literal["lost", "unreachable", "reachable"]
    message: str
    records: int | None = None


class ReplayableSource(ABC, Generic[T]):
    """A source whose records can be read again: files, Kafka, Kinesis.

    The object is made by the user's program, used on the driver (`open`, `plan`, `release`, `close`, always
    from one thread), and sent pickled to executors, which call only `read`. So keep connections out of the
    pickled state and open them on first use.

    A crash between `plan` and the end of the batch is harmless: the plan is in the journal and the batch runs
    again with the same splits. A crash before the plan is journalled loses only the plan: the next one starts
    from the same position.
    """

    name: str = "source"
    """Shown in errors, events and the UI."""

    limits_records: bool = False
    """Whether `limit` in `plan` counts records: then a rate controller sets it, below the user's."""

    @abstractmethod
    def open(self, position: Any) -> None:
        """Get ready to plan. Called once, before the first `plan`.

        Args:
            position: the last journalled position, or None at the very first start.

        Raises:
            InvalidError: the source can never work as configured (missing directory, unknown topic).
            SourceUnavailableError: it may work later; the engine tries again.
        """

    @abstractmethod
    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Say what belongs to the batch of `batch_ms`.

        Called once for each batch, in order of batch time, and again with the same arguments after a failure.
        Must be quick: the batch waits for it. Be careful not to give any record twice or leave one out:
        the next call gets this call's position as `after`.

        Args:
            batch_ms: batch time, milliseconds since the epoch.
            after: the position of the plan before, or the one given to `open`.
            limit: most records (for files: most files) that the batch should take, or None.
        """

    def confirm(self, splits: Sequence[Split]) -> Sequence[Split]:
        """Say which splits of an earlier plan can still be read. Asked on the driver, before a batch runs again.

        For what `read` cannot notice on an executor, such as a topic that was deleted and made anew.

        Args:
            splits: of one batch, planned by this driver or an earlier one.

        Returns:
            The same splits, in the same order; fewer where a policy of the user's leaves some out, which is reported.

        Raises:
            SourceUnavailableError: may pass; the batch is tried again.
            DataError: what a split pinned has changed or is gone.
        """
        return splits

    @abstractmethod
    def read(self, split: Split) -> Partition[T]:
        """Read one split, on an executor. The same split always gives the same records in the same order.

        Raises:
            SourceUnavailableError: may pass; the batch is tried again.
            DataError: what the split pinned has changed or is gone.
        """

    def ranges(self, splits: Sequence[Split]) -> tuple[OffsetRange, ...]:
        """Give the offsets of splits, where they are ranges of offsets; a user's function may ask for them."""
        return ()

    @property
    def invalid(self) -> int:
        """How much was read since the start that is no record as it is, and was repaired or left out.

        Asked on the driver, before and after each attempt at a batch; the difference is in the batch's event. As
        `read` runs on executors, count with an accumulator.
        """
        return 0

    def done(self, batch_ms: int) -> None:
        """Hear that every output has committed the batch of `batch_ms`. Not guaranteed to be called."""

    def reports(self) -> Sequence[SourceReport]:
        """Take what happened since the last call. Asked on the driver, after each plan and each batch."""
        return ()

    def release(self, before_ms: int) -> None:
        """Forget what only batches before `before_ms` needed. Not guaranteed to be called."""

    def close(self) -> None:
        """Let go of everything. Called once at stop; not called after a crash."""

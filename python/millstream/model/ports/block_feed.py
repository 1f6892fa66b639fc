"""The port behind every pushed input: whatever holds blocks until a batch takes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from millstream.model.partition import PartitionData
from millstream.model.ports.replayable_source import ReplayableSource, SourceReport


@dataclass(frozen=True, slots=True)
class Block:
    """An immutable run of records that arrived together.

    Attributes:
        data: the records.
        records: how many.
        batch_ms: the batch time of the grid slot in which the block was sealed; the block goes to the first
            planned batch at or after it.
        position: where the sender stood after the block, or None.
        invalid: how many of what arrived with it were no records as they came, and were repaired or left out.
        number: its id in the write-ahead log, or None while it is not there.
    """

    data: PartitionData
    records: int
    batch_ms: int
    position: Any = None
    invalid: int = 0
    number: int | None = None


class BlockStore(ABC):
    """Where blocks become durable before their sender is told that they arrived."""

    @abstractmethod
    def store(self, input: str, data: PartitionData, records: int, batch_ms: int, position: Any, invalid: int) -> int:
        """Make a block durable; any thread may call, and waits for the disk.

        Returns:
            The block's number.

        Raises:
            StorageUnavailableError: it may be durable or not; do not acknowledge it.
            EncodingError: a record of it cannot be encoded.
        """


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """Something that happened to an input.

    Attributes:
        kind: `started`, `failed`, `stopped`, `error` (it goes on), `reconnected`.
        message: one line.
        error: the exception, or None.
        delay_s: the pause that the receiver asked for before its restart, or None.
    """

    kind: str
    message: str = ""
    error: BaseException | None = None
    delay_s: float | None = None


class BlockFeed(ABC):
    """An input whose records were pushed and wait in memory.

    `start`, `take`, `hold`, `resume`, `restart`, `stop` are called by the driver's thread; filling happens
    elsewhere. The room is bounded: when it is full the feed slows whoever fills it.
    """

    name: str = "feed"
    gives_columns: bool = False
    """Whether the blocks are columns: what these need is loaded at the start then."""

    make: Callable[[Any], list[Any]] | None = None
    """Makes the records of its blocks' tables, where they are more than dicts; a function of a module."""

    reads: ReplayableSource[Any] | None = None
    """Makes records of what its blocks hold, in the tasks: each split has data of blocks. None: they hold records."""

    max_rate: float | None = None
    """The limit that the user gave it when it was made, records a second; a rate controller stays below it."""

    rate_control: Literal["always", "measured", "never"] = "always"
    """Whether a rate controller calls `set_rate`: from the start, only after something was measured, or never."""

    @abstractmethod
    def start(self, *, interval_ms: int, zero_ms: int, notify: Callable[[FeedEvent], None]) -> None:
        """Begin to receive, without blocking. `notify` may be called from any thread, with one event each."""

    def persist(self, name: str, store: BlockStore, position: Any) -> None:  # noqa: B027 - most acknowledge nothing
        """Be told, before the start, that blocks have to be durable before they are acknowledged.

        A feed whose senders wait for nothing can leave it: the driver makes its blocks durable with their batch.

        Args:
            name: of the input.
            store: where blocks become durable.
            position: the newest durable position of the sender, or None; what is at or before it comes a second time.
        """

    @abstractmethod
    def take(self, until_ms: int) -> list[Block]:
        """Seal and hand over, oldest first, every block of grid slots up to `until_ms`. Must take microseconds."""

    def lags(self, blocks: Sequence[Block]) -> Mapping[str, int]:
        """Say how many records wait at the sender behind these blocks, which a batch gets, in each part; {}: unknown.

        Called with the blocks of each batch, once or, when its plan is tried again, more often. Must not wait.
        """
        return {}

    def reports(self) -> Sequence[SourceReport]:
        """Take what happened since the last call. Asked by the driver's thread, after each plan and each batch."""
        return ()

    @abstractmethod
    def hold(self) -> None:
        """Stop taking records in (admission); what is there stays."""

    @abstractmethod
    def resume(self) -> None:
        """Take records in again."""

    @abstractmethod
    def set_rate(self, records_per_s: float | None) -> None:
        """Change the limit of records a second; None: no limit."""

    def set_room(self, records: int | None) -> None:  # noqa: B027 - a feed may leave it at the rate
        """Let no more than so many records wait, as well as by its own limit; None: only by that.

        Set together with a rate, to what this lets in within little more than a batch: while a batch takes much longer
        than it should, records of about one batch come in, and the sender waits then.
        """

    @abstractmethod
    def restart(self) -> None:
        """Start again after a failure."""

    @abstractmethod
    def begin_stop(self) -> None:
        """Ask the feed to stop receiving; returns at once. A `stopped` event follows; blocks stay for `take`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything, without waiting long."""

"""The buffer of pushed records: threads push, the driver takes blocks."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from millstream.environment.clock import Clock
from millstream.errors import ConfigurationError, InputFullError, LifecycleError
from millstream.model.choices import one_of
from millstream.model.partition import PartitionData
from millstream.model.ports.block_feed import Block, BlockStore
from millstream.model.positions import is_repeated, newest_position

if TYPE_CHECKING:
    from millstream._core import TokenBucket

T = TypeVar("T")

OnFull: TypeAlias = Literal["block", "raise"]
"""What a push does while there is no room: wait, or raise InputFullError."""

MAX_RECORDS = 1_000_000
"""Records that may wait where nothing else is said: ten seconds of 100,000 a second, some 100 MB of short strings."""

BLOCK_MAX_RECORDS = 65_536
"""Records of one block where nothing else is said: enough to make a task's fixed cost vanish."""

WATCH_MS = 20
"""How often those who watch look by themselves; a push that was on its way when the wait began tells nobody."""


class BlockBuffer(Generic[T]):
    """Records that wait for the driver, in the order in which they came.

    Any thread may push. Single records are sealed into blocks when a batch takes them; a block that was stored
    whole keeps its boundary and its position, and belongs to the batch in whose interval it arrived.

    Args:
        clock: stamps whole blocks.
        name: of the input, for errors.
        max_records: records that may wait, >= 1. Each thread that pushes at the very same moment may exceed it by
            one record, and one block larger than all the room is let in when nothing else waits.
        on_full: what pushing does while there is no room, while the buffer is held, or over the rate limit.
        full_timeout_s: with `on_full="block"`, how long a push waits before it raises; None: for ever.
        block_max_records: larger runs of single records become several blocks, >= 1.

    Example:
        >>> from millstream.environment.clock import ManualClock
        >>> buffer = BlockBuffer(ManualClock(10.2), name="numbers")
        >>> buffer.start(interval_ms=1_000, zero_ms=0)
        >>> buffer.push(1); buffer.push(2); buffer.store_block([3], 1, position="p3"); buffer.push(4)
        >>> [(list(block.data), block.batch_ms) for block in buffer.take(11_000)]
        [([1, 2], 11000), ([3], 11000), ([4], 11000)]
    """

    def __init__(
        self,
        clock: Clock,
        *,
        name: str,
        max_records: int = MAX_RECORDS,
        on_full: OnFull = "block",
        full_timeout_s: float | None = None,
        block_max_records: int = BLOCK_MAX_RECORDS,
    ) -> None:
        one_of("on_full", on_full, OnFull)
        self._clock = clock
        self._name = name
        self._max_records = self._room_records = _at_least_one(max_records, "max_records")
        self._on_full = on_full
        self._full_timeout_s = full_timeout_s
        self._block_max_records = _at_least_one(block_max_records, "block_max_records")
        self._interval_ms = 0
        self._zero_ms = 0
        self._taken_ms = 0
        # Why a list: append, slice and deletion of a slice are one step each under the GIL, so a push needs no lock.
        self._open: list[T] = []
        self._stored: deque[Block] = deque()
        self._stored_records = 0
        self._input = name
        self._store: BlockStore | None = None
        self._newest_position: Any = None
        self._changed = threading.Condition()
        self._waiting = 0
        self._watching = 0
        self._bucket: TokenBucket | None = None
        self._held = False
        self._draining = False
        self._closed = False
        self._room = self._max_records
        self._room_beside_rate = self._max_records

    @property
    def pending(self) -> int:
        """How many records wait."""
        return len(self._open) + self._stored_records

    def persist(self, input: str, store: BlockStore, position: Any) -> None:
        """Make whole blocks durable before `store_block` returns, from now on.

        Args:
            input: the input that they belong to.
            store: where they become durable.
            position: the newest one that is durable already, or None.
        """
        self._input = input
        self._store = store
        self._newest_position = position

    def start(self, *, interval_ms: int, zero_ms: int) -> None:
        """Name the grid of batch times, `zero_ms + k * interval_ms`, by which whole blocks are stamped from now on."""
        with self._changed:
            self._interval_ms = interval_ms
            self._zero_ms = zero_ms

    def push(self, record: T) -> None:
        """Add one record, behind all that came before.

        Raises:
            InputFullError: there was no room (in time); the record was not taken.
            LifecycleError: the buffer is closed.
        """
        records = self._open
        if len(records) >= self._room:
            self._push_slowly(record)
        else:
            records.append(record)

    def push_many(self, records: Iterable[T]) -> None:
        """Add many records next to each other: all of them, or none when it raises."""
        run = list(records)
        if run:
            self.admit(len(run))
            with self._changed:
                self._await_room(len(run))
                self._open.extend(run)
                self._tell_watchers()

    def store_block(self, data: PartitionData, records: int, position: Any = None) -> None:
        """Add a whole block and return when it is stored: durable, where the program has a checkpoint.

        In a program with a checkpoint a block whose position is at or before one that was stored came before and is
        dropped.

        Args:
            data: the records; must not change any more.
            records: how many, >= 0; a block without records only carries its position.
            position: where the sender stood after the block, or None. Positions can be compared; a mapping has one
                for each sequence of the sender.

        Raises:
            InputFullError: there was no room (in time).
            LifecycleError: the buffer is closed.
            StorageUnavailableError: the block may be durable or not: have it sent again.
        """
        # Why only then: without a checkpoint nothing is acknowledged for good, and positions mean what the sender says.
        if self._store is not None and is_repeated(position, self._newest_position):
            return
        self.admit(records)
        with self._changed:
            self._await_room(records)
            # Room is taken before the block is made durable, so that it fits when it is.
            self._stored_records += records
        number = None
        try:
            if self._store is not None:
                # Why without the lock: nobody else should wait for the disk.
                number = self._store.store(self._input, data, records, self._slot_ms(), position, 0)
        except BaseException:
            with self._changed:
                self._stored_records -= records
                self._changed.notify_all()
            raise
        with self._changed:
            if number is not None:
                self._newest_position = newest_position(position, self._newest_position)
            batch_ms = self._slot_ms()
            self._seal(batch_ms)
            self._stored.append(Block(data, records, batch_ms, position, number=number))
            self._set_room()
            self._tell_watchers()

    def take(self, until_ms: int) -> list[Block]:
        """Give, oldest first, all blocks of batch times up to `until_ms`, and the single records pushed until now."""
        stored = self._stored
        with self._changed:
            self._taken_ms = until_ms
            # Invariant: open records came after every stored block, because storing a block seals them first.
            # So they wait too while a block of a later batch waits.
            if self._open and (not stored or stored[-1].batch_ms <= until_ms):
                self._seal(until_ms)
            blocks: list[Block] = []
            while stored and stored[0].batch_ms <= until_ms:
                block = stored.popleft()
                self._stored_records -= block.records
                blocks.append(block)
            if blocks:
                self._set_room()
                if self._waiting:
                    self._changed.notify_all()
        return blocks

    def hold(self) -> None:
        """Take nothing in until `resume`; what is there can be taken out."""
        with self._changed:
            self._held = True
            self._set_room()

    def resume(self) -> None:
        """Take records in again."""
        with self._changed:
            self._held = False
            self._set_room()
            self._changed.notify_all()

    def set_rate(self, records_per_s: float | None) -> None:
        """Limit the records taken in, of either kind, to so many a second; None: no limit.

        Raises:
            ConfigurationError: the rate is not a positive number. To take nothing in, use `hold`.
        """
        checked_rate(records_per_s, self._name)
        with self._changed:
            bucket = self._bucket
            if records_per_s is None:
                self._bucket = None
                if bucket is not None:
                    bucket.close()
            elif bucket is None:
                from millstream._core import TokenBucket

                self._bucket = TokenBucket(records_per_s, RATE_BURST_S)
            else:
                bucket.set_rate(records_per_s)
            self._set_room()

    def set_room(self, records: int | None) -> None:
        """Let fewer records wait than could, from now on; None: as many as can."""
        with self._changed:
            if not self._draining:
                self._room_records = self._max_records if records is None else max(1, min(records, self._max_records))
                self._set_room()
                self._changed.notify_all()

    def drain(self) -> None:
        """Let everybody who waits finish: as much again as the limit comes in at once, then pushing raises."""
        with self._changed:
            if not self._draining:
                self._draining = True
                self._max_records *= 2
            self._room_records = self._max_records
            self._held = False
            if self._bucket is not None:
                self._bucket.close()
                self._bucket = None
            self._set_room()
            self._changed.notify_all()

    def close(self) -> None:
        """Refuse records from now on; what is there can still be taken out."""
        with self._changed:
            self._closed = True
            if self._bucket is not None:
                self._bucket.close()
                self._bucket = None
            self._set_room()
            self._changed.notify_all()

    def wait_for_records(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` records can be taken out or the buffer is closed; False when the time ran out first."""
        return self._watch(lambda: self.pending >= count, timeout_s)

    def wait_until_full(self, timeout_s: float) -> bool:
        """Wait until somebody waits for room, no record fits or the buffer is closed; False when time ran out first.

        How many records wait then is not said: a block that does not fit behind the others waits outside.
        """
        return self._watch(lambda: self._waiting > 0 or not self._fits(1), timeout_s)

    def _watch(self, came: Callable[[], bool], timeout_s: float) -> bool:
        watch_s = WATCH_MS / 1000
        with self._changed:
            self._watching += 1
            self._set_room()
            try:
                for _ in range(max(1, math.ceil(timeout_s / watch_s))):
                    if self._changed.wait_for(lambda: came() or self._closed, watch_s):
                        return True
                return False
            finally:
                self._watching -= 1
                self._set_room()

    def _push_slowly(self, record: T) -> None:
        self.admit(1)
        if len(self._open) < self._room_beside_rate:
            self._open.append(record)
            return
        with self._changed:
            self._await_room(1)
            self._open.append(record)
            self._tell_watchers()

    def admit(self, records: int) -> None:
        """Wait until the rate limit lets so many records pass, or raise InputFullError."""
        bucket = self._bucket
        if bucket is None or records == 0:
            return
        timeout_s = 0.0 if self._on_full == "raise" else self._full_timeout_s
        if not bucket.acquire(records, timeout_s) and bucket is self._bucket:
            raise InputFullError(
                f"The input {self._name} is over its rate limit.",
                detail=f"{records} records did not pass {_patience(timeout_s)}.",
                hint="Push more slowly, or raise the limit.",
            )

    def _await_room(self, records: int) -> None:
        """Return when there is room; called with the lock held, which it gives up while it waits."""
        if not self._fits(records) and self._on_full == "block" and not self._draining:
            self._waiting += 1
            self._tell_watchers()
            try:
                self._changed.wait_for(
                    lambda: self._fits(records) or self._closed or self._draining, self._full_timeout_s
                )
            finally:
                self._waiting -= 1
        if self._closed:
            raise LifecycleError(
                f"The input {self._name} takes no more records.",
                detail="It was closed, or the stream has stopped.",
                hint="Stop pushing when the stream stops: is_stopped() tells a receiver.",
            )
        if not self._fits(records):
            raise self._full(records)

    def _fits(self, records: int) -> bool:
        waiting = self.pending
        return not self._held and (waiting == 0 or waiting + records <= self._room_records)

    def _full(self, records: int) -> InputFullError:
        why = "it is held, because batches come in faster than they are processed" if self._held else "it is full"
        patience = _patience(None if self._on_full == "raise" else self._full_timeout_s)
        return InputFullError(
            f"The input {self._name} has no room.",
            detail=f"{records} records did not get in {patience}: {why}; {self.pending} of {self._room_records} wait.",
            hint='Push more slowly, raise max_records, or wait for room with on_full="block".',
        )

    def _slot_ms(self) -> int:
        """Give the batch time of this moment; never one that was taken, or before that of a block already here."""
        if self._interval_ms == 0:
            return 0
        intervals = math.ceil((self._clock.wall_ms() - self._zero_ms) / self._interval_ms)
        first_ms = max(self._taken_ms, self._zero_ms) + self._interval_ms
        slot_ms = max(first_ms, self._zero_ms + intervals * self._interval_ms)
        return max(slot_ms, self._stored[-1].batch_ms) if self._stored else slot_ms

    def _seal(self, batch_ms: int) -> None:
        """Make blocks of the open records."""
        records = self._open
        size = self._block_max_records
        # Why the length once: records pushed meanwhile go behind it and stay for the next seal.
        count = len(records)
        for low in range(0, count, size):
            run = records[low : min(low + size, count)]
            self._stored.append(Block(run, len(run), batch_ms))
        del records[:count]
        self._stored_records += count
        self._set_room()

    def _set_room(self) -> None:
        """Work out from which number of open records on a push leaves its fast way; called with the lock held."""
        shut = self._held or self._closed or self._watching
        self._room_beside_rate = 0 if shut else max(0, self._room_records - self._stored_records)
        self._room = 0 if self._bucket is not None else self._room_beside_rate

    def _tell_watchers(self) -> None:
        if self._watching:
            self._changed.notify_all()


RATE_BURST_S = 0.1
"""Seconds of its rate that an input may take in at once after a pause."""


def checked_rate(records_per_s: float | None, input: str) -> float | None:
    """Give a rate limit back if it is None or a positive number.

    Raises:
        ConfigurationError: it is not. To take nothing in, use `hold`.
    """
    if records_per_s is not None and not (math.isfinite(records_per_s) and records_per_s > 0):
        raise ConfigurationError(
            "The rate limit must be positive.",
            detail=f"{records_per_s!r} records a second for the input {input}.",
            hint="Give a number above zero, or None for no limit.",
        )
    return records_per_s


def _patience(timeout_s: float | None) -> str:
    return "at once" if not timeout_s else f"within {timeout_s:g} s"


def _at_least_one(value: int, argument: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(
            f"{argument} must be a whole number above zero.", detail=f"{argument}={value!r}.", hint="Give at least 1."
        )
    return value

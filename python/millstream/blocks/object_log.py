"""A log on an object store: each group of records is one object, made by a conditional put."""

from __future__ import annotations

import bisect
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from millstream.blocks.log import Bytes, Log, LogRecord
from millstream.blocks.log_object import LogObject, damaged, decode_header, records_of
from millstream.environment.logger import logger
from millstream.environment.object_storage import ObjectStorage
from millstream.errors import FencedError, MillstreamError, StorageUnavailableError

OBJECT_BYTES_MAX = 16 << 20
"""Payload of one object, bytes: one put of it takes a few tenths of a second, and nothing overtakes it."""

CLAIM_TRIES_MAX = 1_000
"""How often a driver that is still writing may be faster than the one that takes over."""

Background = Callable[[str, Callable[[], None]], object]
"""Runs a function in a thread of that name."""


@dataclass(slots=True)
class _Made:
    """An object that is put, or whose put nobody answered."""

    header: LogObject
    data: bytes


class ObjectLog(Log):
    """Records in objects `folder/<number>`, numbered without gaps, each made by a conditional put.

    The driver that opens the log claims it by an object of its own at the next number. From then on every put of an
    earlier driver is refused: its next number is that of the claim at the latest, and claims are never removed. So
    the append itself is the fence, whatever clocks and leases say.

    Appends that wait while a put is under way go into the next object together. After a put that nobody answered the
    next append first puts the same object again, until the store says whether it is there.

    Args:
        storage: the bucket.
        folder: where the log is.
        epoch: of this driver, greater than that of every driver before: that of its lease.
        object_bytes_max: payload of one object, bytes; more is spread over several, and one record may be longer.
        background: runs the removal of released objects; None: in the thread that releases or appends.

    Raises:
        FencedError: a driver with the same or a greater epoch has claimed the log.
        CorruptSegmentError: the newest object is damaged.
        IncompatibleCheckpointError: a newer release wrote it.
        StorageUnavailableError: the store does not answer.
    """

    def __init__(
        self,
        storage: ObjectStorage,
        folder: str,
        epoch: int,
        *,
        object_bytes_max: int = OBJECT_BYTES_MAX,
        background: Background | None = None,
    ) -> None:
        self._storage = storage
        self._folder = folder
        self._epoch = epoch
        self._object_bytes_max = object_bytes_max
        self._background = background
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Bytes]] = deque()
        self._unanswered: _Made | None = None
        self._leading = False
        self._failures = 0
        self._failure: StorageUnavailableError | None = None
        self._dead: MillstreamError | None = None
        self._sweeping = False
        self._sizes = sizes_of(storage, folder)
        claim = self._claim()
        self._claim_number = claim.number
        self._claims = {claim.number, *claim.earlier_claims}
        self._newest = claim.number
        self._floor = self._wished_floor = claim.floor
        self._durable = self._next = claim.first
        self._firsts = [(claim.first, claim.number)]
        self._sweep()

    def append(self, records: Sequence[tuple[int, Bytes]]) -> int:
        first = self._add(records)
        self._commit(first + len(records))
        return first

    def write(self, records: Sequence[tuple[int, Bytes]]) -> int:
        # Why a copy: the caller may use the memory again long before the next append.
        return self._add([(kind, bytes(data)) for kind, data in records])

    def read(self, first: int = 0) -> Iterator[LogRecord]:
        with self._changed:
            known = bisect.bisect_right(self._firsts, first, key=lambda entry: entry[0]) - 1
            start = self._floor if known < 0 else max(self._floor, self._firsts[known][1])
            newest, floor = self._newest, self._floor
        return self._read(first, start, newest, floor)

    @property
    def next_number(self) -> int:
        return self._next

    @property
    def size_bytes(self) -> int:
        with self._changed:
            return sum(self._sizes.values())

    def release(self, before: int) -> None:
        with self._changed:
            # The objects before one whose first record is `before` or earlier have older records only.
            known = bisect.bisect_right(self._firsts, before, key=lambda entry: entry[0]) - 1
            if known >= 0:
                self._wished_floor = max(self._wished_floor, self._firsts[known][1])
        self._sweep()

    def close(self) -> None:
        try:
            self._commit(self._next)
        except (StorageUnavailableError, FencedError) as error:
            logger.warning("Records that nobody waited for were not written to %s. %s", self._place, error)
        with self._changed:
            if self._dead is None:
                self._dead = StorageUnavailableError(f"The log at {self._place} is closed.")

    @property
    def _place(self) -> str:
        return f"{self._storage.place}/{self._folder}"

    def _name(self, number: int) -> str:
        return f"{self._folder}/{number:020d}"

"""A log on an object store: each group of records is one object, made by a conditional put."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass

from millstream.blocks.grouped_log import Background, GroupedLog, Run
from millstream.blocks.log import LogRecord
from millstream.blocks.log_object import LogObject, records_of
from millstream.blocks.object_row import ObjectRow
from millstream.environment.lease import Owner
from millstream.environment.logger import logger
from millstream.environment.object_storage import ObjectStorage
from millstream.errors import FencedError, MillstreamError, StorageUnavailableError

OBJECT_BYTES_MAX = 16 << 20
"""How much of what waits goes into one object, bytes: its put takes some tenths of a second."""


@dataclass(frozen=True, slots=True)
class _Put:
    """An object on its way: one that nobody has answered for is put again, byte for byte."""

    header: LogObject
    data: bytes
    runs: list[Run]


class ObjectLog(GroupedLog):
    """Records in objects `folder/<number>`, numbered without gaps, each made by a conditional put.

    Who opens the log claims it, and from then on every put of an earlier driver is refused: the append itself is the
    fence, whatever clocks and leases say.

    Calls that wait while a put is under way go into the next object together; the records of one call are in one
    object and so are there after a crash together or not at all. When nobody answered for a put, the call raises, and
    the next one first puts the same object again until the store says whether it is there: so a record may be there
    twice, once by the call that raised. Numbers of records whose call raised may be left out.

    Args:
        storage: the bucket.
        folder: the folder of this log alone.
        owner: this driver, as its lease gives it; its epoch is greater than that of every driver before.
        read_only: claim nothing and change nothing, as for a look at the checkpoint of a program that runs.
        object_bytes_max: how much of what waits goes into one object, bytes; one call's records may be more.
        background: runs the removal of what was released; None: the thread that releases does it.

    Raises:
        FencedError: another driver, of the same or a greater epoch, has claimed the log.
        CorruptSegmentError: the newest object is damaged.
        IncompatibleCheckpointError: a newer release wrote it.
        StorageUnavailableError: the store does not answer.

    Example:
        >>> log = ObjectLog(ObjectStorage.open("memory://object-log"), "journal", Owner(1, bytes(16)))
        >>> log.append([(1, b"planned"), (2, b"done")]), log.write([(1, b"planned")])
        (0, 2)
        >>> [(record.number, record.kind, record.data) for record in log.read(1)]
        [(1, 2, b'done'), (2, 1, b'planned')]
        >>> log.close()
    """

    torn: None = None
    """What a crash had left in pieces: never anything, as objects are whole."""

    def __init__(
        self,
        storage: ObjectStorage,
        folder: str,
        owner: Owner,
        *,
        read_only: bool = False,
        object_bytes_max: int = OBJECT_BYTES_MAX,
        background: Background | None = None,
    ) -> None:
        super().__init__(folder, read_only=read_only, background=background)
        self._storage = storage
        self._owner = owner
        self._object_bytes_max = object_bytes_max
        self._unanswered: _Put | None = None
        self._fenced: FencedError | None = None
        self._row = ObjectRow(storage, folder)
        newest = self._row.newest() if read_only else self._row.claim(owner)
        self._claim_number = self._number = -1 if newest is None else newest.number
        self._next_number = 0 if newest is None else newest.next
        self._released = 0 if newest is None else newest.released
        self._floor = self._wished_floor = 0 if newest is None else newest.floor
        # Numbers of first records and of their objects, both rising, as far as they are known.
        self._firsts = [] if newest is None else [(newest.first, newest.number)]
        if not read_only:
            self._sweep()

    @property
    def size_bytes(self) -> int:
        return sum(self._row.sizes.copy().values())

    def read(self, first: int = 0) -> Iterator[LogRecord]:
        with self._lock:
            first = max(first, self._released)
            start = max(self._floor, self._object_of(first))
            on_its_way = [] if self._unanswered is None else self._unanswered.runs
            waiting = [run for run in (*on_its_way, *self._waiting) if run.error is None]
            newest = self._number
        return self._read(first, start, newest, waiting)

    def release(self, before: int) -> None:
        self._check_usable()
        with self._lock:
            self._released = max(self._released, min(before, self._next_number))
            self._wished_floor = max(self._wished_floor, self._object_of(self._released))
        self._sweep()

    def close(self) -> None:
        if self._is_closed:
            return
        try:
            if self._waiting and self._fenced is None:
                self._await(self._enqueue([], awaited=True))
        except (StorageUnavailableError, FencedError) as error:
            logger.warning("Records that were not yet durable are lost with the log %s: %s", self._folder, error)
        finally:
            self._is_closed = True

    def _flush(self) -> None:
        """Put the next object, first the one that nobody answered for; an error goes to all calls that wait."""
        try:
            put = self._unanswered or self._made()
            self._row.put(put.header, put.data)
        except MillstreamError as error:
            if isinstance(error, FencedError):
                self._fenced = error
            runs = [] if self._unanswered is None else self._unanswered.runs
            with self._lock:
                failed = [run for run in (*runs, *self._waiting) if run.awaited and not run.done]
                self._keep_waiting([run for run in self._waiting if not run.awaited])
                for run in failed:
                    run.error, run.done = error, True
            return
        header = put.header
        with self._lock:
            self._unanswered = None
            self._number, self._floor = header.number, header.floor
            self._firsts.append((header.first, header.number))
            for run in put.runs:
                run.done = True

    def _made(self) -> _Put:
        """Make the next object of what waits."""
        with self._lock:
            count, total_bytes = 0, 0
            for run in self._waiting:
                total_bytes += run.payload_bytes
                if count and total_bytes > self._object_bytes_max:
                    break
                count += 1
            runs = self._waiting[:count]
            released, floor = self._released, self._wished_floor
        last = runs[-1]
        header = LogObject(
            number=self._number + 1,
            epoch=self._owner.epoch,
            owner=self._owner.nonce,
            nonce=self._storage.nonce(),
            first=runs[0].first,
            next=last.first + len(last.records),
            released=released,
            floor=floor,
            claim=self._claim_number,
        )
        put = _Put(header, header.encode([(run.first, run.records) for run in runs if run.records]), runs)
        with self._lock:
            self._unanswered = put
            self._keep_waiting(self._waiting[count:])
        return put

    def _read(self, first: int, start: int, newest: int, waiting: list[Run]) -> Iterator[LogRecord]:
        for header, data in self._row.read(start, newest):
            with self._lock:
                entry = (header.first, header.number)
                at = bisect.bisect_left(self._firsts, entry)
                if header.number >= self._floor and entry not in self._firsts[at : at + 1]:
                    self._firsts.insert(at, entry)
            yield from records_of(data, header, first, self._row.place(header.number))
        for run in waiting:
            for number, (kind, record) in enumerate(run.records, run.first):
                if number >= first:
                    yield LogRecord(number, kind, bytes(record))

    def _object_of(self, number: int) -> int:
        """Give the newest object that is known to begin at or before a record: older ones have older records only."""
        at = bisect.bisect_right(self._firsts, (number, math.inf))
        return self._firsts[at - 1][1] if at else 0

    def _remove_released(self) -> None:
        if self._wished_floor > self._floor:
            # Why durable first: then an object that is missing is known to be released, and any other to be lost.
            self._await(self._enqueue([], awaited=True))
        with self._lock:
            floor = self._floor
            del self._firsts[: bisect.bisect_left(self._firsts, floor, key=lambda entry: entry[1])]
        self._row.remove_before(floor)

    def _check_usable(self) -> None:
        if self._fenced is not None:
            raise FencedError(self._fenced.message, detail=self._fenced.detail, hint=self._fenced.hint)
        super()._check_usable()

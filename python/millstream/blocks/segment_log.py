"""A log in segments on storage whose files can be appended to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from millstream.blocks.found_log import FoundLog, find_log
from millstream.blocks.grouped_log import Background, GroupedLog, Run
from millstream.blocks.log import LogRecord
from millstream.blocks.open_segment import OpenSegment
from millstream.blocks.segment import ClosedSegment, SegmentId, TornTail, records
from millstream.environment.logger import logger
from millstream.environment.storage import Storage
from millstream.errors import CorruptSegmentError, MillstreamError, StorageUnavailableError

SEGMENT_BYTES = 8 << 20
"""Size of a segment where nothing else is said: a minute of the decisions of 500 batches a second, read in 5 ms."""

FEW_GROUPS = 3
"""Segments that would have room for fewer groups are made larger: to begin one costs more syncs than a group."""

GROWN_GROUPS = 8
"""How many groups of the size at hand the next one takes then."""

GROWN_BYTES_MAX = 64 << 20
"""How large that makes it at most, bytes."""

READ_TRIES_MAX = 5
"""How often a reader beside a driver looks; between two looks a file can vanish, or two groups appear in one read."""


class SegmentLog(GroupedLog):
    """A log in files of bounded size, with group commit.

    All records that wait at the same time become one group: written, synced and acknowledged together, there after
    a crash together or not at all. So are the records of one call.

    An error of storage is final for the segment. The call that met it raises, and its records are the caller's to
    append again; their numbers are left out. What `write` had left stays here and goes, with its numbers, into the
    next segment, which begins with the next call and names the certain end of the one before.

    One process writes a log: it holds the lock of the storage.

    Args:
        storage: where the files are; must have `append_file`.
        folder: the folder of this log alone.
        segment_bytes: when a segment is full; a group that is larger gets a segment of its size. Where groups are so
            large that few fill one, segments become larger, up to 64 MiB.
        read_only: change nothing, as for a look at the checkpoint of a program that runs.
        background: runs the removal of what was released; None: the thread that releases does it.

    Attributes:
        torn: what a crash had left in pieces and was cut, or None.

    Raises:
        CorruptSegmentError: the log is damaged.
        IncompatibleCheckpointError: a newer release has written it.
        StorageUnavailableError: it cannot be read; or the last records cannot be written, so that they are certain.

    Example:
        >>> import tempfile
        >>> from millstream.environment.local_storage import LocalStorage
        >>> log = SegmentLog(LocalStorage(tempfile.mkdtemp()), "journal")
        >>> log.append([(1, b"planned"), (2, b"done")]), log.write([(1, b"planned")])
        (0, 2)
        >>> [(record.number, record.kind, record.data) for record in log.read(1)]
        [(1, 2, b'done'), (2, 1, b'planned')]
        >>> log.close()
    """

    def __init__(
        self,
        storage: Storage,
        folder: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        read_only: bool = False,
        background: Background | None = None,
    ) -> None:
        super().__init__(folder, read_only=read_only, background=background)
        self._storage = storage
        self._segment_bytes = segment_bytes
        found = _found_while_written(storage, folder) if read_only else find_log(storage, folder)
        self.torn: TornTail | None = found.torn
        self._closed_segments = found.closed
        self._sizes = found.sizes
        self._garbage = found.garbage
        self._certain_next = found.certain_next
        self._next_number = found.next_number
        self._next_counter = found.next_counter
        self._released = found.released
        self._segment: OpenSegment | None = None
        self._keep_waiting(_runs(found.tail))
        if self._waiting and not read_only:
            self._flush()

    @property
    def size_bytes(self) -> int:
        return sum(self._sizes.copy().values())

    def read(self, first: int = 0) -> Iterator[LogRecord]:
        # Why both: between two groups what is in the files and what waits are all records, each once.
        with self._alone(), self._lock:
            first = max(first, self._released)
            segments = [closed for closed in self._closed_segments if closed.next > first]
            if self._segment is not None and not self._segment.failed:
                segments.append(self._segment.closed())
            waiting = list(self._waiting)
        return self._read(first, segments, waiting)

    def release(self, before: int) -> None:
        self._check_usable()
        with self._lock:
            self._released = max(self._released, min(before, self._next_number))
        if any(closed.next <= self._released for closed in self._closed_segments):
            self._sweep()

    def close(self) -> None:
        if self._is_closed:
            return
        self._wait_for_sweep()
        try:
            if self._waiting and not self._read_only:
                with self._alone():
                    self._flush()
        except StorageUnavailableError as error:
            logger.warning("Records that were not yet durable are lost with the log %s: %s", self._folder, error)
        finally:
            self._is_closed = True
            if self._segment is not None:
                self._close_file(self._segment)

    def _flush(self) -> None:
        with self._lock:
            runs = self._waiting
            self._keep_waiting([])
        try:
            self._put(runs)
        except BaseException as error:
            self._give_up_segment()
            awaited = [run for run in runs if run.awaited]
            with self._lock:
                self._keep_waiting([*(run for run in runs if not run.awaited), *self._waiting])
                for run in awaited:
                    run.error, run.done = error, True
            if not isinstance(error, MillstreamError) or not awaited:
                raise
            return
        for run in runs:
            run.done = True

    def _put(self, runs: list[Run]) -> None:
        """Write one group to the open segment, or to a new one where there is none or no room."""
        groups, count, payload_bytes, has_mark = [], 0, 0, False
        # Why one loop and no comprehensions: a group is mostly of one run, and this is half of an append's own work.
        for run in runs:
            if run.records:
                groups.append((run.first, run.records))
                count += len(run.records)
                payload_bytes += run.payload_bytes
            has_mark = has_mark or run.is_mark
        if not groups and not has_mark:
            return
        segment = self._segment
        if segment is None or not segment.has_room(count, payload_bytes):
            are_large = segment is not None and FEW_GROUPS * segment.mean_bytes > self._segment_bytes
            self._give_up_segment()
            segment = self._begin_segment(count, payload_bytes, GROWN_GROUPS if are_large else 1)
            segment.begin(groups, self._released, runs[0].first, self._closed_segments)
            self._sizes[segment.id] = segment.size_bytes
            self._remove_garbage()
        else:
            segment.append(groups, self._released, runs[0].first)

    def _begin_segment(self, count: int, payload_bytes: int, groups: int) -> OpenSegment:
        closed = self._closed_segments
        id = SegmentId(self._certain_next, self._next_counter)
        self._next_counter += 1
        # Why noted first: whatever fails from here on leaves at most a file that does not count.
        self._garbage.append(id)
        file = f"{self._folder}/{id.name}"
        needed_bytes = OpenSegment.needed_bytes(len(closed), count, payload_bytes)
        size_bytes = max(self._segment_bytes, needed_bytes, min(groups * needed_bytes, GROWN_BYTES_MAX))
        self._segment = OpenSegment(id, self._storage.append_file(file, size_bytes=size_bytes), size_bytes)
        return self._segment

    def _give_up_segment(self) -> None:
        """Close the open segment at its certain end."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        if segment.durable:
            self._closed_segments.append(segment.closed())
            self._certain_next = segment.closed().next
        self._close_file(segment)
        if not segment.durable:
            # Why at once: on a disk that is full or fails, the space of one try after another would add up.
            self._remove(segment.id)

    def _close_file(self, segment: OpenSegment) -> None:
        try:
            segment.close()
            self._sizes[segment.id] = segment.size_bytes
        except MillstreamError as error:
            # Nothing is lost: readers stop at the certain end, wherever the file ends.
            logger.warning("A segment of the log %s could not be cut to its length: %s", self._folder, error)

    def _remove_released(self) -> None:
        # Why durable first: then a file that is missing is known to be released, and any other to be lost.
        self._await(self._enqueue([], awaited=True, is_mark=True))
        with self._alone():
            segments, released = self._closed_segments, self._released
            self._closed_segments = [closed for closed in segments if closed.next > released]
            outdated = [closed.id for closed in segments if closed.next <= released]
        # Why not alone: nobody knows of these files any more, and appends need not wait until the disk has let them go.
        left = [id for id in outdated if not self._remove(id)]
        with self._alone():
            self._garbage += left

    def _remove_garbage(self) -> None:
        kept = {closed.id for closed in self._closed_segments}
        if self._segment is not None:
            kept.add(self._segment.id)
        self._garbage = [id for id in self._garbage if id not in kept and not self._remove(id)]

    def _remove(self, id: SegmentId) -> bool:
        """Remove a segment that does not count; False when that does not work now."""
        try:
            self._storage.remove(f"{self._folder}/{id.name}")
        except MillstreamError as error:
            logger.warning("A file that is not needed any more stays for now: %s", error)
            return False
        self._sizes.pop(id, None)
        return True

    def _read(self, first: int, segments: list[ClosedSegment], waiting: list[Run]) -> Iterator[LogRecord]:
        for segment in segments:
            if segment.next <= self._released:
                continue
            try:
                yield from records(self._storage, f"{self._folder}/{segment.id.name}", segment, first)
            except CorruptSegmentError:
                # A driver that runs beside a reader may have released it meanwhile.
                if not self._read_only or find_log(self._storage, self._folder).released < segment.next:
                    raise
        for run in waiting:
            for number, (kind, data) in enumerate(run.records, run.first):
                if number >= first:
                    yield LogRecord(number, kind, bytes(data))


def _found_while_written(storage: Storage, folder: str) -> FoundLog:
    """Look at a log that a driver may be writing: what looks damaged or missing is looked at again."""
    for _ in range(READ_TRIES_MAX - 1):
        try:
            return find_log(storage, folder)
        except (CorruptSegmentError, FileNotFoundError):
            continue
    return find_log(storage, folder)


def _runs(tail: Iterable[LogRecord]) -> list[Run]:
    """Put records with numbers that follow each other together."""
    runs: list[Run] = []
    for number, kind, data in tail:
        if not runs or number != runs[-1].first + len(runs[-1].records):
            runs.append(Run(number, [], 0, awaited=False))
        runs[-1].records.append((kind, data))
        runs[-1].payload_bytes += len(data)
    return runs

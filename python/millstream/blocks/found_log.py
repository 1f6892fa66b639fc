"""What is found of a log when it is opened."""

from __future__ import annotations

from dataclasses import dataclass, field

from millstream.blocks.log import LogRecord
from millstream.blocks.segment import ClosedSegment, SegmentId, TornTail, corrupt, scan
from millstream.environment.storage import Storage


@dataclass(slots=True)
class FoundLog:
    """A log as its files show it.

    Attributes:
        closed: the segments that count, oldest first, each up to its certain end.
        tail: whole records behind the last certain end. A crash of the machine may still take them away, though they
            may have been acknowledged: they count once they are written to another segment.
        sizes: the size of every file, bytes, by segment.
        garbage: segments that do not count; they go when the next segment is durable.
        certain_next: the numbers of all certain records are below this.
        next_number: the number that the next record gets.
        next_counter: the counter that the next segment gets.
        released: records with numbers below this were released.
        torn: what a crash left in pieces, if anything.
    """

    closed: list[ClosedSegment] = field(default_factory=list)
    tail: list[LogRecord] = field(default_factory=list)
    sizes: dict[SegmentId, int] = field(default_factory=dict)
    garbage: list[SegmentId] = field(default_factory=list)
    certain_next: int = 0
    next_number: int = 0
    next_counter: int = 0
    released: int = 0
    torn: TornTail | None = None


def find_log(storage: Storage, folder: str) -> FoundLog:
    """Look at the files of a log; only the newest is read, and nothing is changed.

    A segment counts from the moment its first group is whole. It names all earlier ones that count and how far, so
    the newest that counts says what the log is; others were begun or given up by a driver that failed.

    Raises:
        CorruptSegmentError: what had been durable is damaged or missing.
        IncompatibleCheckpointError: a newer release has written the log.
        StorageUnavailableError: the files cannot be read.
    """
    there = [known for name in storage.names(folder) if (known := SegmentId.of_name(name)) is not None]
    there.sort(key=lambda segment: segment.counter, reverse=True)
    log = FoundLog()
    if there:
        log.next_counter = there[0].counter + 1
        log.sizes = {segment: storage.size_bytes(f"{folder}/{segment.name}") for segment in there}
    for segment in there:
        if _counts(storage, folder, segment, log):
            break
    else:
        if any(segment.first > 0 for segment in there):
            file = f"{folder}/{there[0].name}"
            raise corrupt(storage, file, 0, "it is only begun, and the segments before it are missing")
    kept = {closed.id for closed in log.closed}
    log.garbage = [segment for segment in there if segment not in kept]
    return log


def _counts(storage: Storage, folder: str, segment: SegmentId, log: FoundLog) -> bool:
    """Say whether a segment is the newest that counts, and if so take from it what the log is."""
    file = f"{folder}/{segment.name}"
    data, found = scan(storage, file, segment)
    if found.problem is not None and log.torn is None:
        log.torn = TornTail(file, found.end, len(data.rstrip(b"\0")) - found.end)
    if not found.groups:
        return False
    log.released, log.next_number = found.released, max(found.next, found.released)
    log.certain_next = found.durable_next if found.durable else segment.first
    before = [ClosedSegment(SegmentId(first, counter), end, next) for first, counter, end, next in found.previous]
    log.closed = [closed for closed in before if closed.next > log.released]
    for closed in log.closed:
        size = log.sizes.get(closed.id)
        if size is None or size < closed.end:
            what = "the file is missing" if size is None else f"{closed.end} bytes of the file were durable"
            raise corrupt(storage, f"{folder}/{closed.id.name}", size or 0, what)
    if found.durable:
        log.closed.append(ClosedSegment(segment, found.durable, found.durable_next))
    log.tail = [
        LogRecord(number, kind, data[start:end])
        for number, kind, start, end in found.records(from_offset=found.durable)
    ]
    return True

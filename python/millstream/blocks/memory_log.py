"""A log that lasts as long as the process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millstream.blocks.log import Bytes, Log, LogRecord


class MemoryLog(Log):
    """Records in memory, for tests and trials.

    Example:
        >>> log = MemoryLog()
        >>> log.append([(1, b"a"), (2, b"b")]), log.append([(1, b"c")])
        (0, 2)
        >>> log.release(1); [record.data for record in log.read()]
        [b'b', b'c']
    """

    def __init__(self) -> None:
        self._records: list[LogRecord] = []
        self._next = 0

    @property
    def next_number(self) -> int:
        return self._next

    @property
    def size_bytes(self) -> int:
        return sum(len(record.data) for record in self._records)

    def append(self, records: Sequence[tuple[int, Bytes]]) -> int:
        return self.write(records)

    def write(self, records: Sequence[tuple[int, Bytes]]) -> int:
        first = self._next
        self._records.extend(LogRecord(number, kind, bytes(data)) for number, (kind, data) in enumerate(records, first))
        self._next = first + len(records)
        return first

    def read(self, first: int = 0) -> Iterator[LogRecord]:
        return iter([record for record in self._records if record.number >= first])

    def release(self, before: int) -> None:
        self._records = [record for record in self._records if record.number >= before]

    def close(self) -> None:
        """There is nothing to let go of."""

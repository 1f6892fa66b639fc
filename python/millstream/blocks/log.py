"""The port of logs: records in order, durable in groups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

Bytes: TypeAlias = bytes | memoryview


class LogRecord(NamedTuple):
    """One record of a log as it was read.

    Attributes:
        number: the place of the record in the log: 0, 1, 2, ... over all its life. The numbers of an `append` that
            raised may be left out.
        kind: what the bytes are; a number that the log's owner gave.
        data: the bytes.
    """

    number: int
    kind: int
    data: bytes


class Log(ABC):
    """Records, one behind another, each of which survives a crash whole or not at all.

    `append` and `write` may be called from several threads; what waits at the same time is made durable together.
    """

    @abstractmethod
    def append(self, records: Sequence[tuple[int, Bytes]]) -> int:
        """Write records next to each other and return when they, and all before them, are durable.

        After a crash in the middle either all of them are there or none.

        Args:
            records: (kind, bytes) each; kinds are 0 to 255.

        Returns:
            The number of the first of them.

        Raises:
            StorageUnavailableError: they may be durable or not: append them again or stop. Readers have to take a
                record that is there twice.
            FencedError: another driver writes this log; stop.
        """

    @abstractmethod
    def write(self, records: Sequence[tuple[int, Bytes]]) -> int:
        """Write records without waiting: they become durable with the next `append`. A crash may lose them."""

    @abstractmethod
    def read(self, first: int = 0) -> Iterator[LogRecord]:
        """Give the records from a number on, oldest first, as they are when the call begins.

        Records that were released are left out. A torn tail was cut when the log was opened.

        Raises:
            CorruptSegmentError: bytes that had been durable are wrong; names file and offset.
        """

    @property
    @abstractmethod
    def next_number(self) -> int:
        """The number that the next record gets."""

    @abstractmethod
    def release(self, before: int) -> None:
        """Forget records before a number, as far as whole files allow; the newest file always stays."""

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """How much room the log takes."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the log; what `write` left is made durable if that works."""

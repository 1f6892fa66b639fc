"""Rows that another process encoded: decoded only where somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class EncodedRows:
    """Runs of records as the bytes in which they came from another process.

    The driver hands them on as they are, so records that go to a worker process are decoded there, once.

    Args:
        count: how many records.
        payloads: lists of records, each from `millstream.encoding.rows.pack`, one behind the other.

    Example:
        >>> from millstream.encoding.rows import pack
        >>> rows = EncodedRows(3, pack([1, "a"]), pack([2]))
        >>> len(rows), list(rows)
        (3, [1, 'a', 2])
    """

    __slots__ = ("_count", "_payloads", "_rows")

    def __init__(self, count: int, *payloads: bytes | memoryview) -> None:
        self._count = count
        self._payloads: tuple[bytes | memoryview, ...] | None = payloads
        self._rows: list[Any] = []

    @classmethod
    def joined(cls, parts: Iterable[EncodedRows]) -> EncodedRows:
        """Put several one behind the other, without decoding any."""
        runs = list(parts)
        return cls(sum(map(len, runs)), *(payload for run in runs for payload in run._encoded()))

    def lasting(self) -> EncodedRows:
        """Give data that no later batch can change: itself."""
        return self

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        payloads = self._payloads
        if payloads is not None:
            from millstream.encoding.rows import unpack

            self._rows = [row for payload in payloads for row in unpack(payload)]
            self._payloads = None
        return iter(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return EncodedRows, (self._count, *map(bytes, self._encoded()))

    def _encoded(self) -> tuple[bytes | memoryview, ...]:
        payloads = self._payloads
        if payloads is None:
            from millstream.encoding.rows import pack

            payloads = (pack(self._rows),)
        return payloads

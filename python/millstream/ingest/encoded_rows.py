"""Rows that another process encoded: decoded only where somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class EncodedRows:
    """A run of records as the bytes in which they came from another process.

    The driver hands them on as they are, so records that go to a worker process are decoded there, once.

    Args:
        count: how many records.
        payload: their list, from `millstream.encoding.rows.pack`.

    Example:
        >>> from millstream.encoding.rows import pack
        >>> rows = EncodedRows(2, pack([1, "a"]))
        >>> len(rows), list(rows)
        (2, [1, 'a'])
    """

    __slots__ = ("_count", "_payload", "_rows")

    def __init__(self, count: int, payload: bytes | memoryview) -> None:
        self._count = count
        self._payload: bytes | memoryview | None = payload
        self._rows: list[Any] = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        payload = self._payload
        if payload is not None:
            from millstream.encoding.rows import unpack

            self._rows = unpack(payload)
            self._payload = None
        return iter(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        payload = self._payload
        if payload is None:
            from millstream.encoding.rows import pack

            payload = pack(self._rows)
        return EncodedRows, (self._count, bytes(payload))

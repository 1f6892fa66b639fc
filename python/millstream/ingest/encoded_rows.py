"""Rows that another process encoded: decoded only where somebody looks at them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from millstream.errors import DataError

PICKLE_PROTOCOL = 5


class EncodedRows:
    """A run of records as one pickle.

    The driver hands it on as it came, so a record that goes to a worker process is decoded there, once.

    Args:
        count: how many records.
        payload: their list, pickled.

    Example:
        >>> rows = EncodedRows(2, encoded([1, "a"]))
        >>> len(rows), list(rows)
        (2, [1, 'a'])
    """

    __slots__ = ("_count", "_payload", "_rows")

    def __init__(self, count: int, payload: bytes | bytearray | memoryview) -> None:
        self._count = count
        self._payload: bytes | bytearray | memoryview | None = payload
        self._rows: list[Any] = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        payload = self._payload
        if payload is not None:
            try:
                self._rows = pickle.loads(payload)
            except Exception as error:
                raise DataError(
                    "Records that came from another process cannot be decoded.",
                    detail=f"{self._count} records, {len(payload)} bytes: {type(error).__name__}: {error}",
                    hint="Their classes must be importable in this process too, or be defined in the main program.",
                ) from error
            self._payload = None
        return iter(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        payload = self._payload
        return EncodedRows, (self._count, encoded(self._rows) if payload is None else bytes(payload))


def encoded(rows: list[Any]) -> bytes:
    """Pickle records; those of classes that only the main program knows go by value.

    Raises:
        Exception: a record cannot be pickled; of whatever type its class raises.
    """
    try:
        return pickle.dumps(rows, PICKLE_PROTOCOL)
    except Exception:
        import cloudpickle

        return bytes(cloudpickle.dumps(rows, PICKLE_PROTOCOL))

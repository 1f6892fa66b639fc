"""State as rows: a view of one version of a table."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from millstream.state.delta import apply_changes
from millstream.state.version import ABSENT, UNTOUCHED, Version

_SHARE = 8
"""The part of the keys, one in this many, that has to be touched or read before the versions are merged."""


class StateRows(Collection[tuple[Any, Any]]):
    """The (key, value) pairs of a table after a batch, in order of insertion, without a copy of them.

    A view shows one version for as long as it lives. Taking the first few rows costs no more than those; while
    a view is alive when a *later* batch commits, the table copies its dict once instead of changing it, so
    let go of views, or take `materialised()`, when rows are kept for long.

    Rows of other steps derive from this class: `_shown` turns the pairs of the table into rows.

    Args:
        committed: the committed values.
        versions: the versions in flight over them, oldest first.
        hidden_count: keys left out of the rows when no version is in flight.
        lock: guards the committed values of the table.
    """

    __slots__ = ("__weakref__", "_hidden_count", "_lock", "committed", "readers_count", "versions")

    def __init__(
        self, committed: dict[Any, Any], versions: tuple[Version, ...], hidden_count: int, lock: threading.Lock
    ) -> None:
        self.committed = committed
        self.versions = versions
        self.readers_count = 0
        self._hidden_count = hidden_count
        self._lock = lock

    def version_committed(self, version: Version) -> None:
        """Learn that the committed values now hold what the oldest version changed; called under the lock."""
        self._hidden_count = version.hidden_count
        self.versions = self.versions[1:]

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        with self._lock:
            self.readers_count += 1  # From here on the table leaves what this view shows alone.
        merged: dict[Any, Any] = {}
        try:
            lazy: Iterator[tuple[Any, Any]] = iter(self.committed.items())
            for version in self.versions:
                lazy = version.over(lazy)
            lazy_count = self._lazy_count()
            yield from islice(lazy, lazy_count)
            if lazy_count is not None:
                merged = self._merged()
        finally:
            with self._lock:
                self.readers_count -= 1
        yield from islice(merged.items(), lazy_count, None)

    def _lazy_count(self) -> int | None:
        """Say after how many rows it is quicker to merge the versions into a copy of the dict; None for never.

        Merging takes a tenth of the time of a loop over all pairs, so whoever takes few rows never pays for it.
        """
        if not self.versions:
            return None
        touched_count = sum(len(version.values) for version in self.versions)
        return 0 if touched_count * _SHARE > len(self.committed) else len(self.committed) // _SHARE

    def _merged(self) -> dict[Any, Any]:
        values = self.committed.copy()
        for version in self.versions:
            apply_changes(values, version.changed(), version.gone)
        return values

    def _shown(self, pairs: Iterator[tuple[Any, Any]]) -> Iterator[Any]:
        return pairs

    def __iter__(self) -> Iterator[Any]:
        return self._shown(self._pairs())

    def __len__(self) -> int:
        with self._lock:
            return self.versions[-1].count if self.versions else len(self.committed)

    def hidden_count(self) -> int:
        """Count the keys that the step leaves out of its rows."""
        with self._lock:
            return self.versions[-1].hidden_count if self.versions else self._hidden_count

    def __contains__(self, row: object) -> bool:
        if not isinstance(row, tuple) or len(row) != 2:
            return False
        value = self._lookup(row[0])
        return value is not ABSENT and any(shown == row for shown in self._shown(iter([(row[0], value)])))

    def _lookup(self, key: Any) -> Any:
        with self._lock:
            for version in reversed(self.versions):
                value = version.values.get(key, UNTOUCHED)
                if value is not UNTOUCHED:
                    return value
            return self.committed.get(key, ABSENT)

    def first(self, count: int) -> list[Any]:
        """Give the first rows, at most `count` of them."""
        return list(islice(self, count))

    def materialised(self) -> list[Any]:
        """Give all rows as a list of their own, which stays when the view is let go."""
        with self._lock:
            values = self._merged() if self.versions else self.committed
            pairs: Iterator[Any] = iter(values.items())
            if type(self)._shown is not StateRows._shown:
                pairs = self._shown(pairs)
            return list(pairs)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self.materialised(),)

    def __repr__(self) -> str:
        rows = ", ".join(map(repr, self.first(3)))
        return f"<{type(self).__name__} of {len(self)} rows: {rows}{', …' if len(self) > 3 else ''}>"

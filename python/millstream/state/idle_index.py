"""The idle index: which keys were last touched when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from millstream.state.delta import Delta
from millstream.state.version import ABSENT, Version

_CHUNK_KEYS = 1_024
_SLACK_KEYS = 4_096
"""Outdated entries that are left alone before sweeping starts; 32 KiB."""

_SWEEP_RATIO = 2
"""Entries looked at for each key touched, while more than half are outdated. A touch outdates at most one entry, so
with two the outdated ones stay below three times the keys held."""


class IdleIndex:
    """Committed keys by the batch time of their last touch.

    A touch adds an entry and leaves the earlier one of its key behind, outdated; sweeping a few chunks with every
    batch keeps these in bounds without ever pausing over all of them.
    """

    __slots__ = ("_chunks", "_cursor", "_entries_count", "_touched_ms")

    def __init__(self) -> None:
        self._touched_ms: dict[Any, int] = {}
        self._chunks: list[tuple[int, list[Any]]] = []
        self._entries_count = 0
        self._cursor = 0

    def due(self, version: Version, older: Sequence[Version], before_ms: int) -> list[Any]:
        """List the keys last touched before a time, as this version sees them.

        Args:
            version: the version of the batch that runs; its own touches count.
            older: the versions in flight before it, oldest first.
            before_ms: milliseconds; a key touched at this time or later is not due.

        Returns:
            Keys that are held, in order of the batch that touched them last and of their first record in it.
        """
        if not self._has_due(older, before_ms):
            return []
        later_touches = [set(v.touched) for v in (*older, version)]
        stamps = self._touched_ms
        due: list[Any] = []
        for touched_ms, keys in self._chunks:
            if touched_ms >= before_ms:
                break
            current = (key for key in keys if stamps.get(key) == touched_ms)
            due.extend(key for key in current if not any(key in touches for touches in later_touches))
        for index, earlier in enumerate(older):
            if earlier.batch_ms < before_ms:
                later = later_touches[index + 1 :]
                touched = dict.fromkeys(earlier.touched)
                due.extend(key for key in touched if not any(key in touches for touches in later))
        # What timed out in an older version in flight is listed again, but no longer held.
        return [key for key in due if version.peek(key) is not ABSENT]

    def _has_due(self, older: Sequence[Version], before_ms: int) -> bool:
        stamps = [self._chunks[0][0]] if self._chunks else []
        stamps += [version.batch_ms for version in older]
        return any(touched_ms < before_ms for touched_ms in stamps)

    def apply(self, delta: Delta, held: Collection[Any]) -> None:
        """Take in a committed batch, which is later than all before it.

        Args:
            delta: what the batch changed; `touched` may hold a key twice, and keys that are no longer held.
            held: the keys held after the batch.
        """
        batch_ms, changed = delta.batch_ms, delta.changed
        stamps = self._touched_ms
        removed_count = 0
        for key in delta.removed:
            removed_count += stamps.pop(key, None) is not None
        # Most touched keys were changed, and the few of the batch are found sooner than among all held.
        keys = [key for key in dict.fromkeys(delta.touched) if key in changed or key in held]
        stamps.update(dict.fromkeys(keys, batch_ms))
        for start in range(0, len(keys), _CHUNK_KEYS):
            self._chunks.append((batch_ms, keys[start : start + _CHUNK_KEYS]))
        self._entries_count += len(keys)
        self._sweep(_SWEEP_RATIO * (len(keys) + removed_count))

    def expire(self, before_ms: int) -> None:
        """Drop the entries of a time whose keys have all timed out, been touched later or been removed."""
        chunks = self._chunks
        count = next((index for index, chunk in enumerate(chunks) if chunk[0] >= before_ms), len(chunks))
        if count:
            self._entries_count -= sum(len(keys) for _, keys in chunks[:count])
            del chunks[:count]
            self._cursor = max(0, self._cursor - count)

    def _sweep(self, entries_max: int) -> None:
        """Drop outdated entries from the next chunks, while there are many."""
        chunks, stamps = self._chunks, self._touched_ms
        seen = 0
        while seen < entries_max and self._entries_count > 2 * len(stamps) + _SLACK_KEYS:
            if self._cursor >= len(chunks):
                self._cursor = 0
                chunks[:] = [chunk for chunk in chunks if chunk[1]]
            touched_ms, keys = chunks[self._cursor]
            current = [key for key in keys if stamps.get(key) == touched_ms]
            chunks[self._cursor] = touched_ms, current
            self._entries_count -= len(keys) - len(current)
            self._cursor += 1
            seen += len(keys)

    def dump(self) -> tuple[tuple[int, tuple[Any, ...]], ...]:
        """Give the keys by the time of their last touch, oldest first, in order."""
        stamps = self._touched_ms
        buckets: dict[int, list[Any]] = {}
        all_current = self._entries_count == len(stamps)
        for touched_ms, keys in self._chunks:
            current = keys if all_current else (key for key in keys if stamps.get(key) == touched_ms)
            buckets.setdefault(touched_ms, []).extend(current)
        return tuple((touched_ms, tuple(keys)) for touched_ms, keys in buckets.items() if keys)

    @classmethod
    def load(cls, buckets: Iterable[tuple[int, Sequence[Any]]]) -> IdleIndex:
        """Make an index of what `dump` gave."""
        index = cls()
        for touched_ms, keys in buckets:
            index.apply(Delta(touched_ms, {}, touched=tuple(keys)), frozenset(keys))
        return index

    @property
    def keys_count(self) -> int:
        """How many keys have a time; `len` counts entries, outdated ones too."""
        return len(self._touched_ms)

    def __len__(self) -> int:
        return self._entries_count

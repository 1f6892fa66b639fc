"""The idle index: which keys were last touched when."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from millstream.state.version import ABSENT, Version

_SPARSE_BYTES_PER_KEY = 400
"""A dict that takes this many bytes a key, four times a full one, is packed anew."""

_SMALL_BYTES = 2_000


class IdleIndex:
    """Committed keys by the batch time of their last touch.

    Every key is in one bucket, so memory is proportional to the keys held, and finding those that are due costs
    no more than the touches that put them there.
    """

    __slots__ = ("_buckets", "_touched_ms")

    def __init__(self) -> None:
        self._touched_ms: dict[Any, int] = {}
        self._buckets: dict[int, dict[Any, None]] = {}

    def due(self, version: Version, older: Sequence[Version], before_ms: int) -> list[Any]:
        """List the keys last touched before a time, as this version sees them.

        Args:
            version: the version of the batch that runs; its own touches count.
            older: the versions in flight before it, oldest first.
            before_ms: milliseconds; a key touched at this time or later is not due.

        Returns:
            Keys that are held and not listed to an older version, in order of their last touch.
        """
        done_ms = version.expired_before_ms
        versions = (*older, version)
        due = list(self._committed_due(versions, done_ms, before_ms))
        for index, earlier in enumerate(older):
            if earlier.batch_ms < before_ms and (done_ms is None or earlier.batch_ms >= done_ms):
                later = versions[index + 1 :]
                due.extend(key for key in earlier.touched if not any(key in v.touched for v in later))
        return [key for key in due if version.peek(key) is not ABSENT]

    def _committed_due(self, versions: Sequence[Version], done_ms: int | None, before_ms: int) -> Iterator[Any]:
        for touched_ms, keys in self._buckets.items():
            if touched_ms >= before_ms:
                return
            if done_ms is None or touched_ms >= done_ms:
                yield from (key for key in keys if not any(key in version.touched for version in versions))

    def apply(self, batch_ms: int, touched: Iterable[Any], removed: Iterable[Any]) -> None:
        """Take in the touches and removals of a committed batch, which is later than all before it."""
        stamps, buckets = self._touched_ms, self._buckets
        thinned: set[int] = set()
        for key in removed:
            touched_ms = stamps.pop(key, None)
            if touched_ms is not None:
                del buckets[touched_ms][key]
                thinned.add(touched_ms)
        bucket = dict.fromkeys(touched)
        for key in bucket:
            touched_ms = stamps.get(key)
            if touched_ms is not None:
                del buckets[touched_ms][key]
                thinned.add(touched_ms)
            stamps[key] = batch_ms
        if bucket:
            buckets[batch_ms] = bucket
        for touched_ms in thinned:
            self._shrink(touched_ms)

    def _shrink(self, touched_ms: int) -> None:
        """Give back the memory of a bucket that lost most of its keys; a dict never does so by itself."""
        bucket = self._buckets[touched_ms]
        if not bucket:
            del self._buckets[touched_ms]
            return
        size = sys.getsizeof(bucket)
        if size > _SMALL_BYTES and size > _SPARSE_BYTES_PER_KEY * len(bucket):
            self._buckets[touched_ms] = dict.fromkeys(bucket)

    def dump(self) -> tuple[tuple[int, tuple[Any, ...]], ...]:
        """Give all buckets, oldest first."""
        return tuple((touched_ms, tuple(keys)) for touched_ms, keys in self._buckets.items())

    @classmethod
    def load(cls, buckets: Iterable[tuple[int, Iterable[Any]]]) -> IdleIndex:
        """Make an index of what `dump` gave."""
        index = cls()
        for touched_ms, keys in buckets:
            index.apply(touched_ms, keys, ())
        return index

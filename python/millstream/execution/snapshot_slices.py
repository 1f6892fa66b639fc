"""A snapshot of a state table, packed in slices for the idle moments of a worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from millstream.encoding.rows import pack, unpack
from millstream.state.delta import Snapshot
from millstream.state.table import StateTable

_KEYS = 1_000
"""Keys in a slice; packing so many small values takes about 0.3 ms, and tasks that come wait for one slice."""

SEND_BYTES_MIN = 256 * 1024
"""What a reply carries at least of a snapshot that is ready: copying it takes about 0.1 ms."""


class SnapshotSlices:
    """The slices of one snapshot: the table may go on meanwhile.

    Args:
        table: the table; what is committed now is in the snapshot.

    Example:
        >>> table = StateTable("counts", 0)
        >>> table.begin(1_000); table.set("a", 1); table.commit(1_000)
        >>> joined(SnapshotSlices(table).take(1_000)).values
        {'a': 1}
    """

    def __init__(self, table: StateTable) -> None:
        self._rest = _slices(table.snapshot())
        self._ready: deque[bytes] = deque()
        self._packed_all = False

    def advance(self) -> bool:
        """Pack one more slice; False when there is none."""
        data = next(self._rest, None)
        if data is None:
            self._packed_all = True
            return False
        self._ready.append(data)
        return True

    def take(self, bytes_min: int) -> list[bytes]:
        """Take slices: those that are ready, up to a limit, and at least one; more are packed up to `bytes_min`."""
        taken: list[bytes] = []
        size = 0
        limit = max(bytes_min, SEND_BYTES_MIN)
        while size < limit:
            if not self._ready and ((taken and size >= bytes_min) or not self.advance()):
                break
            taken.append(self._ready.popleft())
            size += len(taken[-1])
        return taken

    @property
    def is_taken(self) -> bool:
        """True when no slice is left."""
        return not self._ready and (self._packed_all or not self.advance())


def whole_snapshot(table: StateTable) -> bytes:
    """Give all slices of a table, packed together."""
    return pack(list(_slices(table.snapshot())))


def joined(slices: Sequence[bytes]) -> Snapshot:
    """Make the snapshot of its slices."""
    batch_ms, hidden_count = unpack(slices[0])
    values: dict[Any, Any] = {}
    idle: dict[int, list[Any]] = {}
    for data in slices[1:]:
        touched_ms, part = unpack(data)
        if touched_ms is None:
            values.update(part)
        else:
            idle.setdefault(touched_ms, []).extend(part)
    buckets = tuple((ms, tuple(keys)) for ms, keys in idle.items())
    return Snapshot(batch_ms, values, buckets, hidden_count)


def batch_of(slices: Sequence[bytes]) -> int | None:
    """Give the newest batch in a snapshot, milliseconds, of its slices."""
    batch_ms: int | None = unpack(slices[0])[0]
    return batch_ms


def _slices(snapshot: Snapshot) -> Iterator[bytes]:
    yield pack((snapshot.batch_ms, snapshot.hidden_count))
    for part in _runs(snapshot.values.items()):
        yield pack((None, dict(part)))
    for touched_ms, keys in snapshot.idle:
        for part in _runs(keys):
            yield pack((touched_ms, part))


def _runs(items: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while part := list(islice(rest, _KEYS)):
        yield part

"""The state table: the keyed state of one operator in one partition."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakSet

from millstream.encoding.copies import copied
from millstream.errors import InternalError, LifecycleError
from millstream.state.delta import Delta, Snapshot, apply_changes
from millstream.state.downtime import Downtime, idle_since
from millstream.state.idle_index import IdleIndex
from millstream.state.rows import StateRows
from millstream.state.version import ABSENT, UNTOUCHED, Version, check_key


class StateTable:
    """Keys and their values, versioned by batch time.

    `begin` opens a version for a batch, over the committed values and the versions still in flight; `commit`
    takes the oldest versions into the committed values, `rollback` drops the newest. All of them, and each
    access, cost time proportional to the keys that the batch touched. Iteration follows insertion, as in a dict.

    One thread works in the newest version at a time; `commit` may come from another thread meanwhile.

    Args:
        operator: whose state it is; an identity that survives a restart.
        partition: which partition of it.
        begun: called with the batch time and the table when a version is opened.
        downtimes: when the program was down, oldest first; whoever owns it may change it between batches.

    Example:
        >>> table = StateTable("counts", 0)
        >>> table.begin(1_000); table.set("a", [1]); table.commit(1_000)
        >>> table.begin(2_000); table.get("a").append(2); table.set("b", [3]); list(table.items())
        [('a', [1, 2]), ('b', [3])]
        >>> table.rollback(2_000); list(table.items())
        [('a', [1])]
    """

    __slots__ = (
        "_committed", "_downtimes", "_expired_before_ms", "_hidden_count", "_idle", "_lock", "_views", "begun",
        "committed_ms", "operator", "partition", "versions",
    )  # fmt: skip

    def __init__(
        self,
        operator: str,
        partition: int,
        begun: Callable[[int, StateTable], None] | None = None,
        downtimes: Sequence[Downtime] = (),
    ) -> None:
        self.operator = operator
        self.partition = partition
        self.begun = begun
        self.committed_ms: int | None = None
        self.versions: tuple[Version, ...] = ()
        self._committed: dict[Any, Any] = {}
        self._idle = IdleIndex()
        self._expired_before_ms: int | None = None
        self._hidden_count = 0
        self._downtimes = downtimes
        self._views: WeakSet[StateRows] = WeakSet()
        self._lock = threading.Lock()

    @property
    def open_batches(self) -> tuple[int, ...]:
        """The batches in flight, oldest first, milliseconds."""
        return tuple(version.batch_ms for version in self.versions)

    @property
    def is_new(self) -> bool:
        """True until the first version is committed, and while there is no second one over it."""
        return self.committed_ms is None and len(self.versions) <= 1

    def begin(self, batch_ms: int) -> None:
        """Open a version for a batch; one that is open already is rolled back first, for the batch runs again.

        Raises:
            InternalError: a later batch was begun or committed before.
        """
        if batch_ms in self.open_batches:
            self.rollback(batch_ms)
        newest_ms = self.versions[-1].batch_ms if self.versions else self.committed_ms
        if newest_ms is not None and batch_ms <= newest_ms:
            raise InternalError(
                "A batch came to its state out of order.",
                detail=f"Batch {batch_ms} of {self._name} after batch {newest_ms}.",
            )
        with self._lock:
            below = self.versions[-1] if self.versions else None
            version = Version(
                batch_ms,
                _reader(self._committed, self.versions),
                count=len(self._committed) if below is None else below.count,
                hidden_count=self._hidden_count if below is None else below.hidden_count,
                expired_before_ms=self._expired_before_ms if below is None else below.expired_before_ms,
            )
            self.versions = (*self.versions, version)
        if self.begun is not None:
            self.begun(batch_ms, self)

    def version(self, batch_ms: int) -> Version:
        """Give the newest version, which must be that of a batch.

        Raises:
            InternalError: it is not; the batch was not begun here, or a later one was.
        """
        if not self.versions or self.versions[-1].batch_ms != batch_ms:
            raise InternalError(
                "A batch has no version of its own to work in.",
                detail=f"Batch {batch_ms} of {self._name}; open are {self.open_batches}.",
            )
        return self.versions[-1]

    def _newest(self) -> Version:
        if not self.versions:
            raise LifecycleError(
                "State can only be changed within a batch.",
                detail=f"No batch is open on {self._name}.",
                hint="Call begin(batch_ms) first.",
            )
        return self.versions[-1]

    def get(self, key: Any, default: Any = None) -> Any:
        """Give the value of a key; within a batch it is one that may be mutated in place."""
        value = self.versions[-1].working(key) if self.versions else self._committed.get(key, ABSENT)
        return default if value is ABSENT else value

    def contains(self, key: Any) -> bool:
        """Say whether a key is held."""
        if self.versions:
            return self.versions[-1].peek(key) is not ABSENT
        return key in self._committed

    __contains__ = contains

    def set(self, key: Any, value: Any) -> None:
        """Set the value of a key.

        Raises:
            ArgumentTypeError: the key is unhashable or NaN.
            LifecycleError: no batch is open.
        """
        try:
            self._newest().put(key, value)
        except TypeError:
            check_key(key)
            raise

    def remove(self, key: Any) -> None:
        """Remove a key; one that is not held is left alone.

        Raises:
            LifecycleError: no batch is open.
        """
        self._newest().remove(key)

    def seed(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        """Put initial pairs into the open version; for steps with a timeout their idle time starts now."""
        version = self._newest()
        for key, value in pairs:
            # The pairs stay with the program, which needs them unchanged when the batch runs again.
            version.put(key, copied(value))
            version.touched.append(key)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Iterate over the keys and values of the newest version; the values must not be mutated."""
        return iter(self.rows())

    def rows(self) -> StateRows:
        """Give the (key, value) pairs of the newest version as rows, without copying them."""
        return self.viewed(StateRows)

    def rows_before(self) -> StateRows:
        """Give the (key, value) pairs that were held before the open batch."""
        self._newest()
        return self._view(StateRows, self.versions[:-1])

    def viewed(self, kind: type[StateRows]) -> StateRows:
        """Give a view of the newest version; it shows the same for ever, whatever becomes of the table."""
        return self._view(kind, self.versions)

    def _view(self, kind: type[StateRows], versions: tuple[Version, ...]) -> StateRows:
        with self._lock:
            view = kind(self._committed, versions, self._hidden_count, self._lock)
            self._views.add(view)
        return view

    def __len__(self) -> int:
        return self.versions[-1].count if self.versions else len(self._committed)

    @property
    def timed_count(self) -> int:
        """How many committed keys have an idle time."""
        return self._idle.keys_count

    def due(self, before_ms: int) -> list[Any]:
        """List the keys held that were last touched before a time; the caller removes them all.

        Args:
            before_ms: milliseconds; a key touched at this time or later is not due. Time in which the program was
                down does not count.
        """
        version = self._newest()
        before_ms = idle_since(before_ms, self._downtimes, version.batch_ms)
        due = self._idle.due(version, self.versions[:-1], before_ms)
        version.expired_before_ms = before_ms
        return due

    def rollback(self, batch_ms: int) -> None:
        """Drop the version of a batch and every newer one, which was made over it."""
        with self._lock:
            self.versions = tuple(version for version in self.versions if version.batch_ms < batch_ms)

    def commit(self, batch_ms: int) -> None:
        """Take the versions up to a batch into the committed values; they can no longer be rolled back."""
        while self.versions and self.versions[0].batch_ms <= batch_ms:
            with self._lock:
                version = self.versions[0]
                self._settle_views(version)
                self._take_in(self._delta(version))
                self.versions = self.versions[1:]

    def _settle_views(self, version: Version) -> None:
        """Keep what views show while committed values change: those that need the old ones get to keep them."""
        bound = [view for view in self._views if view.committed is self._committed]
        if any(view.readers_count or version not in view.versions for view in bound):
            self._committed = self._committed.copy()
            return
        for view in bound:
            view.version_committed(version)

    def _take_in(self, delta: Delta) -> None:
        apply_changes(self._committed, delta.changed, delta.removed)
        if delta.expired_before_ms is not None:
            self._idle.apply(delta, self._committed)
            self._idle.expire(delta.expired_before_ms)
            self._expired_before_ms = delta.expired_before_ms
        self._hidden_count = delta.hidden_count
        self.committed_ms = delta.batch_ms

    def delta(self, batch_ms: int) -> Delta:
        """Give what an open batch changed so far.

        Raises:
            InternalError: the batch is not open here.
        """
        for version in self.versions:
            if version.batch_ms == batch_ms:
                return self._delta(version)
        raise InternalError(
            "A delta was asked of a batch that is not open.",
            detail=f"Batch {batch_ms} of {self._name}; open are {self.open_batches}.",
        )

    @staticmethod
    def _delta(version: Version) -> Delta:
        return Delta(
            version.batch_ms,
            version.changed(),
            tuple(version.gone),
            tuple(version.touched),
            version.expired_before_ms,
            version.hidden_count,
        )

    def snapshot(self) -> Snapshot:
        """Give all that is committed; the values are shared, but the table never changes them in place."""
        with self._lock:
            values, idle = self._committed.copy(), self._idle.dump()
            return Snapshot(self.committed_ms, values, idle, self._hidden_count)

    def load(self, snapshot: Snapshot | None, deltas: Sequence[Delta] = (), open_deltas: Sequence[Delta] = ()) -> None:
        """Replace everything by a snapshot and what came after it.

        Args:
            snapshot: what was committed once, or None to start empty.
            deltas: committed batches after the snapshot, oldest first.
            open_deltas: batches in flight, oldest first; each is begun again and can be rolled back.
        """
        snapshot = snapshot or Snapshot(None, {})
        with self._lock:
            self.versions = ()
            self._committed = snapshot.values.copy()
            self._idle = IdleIndex.load(snapshot.idle)
            self._expired_before_ms = None
            self._hidden_count = snapshot.hidden_count
            self.committed_ms = snapshot.batch_ms
            for delta in deltas:
                self._take_in(delta)
        for delta in open_deltas:
            self.begin(delta.batch_ms)
            version = self.version(delta.batch_ms)
            version.redo(delta.changed, delta.removed)
            version.touched = list(delta.touched)
            version.expired_before_ms = delta.expired_before_ms
            version.hidden_count = delta.hidden_count

    def go_on(self, done_ms: int) -> None:
        """Go on after a batch in which the table may not have been touched, and which may have been long ago.

        Args:
            done_ms: the newest batch that is done, milliseconds.
        """
        self.committed_ms = done_ms

    @property
    def _name(self) -> str:
        return f"{self.operator!r}, partition {self.partition}"


def _reader(committed: dict[Any, Any], versions: tuple[Version, ...]) -> Callable[[Any, Any], Any]:
    """Make the function that reads what is below a new version."""
    if not versions:
        return committed.get

    newest_first = [version.values.get for version in reversed(versions)]

    def read(key: Any, default: Any) -> Any:
        for get in newest_first:
            value = get(key, UNTOUCHED)
            if value is not UNTOUCHED:
                return default if value is ABSENT else value
        return committed.get(key, default)

    return read

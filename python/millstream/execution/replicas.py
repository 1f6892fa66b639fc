"""Replicas: what the driver keeps of the state of one worker, to fill its successor."""

from __future__ import annotations

from collections.abc import Sequence

from millstream.encoding.rows import Frame, pack
from millstream.execution.snapshot_slices import batch_of
from millstream.state.replica import StateReplica
from millstream.state.state_change import StateChange
from millstream.state.store import TableId


class Replicas:
    """A replica of every table that lives in one worker.

    Begin, commit and roll back reach it when the driver decides them, deltas when tasks have succeeded.

    Example:
        >>> replicas = Replicas()
        >>> replicas.take_deltas(1_000, [("counts", 0, b"delta", 1)])
        >>> replicas.changes(1_000)
        [StateChange(table='counts', partition=0, data=b'delta', records=1)]
        >>> replicas.commit(1_000)
        >>> replicas.images()
        [('counts', 0, None, (b'delta',), ())]
    """

    def __init__(self) -> None:
        self._tables: dict[TableId, StateReplica] = {}
        self._batches_ms: dict[TableId, list[int]] = {}
        self._changes: dict[int, dict[TableId, StateChange]] = {}
        self._slices: list[bytes] = []
        self._in_progress: TableId | None = None

    def load(self, operator: str, partition: int, batch_ms: int, snapshot: Frame) -> None:
        """Begin a replica with slices of a snapshot, packed together."""
        replica = self._tables[operator, partition] = StateReplica()
        replica.load(batch_ms, snapshot)
        self._batches_ms[operator, partition] = [batch_ms]

    def changes(self, batch_ms: int) -> list[StateChange]:
        """Give what a batch under way changed, as it goes to the state log."""
        return [change for change in self._changes.get(batch_ms, {}).values() if change.records]

    def take_deltas(self, batch_ms: int, deltas: Sequence[tuple[str, int, bytes, int]]) -> None:
        """Keep what a batch changed."""
        changes = self._changes.setdefault(batch_ms, {})
        for operator, partition, delta, records in deltas:
            changes[operator, partition] = StateChange(operator, partition, delta, records)
            replica = self._tables.get((operator, partition))
            if replica is None:
                replica = self._tables[operator, partition] = StateReplica()
            replica.append(batch_ms, delta)
            batches_ms = self._batches_ms.setdefault((operator, partition), [])
            batches_ms[:] = [*(ms for ms in batches_ms if ms < batch_ms), batch_ms]

    def newest_ms(self, operator: str, partition: int) -> int | None:
        """Give the newest batch that a table restored from here would show, milliseconds."""
        batches_ms = self._batches_ms.get((operator, partition))
        return batches_ms[-1] if batches_ms else None

    def commit(self, batch_ms: int) -> None:
        """Make a batch final."""
        for done_ms in [ms for ms in self._changes if ms <= batch_ms]:
            del self._changes[done_ms]
        for replica in self._tables.values():
            replica.commit(batch_ms)
        for batches_ms in self._batches_ms.values():
            while len(batches_ms) > 1 and batches_ms[1] <= batch_ms:
                del batches_ms[0]

    def roll_back(self, batch_ms: int) -> None:
        """Drop a batch and those after it."""
        for later_ms in [ms for ms in self._changes if ms >= batch_ms]:
            del self._changes[later_ms]
        for replica in self._tables.values():
            replica.rollback(batch_ms)
        for batches_ms in self._batches_ms.values():
            batches_ms[:] = [ms for ms in batches_ms if ms < batch_ms]

    def snapshot_wanted(self) -> TableId | None:
        """Give a table whose deltas outgrew its snapshot, unless a snapshot is on its way already."""
        if self._in_progress is not None:
            return None
        for table_id, replica in self._tables.items():
            if replica.wants_snapshot and replica.committed_ms is not None:
                self._in_progress = table_id
                return table_id
        return None

    def take_slices(self, slices: Sequence[bytes]) -> None:
        """Put slices of the snapshot that was asked for together; an empty one says that it is complete."""
        if self._in_progress is None:
            return
        self._slices.extend(slices)
        if self._slices and not self._slices[-1]:
            batch_ms = batch_of(self._slices)
            if batch_ms is not None:
                self._tables[self._in_progress].renew(batch_ms, pack(self._slices[:-1]))
            self.give_up_snapshot()

    def give_up_snapshot(self) -> None:
        """Forget a snapshot that is on its way: the worker that was making it is gone."""
        self._slices = []
        self._in_progress = None

    def images(self) -> list[tuple[str, int, Frame | None, tuple[Frame, ...], tuple[Frame, ...]]]:
        """Give what the tables are made of again, in the form that `LoadState` has."""
        images = []
        for (operator, partition), replica in self._tables.items():
            image = replica.image()
            images.append((operator, partition, image.snapshot, image.deltas, image.open_deltas))
        return images

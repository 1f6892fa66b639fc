"""The parts of a window as a table: what a batch changes in it, and the window made of it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from millstream.errors import UserCodeError
from millstream.graph.window import Carried, InverseWindowNode, PartsNode
from millstream.model.partition import Columns, PartitionData, opened, rows_of
from millstream.state.delta import Delta, Snapshot
from millstream.state.state_change import StateChange
from millstream.state.stored_chunks import Chunks, read_chunks
from millstream.state.table_format import TableFormat
from millstream.state.upgrade import Upgrade

CARRIED = "carried"
"""The key, beside batch times, under which an inverse window keeps how far its running values were carried."""

Held = Callable[[Sequence[PartitionData]], list[PartitionData]]


class WindowTable:
    """A table whose keys are batch times and whose values are what each batch put into the window.

    A part is a tuple of its partitions; each is a tuple of its rows, or of an Arrow table and whether its only
    column holds plain values.

    Args:
        table: the id of the table.
        node: the window.
        format: how the table is written.
    """

    def __init__(self, table: str, node: PartsNode, format: TableFormat) -> None:
        self.table = table
        self._node = node
        self._format = format

    def change(self, time_ms: int) -> StateChange | None:
        """Encode what a batch put in, and the parts that are forgotten when it is done; None when it changed nothing.

        Raises:
            UserCodeError: a record cannot be encoded.
        """
        node = self._node
        changed: dict[Any, Any] = {}
        part = node.parts.of(time_ms)
        if part is not None:
            changed[time_ms] = tuple(map(_written, part))
        if isinstance(node, InverseWindowNode) and node.carried and node.carried[-1].time_ms == time_ms:
            changed[CARRIED] = tuple(node.carried[-1])
        until_ms = node.forgets_until(time_ms)
        removed = () if until_ms is None else tuple(node.parts.times(until_ms))
        if not changed and not removed:
            return None
        delta = Delta(time_ms, changed, removed)
        try:
            return StateChange(self.table, 0, self._format.encode(delta), delta.records)
        except UserCodeError as error:
            raise self._refusal(time_ms, part or []) or error from error.__cause__

    def _refusal(self, time_ms: int, part: list[PartitionData]) -> UserCodeError | None:
        """Name the first record that cannot be encoded."""
        for partition in part:
            for record in rows_of(opened(partition)):
                try:
                    self._format.codec.encode(record, "record")
                except Exception as error:
                    return self._format.refusal(error, time_ms, record)
        return None

    def snapshot(self, done_ms: int) -> StateChange | None:
        """Encode all parts, between batches; None when there are none.

        Raises:
            UserCodeError: a record cannot be encoded.
        """
        node = self._node
        values: dict[Any, Any] = {time_ms: tuple(map(_written, part)) for time_ms, part in node.parts.all().items()}
        if isinstance(node, InverseWindowNode) and node.carried:
            values[CARRIED] = tuple(node.carried[-1])
        if not values:
            return None
        return StateChange(self.table, 0, self._format.encode_snapshot(Snapshot(done_ms, values)), len(values))

    def load(self, chunks: Chunks, done_ms: int, upgrade: Upgrade | None, held: Held, *, carries_on: bool) -> None:
        """Fill the window with the parts that were in it after a batch.

        Args:
            chunks: what was written, oldest first; the first may be a snapshot.
            done_ms: that batch; what is later is left out.
            upgrade: brings values of an earlier version up to date, or None.
            held: gives partitions in the form in which the backend reads them best.
            carries_on: the running values of an inverse window are loaded too; else they are made of the parts again.
        """
        node, values = self._node, self._restored(chunks, done_ms)
        carried = values.pop(CARRIED, None)
        if isinstance(node, InverseWindowNode):
            node.carried = [Carried(*carried)] if carries_on and carried is not None else []
        parts: dict[int, list[PartitionData]] = {}
        for time_ms, written in values.items():
            part = [_read(partition) for partition in written]
            if upgrade is not None:
                part = [self._upgraded(time_ms, partition, upgrade) for partition in part]
            parts[time_ms] = held(self._spread(part))
        node.parts.load(parts)

    def _restored(self, chunks: Chunks, done_ms: int) -> dict[Any, Any]:
        snapshot = read_chunks(chunks, self._node.options.reading_codec(), done_ms)
        return {} if snapshot is None else snapshot.values

    def _upgraded(self, time_ms: int, partition: PartitionData, upgrade: Upgrade) -> PartitionData:
        rows = rows_of(partition)
        if self._node.partitioner is None:
            return [upgrade.of(time_ms)(record) for record in rows]
        return [(key, upgrade.of(key)(value)) for key, value in rows]

    def _spread(self, part: list[PartitionData]) -> list[PartitionData]:
        """Bring pairs to the partitions in which this program looks for them."""
        partitioner = self._node.partitioner
        if partitioner is None or len(part) == partitioner.partitions:
            return part
        return list(partitioner.split_pairs([pair for partition in part for pair in rows_of(partition)]))


def _written(partition: PartitionData) -> tuple[Any, ...]:
    data = opened(partition)
    if isinstance(data, Columns):
        return data.table, data.scalar
    return (data if type(data) is list else list(data),)


def _read(written: tuple[Any, ...]) -> PartitionData:
    if len(written) == 1:
        rows: list[Any] = written[0]
        return rows
    table, scalar = written
    return Columns(table, scalar=scalar)

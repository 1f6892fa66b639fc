"""The state store: all tables of one executor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from millstream.state.delta import Delta, Snapshot
from millstream.state.downtime import Downtime
from millstream.state.replica import ReplicaImage
from millstream.state.state_change import StateChange
from millstream.state.table import StateTable
from millstream.state.table_format import TableFormat

TableId: TypeAlias = tuple[str, int]
"""An operator's identity and a partition."""


class StateStore:
    """The tables that live on an executor, by operator and partition.

    Begin, commit, rollback and delta reach the tables that the batch touched, and cost nothing for the others.

    Example:
        >>> store = StateStore()
        >>> table = store.table("counts", 0)
        >>> table.begin(1_000); table.set("a", 1)
        >>> store.delta(1_000)[("counts", 0)].changed, store.commit(1_000), len(table)
        ({'a': 1}, None, 1)
    """

    def __init__(self) -> None:
        self._tables: dict[TableId, StateTable] = {}
        self._touched: dict[int, dict[TableId, StateTable]] = {}
        self._downtimes: list[Downtime] = []

    def note_downtimes(self, downtimes: Sequence[Downtime]) -> None:
        """Say when the program was down, oldest first: in these times no key of any table grows idle."""
        self._downtimes[:] = downtimes

    def table(self, operator: str, partition: int) -> StateTable:
        """Give the table of an operator and a partition, made empty when there is none yet."""
        table = self._tables.get((operator, partition))
        if table is None:
            table = self._tables[operator, partition] = StateTable(operator, partition, self._begun, self._downtimes)
        return table

    def _begun(self, batch_ms: int, table: StateTable) -> None:
        self._touched.setdefault(batch_ms, {})[table.operator, table.partition] = table

    def begin(self, batch_ms: int) -> None:
        """Start a batch, or start it anew: what an earlier attempt left is rolled back.

        Each table is begun by the step that works on it, when it does.
        """
        if batch_ms in self._touched:
            self.rollback(batch_ms)

    def rollback(self, batch_ms: int) -> None:
        """Undo a batch, and every later one in flight, on all tables that they touched."""
        for later_ms in sorted((ms for ms in self._touched if ms >= batch_ms), reverse=True):
            for table in self._touched.pop(later_ms).values():
                table.rollback(later_ms)

    def commit(self, batch_ms: int) -> None:
        """Make a batch, and every earlier one in flight, final on all tables that they touched."""
        for earlier_ms in sorted(ms for ms in self._touched if ms <= batch_ms):
            for table in self._touched.pop(earlier_ms).values():
                table.commit(earlier_ms)

    def delta(self, batch_ms: int) -> dict[TableId, Delta]:
        """Give what an open batch changed, for each table that it touched."""
        touched = self._touched.get(batch_ms, {})
        return {table_id: table.delta(batch_ms) for table_id, table in touched.items()}

    def changes(self, batch_ms: int, formats: Mapping[str, TableFormat]) -> list[StateChange]:
        """Encode what an open batch changed, for each table with a format in which it changed something.

        Raises:
            UserCodeError: a value cannot be encoded.
        """
        changes = []
        for (operator, partition), table in self._touched.get(batch_ms, {}).items():
            format = formats.get(operator)
            if format is not None:
                delta = table.delta(batch_ms)
                if records := delta.records:
                    changes.append(StateChange(operator, partition, format.encode(delta), records))
        return changes

    def drop(self, operator: str, partition: int) -> None:
        """Forget a table, with its versions in flight; one that is not here is no error."""
        self._tables.pop((operator, partition), None)
        for touched in self._touched.values():
            touched.pop((operator, partition), None)

    def clear(self) -> None:
        """Forget all tables, and when the program was down."""
        self._tables.clear()
        self._downtimes.clear()
        self._touched.clear()

    def load(self, operator: str, partition: int, image: ReplicaImage) -> StateTable:
        """Make a table anew from its replica, batches in flight included."""
        self.drop(operator, partition)
        table = self.table(operator, partition)
        snapshot = None if image.snapshot is None else Snapshot.unpack(image.snapshot)
        table.load(snapshot, [Delta.unpack(d) for d in image.deltas], [Delta.unpack(d) for d in image.open_deltas])
        return table

    def __iter__(self) -> Iterator[StateTable]:
        return iter(self._tables.values())

    def __len__(self) -> int:
        return len(self._tables)

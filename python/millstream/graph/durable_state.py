"""The durable state of a program: what each batch changed in it goes out, what a checkpoint holds of it comes in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from millstream.errors import GraphError, IncompatibleCheckpointError
from millstream.graph.graph import Graph
from millstream.graph.node import MemoryNode
from millstream.graph.state import StateNode
from millstream.graph.window import InverseWindowNode, PartsNode
from millstream.graph.window_table import WindowTable
from millstream.model.partition import PartitionData
from millstream.rdd.partitioner import KeyGroups, Partitioner
from millstream.state.downtime import Downtime
from millstream.state.dump_step import DumpStep
from millstream.state.load_step import LoadStep
from millstream.state.state_change import StateChange
from millstream.state.state_options import StateOptions
from millstream.state.step import StateStep
from millstream.state.stored_chunks import Chunks
from millstream.state.table_format import TableFormat
from millstream.state.table_identity import TableIdentity, TableKind
from millstream.state.table_load import TableDump, TableLoad
from millstream.state.upgrade import Upgrade

__all__ = ["Downtime", "DurableState", "StateChange", "StateHolder", "TableIdentity"]

PARTS = ".parts"
"""Behind the id of an inverse window: the table of its parts, beside that of its running values."""


class StateHolder(Protocol):
    """What is needed of a backend; see `millstream.execution.backend.Backend`."""

    def persist_state(self, formats: Mapping[str, TableFormat]) -> None:
        """Encode what each batch changes in these tables."""
        ...

    def state_changes(self, batch_ms: int) -> list[StateChange]:
        """Give what a batch under way changed."""
        ...

    def load_state(self, loads: Sequence[TableLoad], done_ms: int) -> None:
        """Fill tables."""
        ...

    def note_downtimes(self, downtimes: Sequence[Downtime]) -> None:
        """Say when the program was down."""
        ...

    def state_snapshots(self, dumps: Sequence[TableDump], done_ms: int) -> list[StateChange]:
        """Write out whole tables."""
        ...

    def held(self, parts: Sequence[PartitionData]) -> list[PartitionData]:
        """Give partitions that will be read again in the form that is best for it."""
        ...


class DurableState:
    """All that a program remembers from batch to batch, as tables of a checkpoint.

    Every call comes from the driver's thread, between the tasks of batches.

    Args:
        graph: the frozen graph of the program.
        backend: where its state lives.

    Raises:
        GraphError: two tables have one id.
    """

    def __init__(self, graph: Graph, backend: StateHolder) -> None:
        self._backend = backend
        self._nodes: dict[str, MemoryNode] = {}
        self._windows: dict[str, WindowTable] = {}
        self._formats: dict[str, TableFormat] = {}
        self._tables: dict[str, TableIdentity] = {}
        for node in graph.memory_nodes:
            for table, kind, partitions in _tables_of(node):
                if table in self._tables:
                    raise GraphError(
                        f"The name {table!r} is taken by a table of another operator.",
                        detail=f"The parts of an inverse window are kept under its name and {PARTS!r}.",
                        hint="Give one of the two operators another name=.",
                    )
                self._add(table, kind, partitions, node)

    def _add(self, table: str, kind: TableKind, partitions: int, node: MemoryNode) -> None:
        label, options = node.label, _options_of(node)
        codec = options.value_codec()
        self._nodes[table] = node
        self._tables[table] = TableIdentity(
            table,
            label.operator,
            label.name,
            kind,
            partitions,
            codec.kind,
            options.renamed_from,
            label.site or "",
            options.version,
        )
        self._formats[table] = TableFormat(codec, label)
        if kind == "window":
            assert isinstance(node, PartsNode)
            self._windows[table] = WindowTable(table, node, self._formats[table])

    @property
    def tables(self) -> tuple[TableIdentity, ...]:
        """All tables, in the order in which their operators were added to the program."""
        return tuple(self._tables.values())

    def begin(self) -> None:
        """Have every batch from now on encode what it changes; called before the first one."""
        self._backend.persist_state(
            {table: format for table, format in self._formats.items() if table not in self._windows}
        )

    def changes(self, time_ms: int) -> list[StateChange]:
        """Give what a batch changed; called after all its tasks ran and before it is done.

        Parts of windows that are forgotten when the batch is done count as changed. A table in which the batch
        changed nothing is left out.

        Raises:
            UserCodeError: a state or a record of a window cannot be encoded; names operator, key and type.
        """
        changes = self._backend.state_changes(time_ms)
        for window in self._windows.values():
            change = window.change(time_ms)
            if change is not None:
                changes.append(change)
        return changes

    def snapshots(self, done_ms: int) -> list[StateChange]:
        """Give the whole state as one snapshot for each partition of each table; called between batches.

        After a `load` that put state into other tables than it came from (another id, another number of partitions,
        another version) these take the place of all chunks before: what follows does not go with those.

        Args:
            done_ms: the newest batch that is done, milliseconds.

        Raises:
            UserCodeError: a value cannot be encoded.
        """
        dumps = [
            TableDump(table, DumpStep(format.label, format), self._tables[table].partitions)
            for table, format in self._formats.items()
            if table not in self._windows
        ]
        snapshots = self._backend.state_snapshots(dumps, done_ms)
        windows = [window.snapshot(done_ms) for window in self._windows.values()]
        return [*snapshots, *(window for window in windows if window is not None)]

    def load(
        self,
        tables: Mapping[str, Sequence[Chunks]],
        done_ms: int | None,
        *,
        stored: Mapping[str, TableIdentity] | None = None,
    ) -> None:
        """Fill the tables with what a checkpoint holds, as of one batch; called before the first batch, after `begin`.

        Keys are spread anew where the number of partitions is another one, in the order of the stored partitions.
        The initial state of an operator whose table is loaded is not used.

        Args:
            tables: for each table of this program that is loaded, by its id, the chunks of each stored partition,
                oldest first; the first may be a snapshot. Other tables start empty.
            done_ms: the newest batch that is done, milliseconds; later changes are left out. None: there was none.
            stored: what the checkpoint knows of the stored tables, by the id in this program; None: as in this program.

        Raises:
            UserCodeError: a migrate function or the filter of a window raised.
            IncompatibleCheckpointError: the tables do not fit this program.
            DataError: a chunk cannot be decoded.
        """
        if done_ms is None:
            return
        loads = self._load_stored(tables, done_ms, stored)
        if loads:
            self._backend.load_state(loads, done_ms)

    def note_downtimes(self, downtimes: Sequence[Downtime]) -> None:
        """Say when the program was down, before the first batch.

        Args:
            downtimes: oldest first; they do not overlap. Keys do not grow idle in them, in no table.
        """
        self._backend.note_downtimes(downtimes)

    def _load_stored(
        self,
        tables: Mapping[str, Sequence[Chunks]],
        done_ms: int,
        stored: Mapping[str, TableIdentity] | None,
    ) -> list[TableLoad]:
        """Fill the windows, and give what fills the other tables."""
        loads: list[TableLoad] = []
        for table, partitions in tables.items():
            identity = self._tables[table]
            was = identity if stored is None else stored.get(table, identity)
            upgrade = self._upgrade(identity, was)
            if table in self._windows:
                chunks = [chunk for partition in partitions for chunk in partition]
                carries_on = self._nodes[table].id in tables
                self._windows[table].load(chunks, done_ms, upgrade, self._backend.held, carries_on=carries_on)
            else:
                loads.append(self._load(table, partitions, done_ms, upgrade))
        return loads

    def _load(
        self,
        table: str,
        stored: Sequence[Chunks],
        done_ms: int,
        upgrade: Upgrade | None,
    ) -> TableLoad:
        node = self._nodes[table]
        step, partitioner = _keyed(node)
        is_spread = len(stored) not in (0, partitioner.partitions)
        if is_spread and type(partitioner) is not KeyGroups:
            raise IncompatibleCheckpointError(
                f"{node.label.operator} cannot take over state of another number of partitions.",
                detail=f"Its keys are spread by {partitioner!r}, a partitioner of the program's own, over "
                f"{partitioner.partitions} partitions; the checkpoint has {len(stored)}. "
                f"{node.label.operator} was added at {node.label.site}.",
                hint=f"Run it with {len(stored)} partitions.",
            )
        partitions = partitioner.partitions if is_spread else None
        load = LoadStep(node.label, step, _options_of(node).reading_codec(), partitions, done_ms, upgrade)
        return TableLoad(table, load, _by_partition(stored, partitioner.partitions))

    def _upgrade(self, table: TableIdentity, stored: TableIdentity) -> Upgrade | None:
        """Give the function for stored values, or None when they are of this program's version."""
        if table.version == stored.version:
            return None
        node = self._nodes[table.table]
        migrate = _options_of(node).migrate
        if stored.version > table.version or migrate is None:
            raise IncompatibleCheckpointError(
                f"The state of {table.name or table.operator} in the checkpoint is of another version.",
                detail=f"The checkpoint has version {stored.version}, this program version {table.version}; "
                f"{table.operator} was added at {table.site}.",
                hint="Run the program that wrote the checkpoint, or a newer one."
                if stored.version > table.version
                else f"Give state=ms.StateOptions(version={table.version}, migrate=f) with an f(old, version).",
            )
        return Upgrade(migrate, stored.version, node.label)


def _tables_of(node: MemoryNode) -> Iterator[tuple[str, TableKind, int]]:
    """List the tables of a node: id, kind and number of partitions."""
    if isinstance(node, StateNode):
        yield node.id, "state", node.partitioner.partitions
    elif isinstance(node, InverseWindowNode):
        yield node.id, "running", node.partitioner.partitions
        yield node.id + PARTS, "window", 1
    elif isinstance(node, PartsNode):
        yield node.id, "window", 1


def _options_of(node: MemoryNode) -> StateOptions:
    assert isinstance(node, (StateNode, PartsNode))
    return node.options


def _keyed(node: MemoryNode) -> tuple[StateStep, Partitioner]:
    assert isinstance(node, (StateNode, InverseWindowNode))
    return node.step, node.partitioner


def _by_partition(stored: Sequence[Chunks], partitions: int) -> list[list[Chunks]]:
    """List for each partition the stored ones that may have keys of it: their ranges of key groups overlap."""
    return [
        [
            chunks
            for index, chunks in enumerate(stored)
            if index * partitions < (p + 1) * len(stored) and p * len(stored) < (index + 1) * partitions
        ]
        for p in range(partitions)
    ]

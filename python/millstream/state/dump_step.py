"""The step that writes out a whole table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.state.step import StateStep
from millstream.state.table import StateTable
from millstream.state.table_format import TableFormat


@dataclass(frozen=True, slots=True, eq=False)
class DumpStep(StateStep):
    """Gives the snapshot of one partition as a chunk; it runs between batches, where the table lives.

    Attributes:
        label: the operator, for errors.
        format: how the table is written.
    """

    label: Label
    format: TableFormat
    initial: None = None
    changes_table = False

    def run(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> Rows:
        """Encode the table: one row, the chunk and its number of keys, or none when no batch ever touched it."""
        return self.advance(table, inputs, batch)

    def advance(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> Rows:
        return [] if table.committed_ms is None else [(self.format.encode_snapshot(table.snapshot()), len(table))]

"""The step that reads a state beside the step that keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.state.rows import StateRows
from millstream.state.step import StateStep
from millstream.state.table import StateTable


@dataclass(frozen=True, slots=True, eq=False)
class StateSnapshots(StateStep):
    """Gives all (key, state) pairs of a table after the step that keeps it has run in the same batch.

    It runs on the same operator's table, after that step; its input is what makes it come after, and is not read.

    Attributes:
        label: the operator, for errors.
    """

    label: Label
    initial: None = None
    changes_table = False

    def run(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> StateRows:
        """Read the version of the batch, which the other step opened."""
        return self.advance(table, inputs, batch)

    def advance(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> StateRows:
        table.version(batch.time_ms)
        return table.rows()

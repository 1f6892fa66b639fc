"""The step that fills a table with what a checkpoint holds of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from millstream._core import split_dict
from millstream.encoding.codec import Codec
from millstream.environment.process_tuning import collection_paused
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.state.delta import Snapshot
from millstream.state.step import StateStep
from millstream.state.stored_chunks import Chunks, read_chunks
from millstream.state.table import StateTable
from millstream.state.upgrade import Upgrade


@dataclass(frozen=True, slots=True, eq=False)
class LoadStep(StateStep):
    """Makes the table of one partition of the chunks of those stored partitions that have keys of it.

    It runs before the first batch, on the executor that holds the table from then on.

    Attributes:
        label: the operator, for errors.
        step: the step that works on the table later; it makes what an earlier program left fit.
        codec: decodes the values.
        partitions: over how many partitions the keys are spread anew; None where they stay as they are.
        done_ms: the newest batch in the state, milliseconds; what is later was not done and is left out.
        upgrade: brings values of an earlier version up to date, or None.
    """

    label: Label
    step: StateStep
    codec: Codec
    partitions: int | None
    done_ms: int
    upgrade: Upgrade | None
    initial: None = None
    changes_table = False

    def run(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> Rows:
        """Fill the table; its input is a row of chunks for each stored partition."""
        return self.advance(table, inputs, batch)

    def advance(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> Rows:
        stored = [chunks for rows in inputs[0] for chunks in rows]
        with collection_paused():
            if self.partitions is None and self.upgrade is None:
                self._load(table, *(stored or [[]]))
                if not self.step.fits(table):
                    table.load(self.step.fitted(table.snapshot(), batch))
            else:
                table.load(self.step.fitted(self._spread(table, stored), batch))
        return []

    def _load(self, table: StateTable, chunks: Chunks) -> None:
        """Make a table of the chunks of one stored partition."""
        table.load(read_chunks(chunks, self.codec, self.done_ms))
        table.go_on(self.done_ms)

    def _spread(self, table: StateTable, stored: Sequence[Chunks]) -> Snapshot:
        """Put together what all stored partitions have of the keys of this one, and bring it up to date."""
        values: dict[Any, Any] = {}
        idle: dict[int, list[Any]] = {}
        for chunks in stored:
            scratch = StateTable(table.operator, table.partition)
            self._load(scratch, chunks)
            snapshot = scratch.snapshot()
            mine = snapshot.values
            if self.partitions is not None:
                mine = split_dict(mine, self.partitions)[table.partition]
            for touched_ms, keys in snapshot.idle:
                idle.setdefault(touched_ms, []).extend(filter(mine.__contains__, keys))
            values.update(mine)
        if self.upgrade is not None:
            values = self._upgraded(values, self.upgrade)
        buckets = tuple((touched_ms, tuple(keys)) for touched_ms, keys in sorted(idle.items()))
        return Snapshot(self.done_ms, values, buckets)

    def _upgraded(self, values: dict[Any, Any], upgrade: Upgrade) -> dict[Any, Any]:
        """Bring every value up to date; a key whose new value is None is dropped."""
        step = self.step
        pairs = ((key, step.upgraded(value, upgrade.of(key))) for key, value in values.items())
        return {key: value for key, value in pairs if value is not None}

"""The step that fills a table with what a checkpoint holds of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from millstream._core import split_dict
from millstream.encoding.codec import Codec
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.model.partition import Rows
from millstream.state.delta import Snapshot
from millstream.state.downtime import Downtime
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
        downtimes: when the program was down, oldest first.
    """

    label: Label
    step: StateStep
    codec: Codec
    partitions: int | None
    done_ms: int
    upgrade: Upgrade | None
    downtimes: tuple[Downtime, ...]
    initial: None = None
    changes_table = False

    def run(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> Rows:
        """Fill the table; its input is a row of chunks for each stored partition."""
        return self.advance(table, inputs, batch)

    def advance(self, table: StateTable, inputs: Sequence[Sequence[Rows]], batch: Batch) -> Rows:
        stored = [self._restored(table, chunks) for rows in inputs[0] for chunks in rows]
        values: dict[Any, Any] = {}
        idle: dict[int, list[Any]] = {}
        hidden_count = 0
        for snapshot in stored:
            mine = snapshot.values
            if self.partitions is not None:
                mine = split_dict(mine, self.partitions)[table.partition]
            hidden_count += snapshot.hidden_count
            for touched_ms, keys in snapshot.idle:
                idle.setdefault(touched_ms, []).extend(
                    keys if mine is snapshot.values else filter(mine.__contains__, keys)
                )
            values = {**values, **mine} if values else mine
        if self.upgrade is not None:
            values = self._upgraded(values, self.upgrade)
        buckets = tuple((touched_ms, tuple(keys)) for touched_ms, keys in sorted(idle.items()))
        whole = Snapshot(self.done_ms, values, buckets, hidden_count, self.downtimes)
        table.load(self.step.fitted(whole, batch))
        return []

    def _restored(self, table: StateTable, chunks: Chunks) -> Snapshot:
        """Give what one stored partition held after the newest batch that is done."""
        snapshot, deltas = read_chunks(chunks, self.codec, self.done_ms)
        if snapshot is not None and not deltas:
            return snapshot
        scratch = StateTable(table.operator, table.partition)
        scratch.load(snapshot, deltas)
        return scratch.snapshot()

    def _upgraded(self, values: dict[Any, Any], upgrade: Upgrade) -> dict[Any, Any]:
        """Bring every value up to date; a key whose new value is None is dropped."""
        step = self.step
        pairs = ((key, step.upgraded(value, upgrade.of(key))) for key, value in values.items())
        return {key: value for key, value in pairs if value is not None}

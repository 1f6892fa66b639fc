"""A store outside of the program, into which a sink writes, and the sink of one run of the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millstream.errors import FencedError
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import Receipt, Sink, SinkLineage

if TYPE_CHECKING:
    from millstream.testing.simulation.life import Life


@dataclass(slots=True)
class SimulatedTable:
    """What a sink has written; it outlives the runs of the program.

    Attributes:
        name: of the sink.
        batches: the rows of every batch, by batch time.
        staged: rows that were staged, by name.
        epoch: the newest driver of the lineage that has opened it.
        lineage_id: whose commits are taken.
        earlier: batches of lineages before, of which this one knows nothing.
    """

    name: str
    batches: dict[int, list[Any]] = field(default_factory=dict)
    staged: dict[str, list[Any]] = field(default_factory=dict)
    epoch: int = 0
    lineage_id: str = ""
    earlier: frozenset[int] = frozenset()

    @property
    def newest_ms(self) -> int | None:
        """The newest batch that the lineage has committed."""
        return max((time_ms for time_ms in self.batches if time_ms not in self.earlier), default=None)

    def belong_to(self, lineage_id: str) -> None:
        """Take the commits of a lineage from now on."""
        if lineage_id != self.lineage_id:
            self.lineage_id, self.epoch, self.earlier = lineage_id, 0, frozenset(self.batches)


class SimulatedSink(Sink[Any]):
    """A sink that commits a batch in one atomic step, with crashes before, in the middle and after.

    Args:
        table: where rows go.
        life: the run of the program that it belongs to.
    """

    def __init__(self, table: SimulatedTable, life: Life) -> None:
        self.name = table.name
        self._table = table
        self._life = life
        self._epoch = 0

    def open(self, lineage: SinkLineage) -> int | None:
        self._table.belong_to(lineage.lineage_id)
        self._epoch = self._table.epoch = max(lineage.epoch, self._table.epoch)
        if lineage.epoch < self._epoch:
            raise self._fenced()
        self._table.staged.clear()
        return self._table.newest_ms

    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        rows, name = list(data.rows()), self._staged_name(batch, partition)
        if self._life.fails("late task"):
            self._life.happen_later(self._late_write(name, rows))
            raise self._life.no_answer(f"the task that stages {name} is lost, and goes on somewhere")
        self._life.point(f"{self.name}: before {name} is staged")
        self._table.staged[name] = rows
        self._life.point(f"{self.name}: {name} is staged")
        return name

    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        table, time_ms = self._table, batch.time_ms
        if self._epoch < table.epoch:
            raise self._fenced()
        newest_ms = table.newest_ms
        if newest_ms is not None and time_ms <= newest_ms:
            if time_ms not in table.batches:
                raise self._life.violated("batch_order", f"{self.name} was given {time_ms} after {newest_ms}")
            return
        missing = [name for name in receipts if name not in table.staged]
        if missing:
            raise self._life.violated("staged", f"{self.name} has to commit {missing}, which was not staged")
        table.batches[time_ms] = [row for name in receipts for row in table.staged[name]]
        for name in receipts:
            del table.staged[name]

    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        for name in receipts:
            self._table.staged.pop(name, None)

    def _staged_name(self, batch: Batch, partition: int) -> str:
        return f"{self._epoch}-{batch.time_ms}-{batch.attempt}-{partition}"

    def _late_write(self, name: str, rows: list[Any]) -> Callable[[], None]:
        """Make what a task does that nobody waits for any more: it may get through with a part of its rows."""
        staged, kept = self._table.staged, rows[: self._life.rng.randint(0, len(rows))]
        return lambda: staged.__setitem__(name, kept)

    def _fenced(self) -> FencedError:
        return FencedError(
            f"A newer driver writes to {self.name}.",
            detail=f"Epoch {self._table.epoch}; this driver has {self._epoch}.",
            hint="Stop.",
        )

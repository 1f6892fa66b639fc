"""The state of one worker, as the driver knows it: what the worker is told of it, and what is kept of it here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from millstream.execution.messages import COMMIT, DOWN, DROP, PERSIST, ROLL_BACK, LoadState, View
from millstream.execution.replicas import Replicas
from millstream.state.downtime import Downtime


class RemoteState:
    """Keeps replicas of a worker's tables, and notes what became of batches until the worker is told.

    Attributes:
        replicas: of its tables.
        untold: what the worker has not been told yet, in the form that `RunTasks` has.
    """

    def __init__(self) -> None:
        self.replicas = Replicas()
        self.untold: list[tuple[str, Any]] = []
        self._formats: bytes | None = None
        self._downtimes: tuple[Downtime, ...] = ()
        self._touched: set[int] = set()

    def note_empty(self) -> None:
        """Note that the process, which is new, has nothing and needs not be told what became of batches."""
        self.untold = []
        self.replicas.give_up_snapshot()

    def note_told(self) -> None:
        """Note that the worker was told everything."""
        self.untold = []

    def image(self, views: Sequence[tuple[int, View]]) -> LoadState | None:
        """Give what a new process needs to go on with this state; None when it needs nothing.

        Args:
            views: rows that the driver still names, by their numbers.
        """
        tables = self.replicas.images()
        if not tables and self._formats is None and not self._downtimes:
            return None
        return LoadState(
            self._formats,
            self._downtimes,
            tables,
            [(number, view.operator, view.partition, view.kind) for number, view in views],
        )

    def shows(self, view: View, batch_ms: int) -> bool:
        """Tell whether a table that is restored now shows what a view of a batch did."""
        return self.replicas.newest_ms(view.operator, view.partition) == batch_ms

    def touch(self, batch_ms: int) -> None:
        """Note that tasks of a batch work on the state."""
        self._touched.add(batch_ms)

    def commit(self, batch_ms: int) -> None:
        """Have the state of a batch made final."""
        self.replicas.commit(batch_ms)
        touched = {touched_ms for touched_ms in self._touched if touched_ms <= batch_ms}
        if touched:
            self._touched -= touched
            self.untold.append((COMMIT, batch_ms))

    def roll_back(self, batch_ms: int) -> None:
        """Have the state of a batch undone."""
        touched = {touched_ms for touched_ms in self._touched if touched_ms >= batch_ms}
        if touched:
            self.replicas.roll_back(batch_ms)
            self._touched -= touched
            self.untold.append((ROLL_BACK, batch_ms))

    def persist(self, formats: bytes) -> None:
        """Have the changes of each batch encoded for the state log.

        Args:
            formats: how each table is written, by operator, packed.
        """
        self._formats = formats
        self.untold.append((PERSIST, formats))

    def note_downtimes(self, downtimes: Sequence[Downtime]) -> None:
        """Have all tables know when the program was down."""
        self._downtimes = tuple(downtimes)
        self.untold.append((DOWN, self._downtimes))

    def drop(self) -> None:
        """Have all state forgotten."""
        self.replicas = Replicas()
        self._formats = None
        self._downtimes = ()
        self._touched.clear()
        self.untold.append((DROP, 0))

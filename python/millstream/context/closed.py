"""The backend of a context that was closed: it runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from millstream.errors import LifecycleError
from millstream.execution.backend import Backend
from millstream.execution.task import Task
from millstream.model.batch import Batch
from millstream.state.downtime import Downtime
from millstream.state.table_format import TableFormat
from millstream.state.table_load import TableLoad


class ClosedBackend(Backend):
    """Refuses all work, so that an action on an RDD of a closed context says why it cannot run.

    Args:
        default_partitions: as the backend had it that was closed.
    """

    def __init__(self, default_partitions: int) -> None:
        self.default_partitions = default_partitions

    def run(self, tasks: Sequence[Task], batch: Batch | None) -> NoReturn:
        """Refuse."""
        raise closed()

    def begin_state(self, batch_ms: int) -> NoReturn:
        """Refuse."""
        raise closed()

    def commit_state(self, batch_ms: int) -> NoReturn:
        """Refuse."""
        raise closed()

    def roll_back_state(self, batch_ms: int) -> NoReturn:
        """Refuse."""
        raise closed()

    def drop_state(self) -> None:
        """There is no state."""

    def persist_state(self, formats: Mapping[str, TableFormat]) -> NoReturn:
        """Refuse."""
        raise closed()

    def state_changes(self, batch_ms: int) -> NoReturn:
        """Refuse."""
        raise closed()

    def load_state(self, loads: Sequence[TableLoad], done_ms: int) -> NoReturn:
        """Refuse."""
        raise closed()

    def note_downtimes(self, downtimes: Sequence[Downtime]) -> NoReturn:
        """Refuse."""
        raise closed()

    def close(self) -> None:
        """There is nothing to end."""


def closed() -> LifecycleError:
    """Give the error of a call that came after `close`."""
    return LifecycleError(
        "The context is closed.",
        detail="Its executors have ended.",
        hint="Make a new Context, or call close() after the last action.",
    )

"""The port behind which executors live: in this process, in worker processes, on a cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from millstream.execution.table_tasks import dump_tasks
from millstream.execution.task import Task
from millstream.model.batch import Batch
from millstream.model.partition import PartitionData
from millstream.state.downtime import Downtime
from millstream.state.state_change import StateChange
from millstream.state.table_format import TableFormat
from millstream.state.table_load import TableDump, TableLoad


class Backend(ABC):
    """Runs the tasks of a stage on executors, and keeps the versions of their state together.

    All methods are called from one thread at a time. Partition p of any stage runs on the executor
    `p % executors`, so that keyed state stays where it is.

    Attributes:
        default_partitions: how many partitions a shuffle gets when nobody says: as many as Python functions
            can really run at once.
    """

    default_partitions: int

    @abstractmethod
    def run(self, tasks: Sequence[Task], batch: Batch | None) -> list[Any]:
        """Run the tasks of one stage and give their results in order.

        Raises:
            UserCodeError: a user's function raised; the other tasks of the stage have ended.
            BackendUnavailableError: executors were lost more often than the limit.
        """

    def held(self, parts: Sequence[PartitionData]) -> list[PartitionData]:
        """Give partitions on the driver that will be read again in the form that is best for it."""
        return list(parts)

    @abstractmethod
    def begin_state(self, batch_ms: int) -> None:
        """Open a version of all state for a batch."""

    @abstractmethod
    def commit_state(self, batch_ms: int) -> None:
        """Make the version of a batch final."""

    @abstractmethod
    def roll_back_state(self, batch_ms: int) -> None:
        """Undo the version of a batch without trace."""

    @abstractmethod
    def drop_state(self) -> None:
        """Forget all state and its formats: the program that it belongs to has ended."""

    @abstractmethod
    def persist_state(self, formats: Mapping[str, TableFormat]) -> None:
        """Encode what each batch from now on changes, in the tables of these operators.

        Args:
            formats: how each table is written, by operator.
        """

    @abstractmethod
    def state_changes(self, batch_ms: int) -> list[StateChange]:
        """Give what a batch under way changed in the tables with a format, without those that it left as they were.

        Raises:
            UserCodeError: a value cannot be encoded.
        """

    def state_snapshots(self, dumps: Sequence[TableDump], done_ms: int) -> list[StateChange]:
        """Write out tables as a whole, between batches.

        Args:
            dumps: the tables.
            done_ms: the newest batch that is done.

        Raises:
            UserCodeError: a value cannot be encoded.
        """
        tasks = dump_tasks(dumps)
        chunks = self.run(tasks, Batch(done_ms))
        tables = [dump.table for dump in dumps for _ in range(dump.partitions)]
        return [
            StateChange(table, task.partition, data, records)
            for table, task, rows in zip(tables, tasks, chunks, strict=True)
            for data, records in rows
        ]

    @abstractmethod
    def load_state(self, loads: Sequence[TableLoad], done_ms: int) -> None:
        """Fill tables with stored state, before the first batch.

        Args:
            loads: the tables, one of each operator.
            done_ms: the newest batch in them.

        Raises:
            UserCodeError: a function that brings values up to date raised.
        """

    @abstractmethod
    def note_downtimes(self, downtimes: Sequence[Downtime]) -> None:
        """Say when the program was down, so that no key grows idle in these times; before the first batch.

        Args:
            downtimes: oldest first; they do not overlap.
        """

    @abstractmethod
    def close(self) -> None:
        """End the executors. Safe to call twice."""

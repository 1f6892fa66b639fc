"""Lives of a program: batches run one by one on a backend, and what a checkpoint would hold of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from millstream.execution.backend import Backend
from millstream.execution.scheduler import Scheduler
from millstream.graph.batch_run import BatchRun
from millstream.graph.durable_state import DurableState, TableIdentity
from millstream.graph.inputs import PlannedInput, QueueInput
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.rdd.lineage import held_rows
from millstream.rdd.operations import Collect
from millstream.state.downtime import Downtime
from millstream.state.merge import merged
from millstream.stream.dstream import DStream
from millstream.stream.program import Program

Build: TypeAlias = Callable[[DStream[Any]], DStream[Any]]
INTERVAL_MS = 1_000


@dataclass
class StateLog:
    """Chunks of every table, by partition, oldest first; and what is known of the tables."""

    tables: dict[str, TableIdentity] = field(default_factory=dict)
    chunks: dict[str, list[list[bytes]]] = field(default_factory=dict)
    done_ms: int | None = None

    def followed_by(self, later: StateLog) -> StateLog:
        """Give a log with the chunks of a life that went on where this one stopped."""
        chunks = {
            table: [[*before, *after] for before, after in zip(partitions, later.chunks[table], strict=True)]
            for table, partitions in self.chunks.items()
        }
        return StateLog(later.tables, chunks, later.done_ms)

    def since(self, before: StateLog) -> StateLog:
        """Give what this log has behind an earlier state of it."""
        chunks = {
            table: [now[len(then) :] for then, now in zip(before.chunks[table], partitions, strict=True)]
            for table, partitions in self.chunks.items()
        }
        return StateLog(self.tables, chunks, self.done_ms)

    def merged(self, *, final: bool) -> StateLog:
        """Give a log in which each partition of a table is one chunk."""
        chunks = {
            table: [[bytes(merged(partition, final=final))] if partition else [] for partition in partitions]
            for table, partitions in self.chunks.items()
        }
        return StateLog(self.tables, chunks, self.done_ms)


class Life:
    """One program from its start to its end.

    Args:
        build: makes the stream that is looked at of a stream of pairs.
        backend: where it runs; it must have no state.
        partitions: partitions of a shuffle.
        log: what an earlier life left; None: there was none.
        interval_ms: the batch interval.
        downtimes: when the program was down.
        load: further arguments for `DurableState.load`.
    """

    def __init__(
        self,
        build: Build,
        backend: Backend,
        *,
        partitions: int | None = None,
        log: StateLog | None = None,
        interval_ms: int = INTERVAL_MS,
        downtimes: Sequence[Downtime] = (),
        **load: Any,
    ) -> None:
        self.backend = backend
        backend.drop_state()
        program = Program(interval_ms, Scheduler(backend), partitions)
        source = QueueInput("input", interval_ms, None, 1, Label("queue_stream"))  # type: ignore[arg-type]
        program.graph.add(source)
        self.node = build(DStream(source, program)).node
        self.node.dependents += 1
        self.graph = program.graph
        self.durable = DurableState(program.graph, backend)
        self.durable.begin()
        self.log = StateLog({identity.table: identity for identity in self.durable.tables})
        self.log.chunks = {table: [[] for _ in range(i.partitions)] for table, i in self.log.tables.items()}
        if log is not None:
            load.setdefault("stored", {table: log.tables[table] for table in self.log.tables})
            self.durable.load({table: log.chunks[table] for table in self.log.tables}, log.done_ms, **load)
            self.log.done_ms = log.done_ms
        self.durable.note_downtimes(downtimes)

    def run(self, time_ms: int, rows: Sequence[Any], *, attempts: int = 1, splits: int = 2) -> list[list[Any]]:
        """Run a batch and give the rows of each partition; all attempts but the last fail after their tasks."""
        for attempt in range(attempts - 1):
            self._attempt(time_ms, attempt, rows, splits)
            self.durable.changes(time_ms)
            self.backend.roll_back_state(time_ms)
            for node in self.graph.memory_nodes:
                node.roll_back(time_ms)
        given = self._attempt(time_ms, attempts - 1, rows, splits)
        for change in self.durable.changes(time_ms):
            assert change.records > 0
            self.log.chunks[change.table][change.partition].append(bytes(change.data))
        self.log.done_ms = time_ms
        self.backend.commit_state(time_ms)
        for node in self.graph.memory_nodes:
            node.commit(time_ms)
        return given

    def _attempt(self, time_ms: int, attempt: int, rows: Sequence[Any], splits: int) -> list[list[Any]]:
        batch = Batch(time_ms, attempt)
        planned = {"input": PlannedInput(lineages=[held_rows(list(rows), splits)])}
        run = BatchRun(batch, 0, planned, Scheduler(self.backend, batch))
        self.backend.begin_state(time_ms)
        for node in self.graph.memory_nodes:
            node.absorb(run)
        lineage = run.lineage(self.node)
        return [] if lineage is None else [list(part) for part in run.runner.run(lineage, Collect())]

    def run_all(self, batches: Sequence[Sequence[Any]], *, from_ms: int = 0, **options: Any) -> list[list[list[Any]]]:
        """Run batches one interval apart, the first one interval after `from_ms`."""
        times = [from_ms + INTERVAL_MS * number for number in range(1, len(batches) + 1)]
        return [self.run(time_ms, rows, **options) for time_ms, rows in zip(times, batches, strict=True)]

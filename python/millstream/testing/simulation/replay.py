"""The oracle: the same program over the same batches, undisturbed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from millstream.context.streaming_context import StreamingContext
from millstream.control.facts import BatchDue
from millstream.environment.environment import Environment
from millstream.environment.rng import seeded_rng
from millstream.graph.outputs import Output, SinkOutput
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.block_feed import Block, BlockFeed, FeedEvent
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.model.ports.sink import Receipt, Sink, SinkLineage
from millstream.recovery.identity import IDENTITY_FILE, Identity
from millstream.stream.dstream import DStream
from millstream.testing.simulation.clock import SimulatedClock
from millstream.testing.simulation.connections import Connections
from millstream.testing.simulation.done_batch import DoneBatch, watch_done
from millstream.testing.simulation.state_image import StateImage
from millstream.testing.simulation.storage import SimulatedStorage
from millstream.testing.simulation.violation import ViolationError
from millstream.testing.simulation.world import SimulatedBatch, World

_NAME = "simulation-oracle"


class Undisturbed(NamedTuple):
    """What an undisturbed run comes to.

    Attributes:
        outputs: for each sink the rows of every batch.
        states: what the program remembers after each batch.
    """

    outputs: dict[str, dict[int, list[Any]]]
    states: dict[int, StateImage]


def replay(
    world: World, batches: Sequence[SimulatedBatch], downtimes: Sequence[tuple[int, int]], zero_ms: int
) -> Undisturbed:
    """Run the program of a world over batches that are given.

    It stops in order, and starts again, where the other had a downtime, in which no key grows idle. A batch that
    lies in one was overdue: it comes after the start, as there.

    Args:
        world: whose program and options are taken.
        batches: in order of batch time.
        downtimes: spans (from, to].
        zero_ms: the zero time of the grid.

    Returns:
        What it comes to.
    """
    run = _Replay(world, {batch.time_ms: batch for batch in batches}, zero_ms)
    left = sorted(downtimes)
    try:
        # A clock that was set back before the first batch lets this one be before the zero time.
        run.start(min([zero_ms, *(batch.time_ms - 1 for batch in batches[:1])]))
        for batch in batches:
            while left and left[0][0] < batch.time_ms:
                run.stop()
                run.start(left.pop(0)[1])
            run.reach(batch.time_ms)
    finally:
        run.stop()
    return Undisturbed(run.outputs, run.states)


class _Replay(Connections):
    def __init__(self, world: World, batches: dict[int, SimulatedBatch], zero_ms: int) -> None:
        self.batches = batches
        self.outputs: dict[str, dict[int, list[Any]]] = {}
        self.states: dict[int, StateImage] = {}
        self._elsewhere: dict[str, dict[int, list[Any]]] = {}
        self.clock = SimulatedClock()
        self._world = world
        self._storage = SimulatedStorage(seeded_rng(0))
        self._storage.create(IDENTITY_FILE, Identity(_NAME, "replay", zero_ms, "replay").encode())
        self._ssc: StreamingContext | None = None
        self._starts = 0

    def start(self, at_ms: float) -> None:
        options = self._world.options
        self.clock = SimulatedClock(at_ms / 1000.0)
        self._ssc = ssc = StreamingContext(
            options.batch_interval,
            name=_NAME,
            checkpoint=self._storage,
            environment=Environment(self.clock, seed=0),
            process_tuning=False,
            **options.context,
        )
        self._world.program(ssc, self)
        self._starts += 1
        graph = ssc.program.graph
        graph.outputs[:] = map(self._kept_inside, graph.outputs)
        ssc.start()
        watch_done(ssc, self._done)
        self.clock.advance(0.0)
        # Which of the overdue times of slides have batches is given, and not to be decided anew.
        admission = self._driver._machine._admission
        admission.grid = replace(admission.grid, slides_ms=())

    def _kept_inside(self, output: Output) -> Output:
        """Have an output to elsewhere, which is outside of the simulation and would get everything twice, give nothing.

        Why not leave it out: what stands before it would not be computed, and its state not be that of the program.
        """
        if isinstance(getattr(output, "sink", None), _Collected):
            return output
        rows = self._elsewhere.setdefault(output.name, {})
        return SinkOutput(output.node, _Collected(output.name, rows), output.name, output.label)

    def _done(self, done: DoneBatch) -> None:
        self.states[done.time_ms] = done.image()

    def stop(self) -> None:
        assert self._ssc is not None
        self._ssc.stop(graceful=False)
        self._ssc.await_termination(0)

    @property
    def _driver(self) -> Any:
        assert self._ssc is not None
        return self._ssc._driver

    def reach(self, time_ms: int) -> None:
        """Come to a batch, and run it.

        Raises:
            ViolationError: the program goes another way.
        """
        assert self._ssc is not None
        if time_ms < self._driver._next_due_ms:
            self._driver._store_blocks(time_ms)
            self._driver.post(BatchDue(time_ms))
        self.clock.leap(time_ms)
        if self._ssc.state == "stopped":
            self._ssc.await_termination(0)
        planned_ms = self._driver._machine._admission.planned_ms
        if planned_ms != time_ms:
            raise ViolationError("batch_order", f"with {time_ms} an undisturbed run has planned up to {planned_ms}")

    @property
    def starts(self) -> int:
        return self._starts

    def stream(self, name: str, *, limit: int | None = None) -> DStream[Any]:
        assert self._ssc is not None
        return self._ssc.stream(_ReplayedSource(name, self.batches), name=name)

    def pushed(self, name: str, *, positions: bool = True, acknowledged: bool = True) -> DStream[Any]:
        assert self._ssc is not None
        return self._ssc.stream(_ReplayedFeed(name, self.batches), name=name)

    def sink(self, name: str) -> Sink[Any]:
        return _Collected(name, self.outputs.setdefault(name, {}))

    def point(self, name: str) -> None:
        """Nothing happens here."""


class _ReplayedSource(ReplayableSource[Any]):
    def __init__(self, name: str, batches: dict[int, SimulatedBatch]) -> None:
        self.name = name
        self._batches = batches

    def open(self, position: Any) -> None: ...

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        batch = self._batches.get(batch_ms)
        parts = [] if batch is None else batch.parts[self.name]
        return Plan([Split([batch_ms, place], len(part)) for place, part in enumerate(parts)], batch_ms)

    def read(self, split: Split) -> Partition[Any]:
        batch_ms, place = split.data
        return Partition(self._batches[batch_ms].parts[self.name][place])


class _ReplayedFeed(BlockFeed):
    def __init__(self, name: str, batches: dict[int, SimulatedBatch]) -> None:
        self.name = name
        self._batches = batches
        self._notify: Callable[[FeedEvent], None] = lambda event: None

    def start(self, *, interval_ms: int, zero_ms: int, notify: Callable[[FeedEvent], None]) -> None:
        self._notify = notify
        notify(FeedEvent("started"))

    def take(self, until_ms: int) -> list[Block]:
        batch = self._batches.get(until_ms)
        parts = [] if batch is None else batch.parts[self.name]
        return [Block(part, len(part), until_ms) for part in parts]

    def hold(self) -> None: ...

    def resume(self) -> None: ...

    def set_rate(self, records_per_s: float | None) -> None: ...

    def restart(self) -> None: ...

    def begin_stop(self) -> None:
        self._notify(FeedEvent("stopped"))

    def close(self) -> None: ...


class _Collected(Sink[Any]):
    def __init__(self, name: str, rows: dict[int, list[Any]]) -> None:
        self.name = name
        self._rows = rows

    def open(self, lineage: SinkLineage) -> int | None:
        return max(self._rows, default=None)

    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        return list(data.rows())

    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        self._rows[batch.time_ms] = [row for rows in receipts for row in rows]

    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None: ...

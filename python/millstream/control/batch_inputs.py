"""What the inputs of a program give to its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from millstream.control.instructions import PlanBatch
from millstream.control.open_batch import OpenBatch
from millstream.environment.clock import Clock
from millstream.errors import MillstreamError, UserCodeError
from millstream.graph.graph import Graph
from millstream.graph.inputs import FeedInput, InputNode, PlannedInput, QueueInput, SourceInput
from millstream.model.ports.block_feed import Block
from millstream.model.ports.replayable_source import Plan
from millstream.model.positions import newest_position
from millstream.observe.event_bus import EventBus
from millstream.observe.events import SourceReported
from millstream.recovery.decisions import InputPlan, SplitPlan


class BatchInputs:
    """Gives each batch its blocks and splits, and counts what was read of them.

    Args:
        graph: the frozen graph.
        bus: hears what sources report.
        clock: stamps it.
        positions: where each replayable input goes on, by name.
    """

    def __init__(self, graph: Graph, bus: EventBus, clock: Clock, positions: Mapping[str, Any]) -> None:
        self._nodes = graph.inputs
        self._bus = bus
        self._clock = clock
        self._sources = [node for node in graph.inputs if isinstance(node, SourceInput)]
        # Those that may find, in the tasks, that something is no record.
        feeds = [(node.name, node.feed.reads) for node in graph.inputs if isinstance(node, FeedInput)]
        self._reads = {node.name: node.source for node in self._sources}
        self._reads.update((name, reads) for name, reads in feeds if reads is not None)
        self._blocks: dict[str, dict[int, Block]] = {node.name: {} for node in graph.inputs}
        self._positions = dict(positions)
        self._reporters = [
            *((node, node.source.reports) for node in self._sources),
            *((node, node.feed.reports) for node in graph.inputs if isinstance(node, FeedInput)),
        ]
        self._lost: dict[str, int] = {}

    def open(self, opened: list[Callable[[], None]]) -> None:
        """Open the sources; what closes each that is open is put into `opened`."""
        for node in self._sources:
            node.source.open(self._positions.get(node.name))
            opened.append(node.source.close)

    def closers(self) -> Iterable[Callable[[], None]]:
        """Give what closes the sources."""
        return [node.source.close for node in self._sources]

    def hold(self, name: str, block_id: int, block: Block) -> None:
        """Keep a block until the batch that gets it is planned."""
        self._blocks[name][block_id] = block

    def release_blocks(self, instruction: PlanBatch) -> None:
        """Forget the blocks of a batch that is planned: its plan holds them from now on."""
        for name, ids in instruction.blocks.items():
            held = self._blocks[name]
            for block_id in ids:
                held.pop(block_id, None)

    def set_rate(self, name: str, records_per_s: float | None, span_ms: float) -> None:
        """Limit the batches of a source from the next plan on."""
        for node in self._sources:
            if node.name == name:
                node.set_controlled_rate(records_per_s, span_ms)

    def plan(self, instruction: PlanBatch, batch: OpenBatch) -> None:
        """Ask every input what belongs to the batch; may be repeated when one of them failed."""
        try:
            for node in self._nodes:
                if node.name not in batch.planned:
                    batch.planned[node.name] = self._planned(node, instruction, batch)
        finally:
            self._post_reports()
        batch.inputs = tuple(_input_plan(name, instruction, batch) for name in batch.planned)

    def confirm(self, batch: OpenBatch) -> None:
        """Have the sources look at what was planned, before it is read again.

        Raises:
            MillstreamError: something of it cannot be read any more, or not now.
        """
        for node in self._sources:
            batch.planned[node.name] = node.confirmed(batch.planned[node.name])

    def go_on_behind(self, batch: OpenBatch) -> None:
        """Have the next batch begin where this one ends: its plan is in the journal."""
        self._positions.update(batch.positions)

    def done(self, time_ms: int) -> None:
        """Tell the sources that a batch is done, and listeners what they have to tell."""
        for node in self._sources:
            node.source.done(time_ms)
        self._post_reports()

    def release(self, time_ms: int) -> None:
        """Tell the sources that nothing up to a batch is needed any more."""
        for node in self._sources:
            node.source.release(time_ms)

    def counted_by_reading(self, batch: OpenBatch, time_ms: int) -> dict[str, int]:
        """Give, by input, how many records were read where no plan could say it."""
        counts: dict[str, int] = {}
        for node in self._sources:
            planned = batch.planned[node.name]
            if planned.records is None and (count := node.reads.records(time_ms, planned.splits)) is not None:
                counts[node.name] = count
        return counts

    def invalid(self) -> dict[str, int]:
        """Give, by input, how many invalid records tasks have found so far."""
        return {name: source.invalid for name, source in self._reads.items()}

    def invalid_of(self, batch: OpenBatch) -> dict[str, int]:
        """Give, by input, how many invalid records a batch had."""
        counts = {name: planned.invalid for name, planned in batch.planned.items() if planned.invalid}
        for name, invalid in self.invalid().items():
            if count := invalid - batch.invalid_before.get(name, 0):
                counts[name] = counts.get(name, 0) + count
        return counts

    def take_lost(self) -> dict[str, int]:
        """Give, by input, how many records were lost since the last call, as far as known."""
        lost, self._lost = self._lost, {}
        return lost

    def _post_reports(self) -> None:
        for node, reports in self._reporters:
            for report in reports():
                if report.kind == "lost" and report.records:
                    self._lost[node.name] = self._lost.get(node.name, 0) + report.records
                if SourceReported in self._bus.heard:
                    self._bus.post(
                        SourceReported(node.name, report.kind, report.message, report.records, self._clock.wall_ms())
                    )

    def _planned(self, node: InputNode, instruction: PlanBatch, batch: OpenBatch) -> PlannedInput:
        if isinstance(node, FeedInput):
            held = self._blocks[node.name]
            blocks = [held[block_id] for block_id in instruction.blocks.get(node.name, ())]
            return PlannedInput.of_blocks(blocks, node.feed.lags(blocks))
        if isinstance(node, SourceInput):
            plan = _plan_of(node, instruction.time_ms, self._positions.get(node.name))
            batch.positions[node.name] = plan.position
            return PlannedInput.of_splits(plan.splits, plan.lags)
        assert isinstance(node, QueueInput)
        return node.plan()


def _plan_of(node: SourceInput, time_ms: int, after: Any) -> Plan:
    try:
        return node.source.plan(time_ms, after, node.batch_limit)
    except UserCodeError as error:
        # A source does not know by which method it came into the program, nor where.
        error.operator, error.site = node.label.operator, node.label.site
        raise
    except MillstreamError:
        raise
    except Exception as error:
        raise UserCodeError(
            f"The source {node.source.name} raised {type(error).__name__} in plan: {error}",
            operator=node.label.operator,
            site=node.label.site,
            detail=f"{node.label.operator} was added at {node.label.site}.",
            hint="The traceback of the cause shows the line.",
        ) from error


def _input_plan(name: str, instruction: PlanBatch, batch: OpenBatch) -> InputPlan:
    splits = tuple(SplitPlan(split.data, split.records, split.description) for split in batch.planned[name].splits)
    position = batch.positions.get(name)
    for block in batch.planned[name].blocks:
        position = newest_position(block.position, position)
    return InputPlan(name, instruction.blocks.get(name, ()), splits, position)

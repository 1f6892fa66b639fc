"""What the write-ahead log holds at a start: blocks of batches that run again, blocks that none had, and the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from millstream.errors import DataError
from millstream.graph.graph import Graph
from millstream.graph.inputs import FeedInput, PlannedInput, SourceInput
from millstream.model.ports.block_feed import Block
from millstream.model.ports.replayable_source import Split
from millstream.model.positions import is_repeated, newest_position
from millstream.recovery.checkpoint import Checkpoint
from millstream.recovery.decisions import BatchPlanned, InputPlan


class LoggedBlocks:
    """The blocks of the write-ahead log that this driver goes on with; the others are let go of.

    A block that no batch had comes a second time when its position is not behind those that batches had: then its
    sender got no answer, and sent it again. Blocks are planned in the order of their positions.

    Args:
        graph: the frozen graph.
        checkpoint: open, and held by this driver.
        again: the plans of batches that run again.
        kept: numbers of blocks that may be needed by a later start, though not by this one.

    Attributes:
        unplanned: blocks that no batch had, by input, oldest first.
        positions: the newest that is stored, by input.
    """

    def __init__(
        self, graph: Graph, checkpoint: Checkpoint, again: Iterable[BatchPlanned], kept: Iterable[int]
    ) -> None:
        history, log = checkpoint.journal.history, checkpoint.blocks
        self._inputs = graph.inputs
        self._planned: dict[int, Block] = {}
        self.unplanned: dict[str, list[Block]] = {}
        self.positions: dict[str, Any] = dict(history.block_positions)
        wanted, kept = _numbers(again), set(kept)
        feeds = {node.name for node in graph.inputs if isinstance(node, FeedInput)}
        for stored in log.stored():
            name = stored.input
            if stored.number in wanted:
                log.hold(stored.number)
                self._planned[stored.number] = stored.block()
            elif stored.number in kept:
                log.hold(stored.number)
            elif stored.number not in history.blocks:
                if name in feeds and not is_repeated(stored.position, self.positions.get(name)):
                    log.hold(stored.number)
                    self.unplanned.setdefault(name, []).append(stored.block())
                    self.positions[name] = newest_position(stored.position, self.positions.get(name))
                else:
                    history.blocks.add([stored.number])

    def planned_inputs(self, plan: BatchPlanned) -> dict[str, PlannedInput]:
        """Give what each input contributes to a batch that runs again.

        Raises:
            DataError: blocks of it are not in the log.
        """
        plans = {given.input: given for given in plan.inputs}
        return {node.name: self._of(node, plans.get(node.name, InputPlan(node.name))) for node in self._inputs}

    def forget_all_but(self, again: Iterable[BatchPlanned]) -> None:
        """Keep, of the blocks that were planned, only those of these batches."""
        self._planned = {number: self._planned[number] for number in sorted(_numbers(again))}

    def _of(self, node: Any, plan: InputPlan) -> PlannedInput:
        if isinstance(node, SourceInput):
            return PlannedInput.of_splits(
                [Split(split.data, split.records, split.description) for split in plan.splits]
            )
        missing = [number for number in plan.blocks if number not in self._planned]
        if missing:
            raise DataError(
                "Blocks of a batch that was planned are not in the write-ahead log.",
                detail=f"The input {node.name} had the blocks {list(plan.blocks)}; of these {missing} are missing.",
                hint="Restore the folder wal/ of the checkpoint from a copy, or skip the batch: "
                "millstream checkpoint skip.",
            )
        return PlannedInput.of_blocks([self._planned[number] for number in plan.blocks])


def _numbers(plans: Iterable[BatchPlanned]) -> set[int]:
    return {number for plan in plans for given in plan.inputs for number in given.blocks}

"""The history: what the decisions of earlier drivers come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from millstream.model.positions import PositionChange, newest_position, position_after
from millstream.recovery.decisions import (
    BatchDone,
    BatchPlanned,
    BatchPrepared,
    BatchSkipped,
    CheckpointWritten,
    Decision,
    DriverStarted,
    InputPlan,
    SinksOpened,
    StateDelta,
)
from millstream.recovery.number_set import NumberSet
from millstream.state.downtime import Downtime, with_downtime

DOWNTIMES_MAX = 1_000
"""Spans of downtime that are remembered; keys that were idle for so many restarts count the oldest as idle time."""


@dataclass(slots=True)
class History:
    """Folds decisions, oldest first, into what a new driver has to know.

    Attributes:
        epoch: of the newest driver, 0 when there was none.
        program: of the newest driver, as `recovery.program` describes it, or None.
        planned_ms: the newest batch that was planned, or None.
        done_ms: the newest batch that is done, or None; state is as of here.
        undone: the batch that was planned and not done, or None.
        undone_number: the number of its first BatchPlanned in the journal.
        prepared: its BatchPrepared, or None.
        positions: where each replayable input goes on.
        blocks: the numbers of the blocks that were planned.
        block_positions: for each pushed input with positions that of the newest block that was planned. Blocks that
            came later are in the write-ahead log, which is not released before they are planned.
        checkpoints: the newest CheckpointWritten, at most two, oldest first.
        deltas: the state deltas of done batches after the newest checkpoint, oldest first.
        downtimes: in which no batch could be made, oldest first; they do not overlap.
        started: the newest DriverStarted, as long as nothing says that its driver can make batches.
        unlogged: with `state_log=False` the batches that are done, after the older of two checkpoints, each with what
            it had prepared; those after the newest run again at a start.
        unsettled: deltas of batches that are not done.
        skipped_ms: the newest batch that was skipped, or None.
        sinks: `lineage_id` and `notes` of the newest SinksOpened: what its sinks wanted later drivers to know.
        rates: what the rate controllers had learnt, by input.

    Example:
        >>> history = History()
        >>> history.fold([(0, BatchPlanned(2_000, 1_000, 2_000, (InputPlan("k", position=5),)))])
        >>> history.undone.time_ms, history.positions, history.done_ms
        (2000, {'k': 5}, None)
    """

    epoch: int = 0
    program: Mapping[str, Any] | None = None
    planned_ms: int | None = None
    done_ms: int | None = None
    undone: BatchPlanned | None = None
    undone_number: int = 0
    prepared: BatchPrepared | None = None
    positions: dict[str, Any] = field(default_factory=dict)
    blocks: NumberSet = field(default_factory=NumberSet)
    block_positions: dict[str, Any] = field(default_factory=dict)
    checkpoints: list[CheckpointWritten] = field(default_factory=list)
    deltas: list[StateDelta] = field(default_factory=list)
    downtimes: tuple[Downtime, ...] = ()
    started: DriverStarted | None = None
    unlogged: list[tuple[BatchPlanned, BatchPrepared | None]] = field(default_factory=list)
    unsettled: list[StateDelta] = field(default_factory=list)
    skipped_ms: int | None = None
    sinks: Mapping[str, Any] = field(default_factory=dict)
    rates: Mapping[str, Any] = field(default_factory=dict)
    _own: set[str] = field(default_factory=set, repr=False, compare=False)

    @property
    def checkpoint(self) -> CheckpointWritten | None:
        """The newest checkpoint."""
        return self.checkpoints[-1] if self.checkpoints else None

    @property
    def to_repeat(self) -> list[tuple[BatchPlanned, BatchPrepared | None]]:
        """The done batches whose state is neither in a checkpoint nor in deltas, oldest first."""
        newest = self.checkpoint
        return [done for done in self.unlogged if newest is None or done[0].time_ms > newest.time_ms]

    @property
    def state_ms(self) -> int | None:
        """The newest batch in what is stored of the state; None: nothing is stored."""
        if not self.to_repeat:
            return self.done_ms
        return None if self.checkpoint is None else self.checkpoint.time_ms

    def fold(self, decisions: Iterable[tuple[int, Decision]]) -> None:
        """Take decisions in, each with its number in the journal."""
        for number, decision in decisions:
            self.take(decision, number)

    def take(self, decision: Decision, number: int) -> None:
        """Take in the decision of a number; one that comes again changes nothing."""
        match decision:
            case DriverStarted():
                self._start(decision)
            case BatchPlanned():
                self._plan(decision, number)
            case StateDelta():
                if self.done_ms is None or decision.time_ms > self.done_ms:
                    self.unsettled.append(decision)
            case BatchPrepared():
                if self.undone is not None and self.undone.time_ms == decision.time_ms:
                    self.prepared = decision
            case SinksOpened():
                self._begin_batches(decision)
                self.sinks = {"lineage_id": decision.lineage_id, "notes": dict(decision.notes)}
            case BatchDone():
                self.rates = decision.learnt or self.rates
                self._finish(decision.time_ms)
            case BatchSkipped():
                self.prepared = None
                self.skipped_ms = decision.time_ms
                self._finish(decision.time_ms, skipped=True)
            case CheckpointWritten():
                self._begin_from(decision)
            case _:
                assert_never(decision)

    def _start(self, started: DriverStarted) -> None:
        self.epoch = max(self.epoch, started.epoch)
        self.program = started.program
        self.started = started

    def _begin_batches(self, opened: SinksOpened) -> None:
        """Note the downtime that ends here. What the sinks said is for people: a new driver asks them itself."""
        started, self.started = self.started, None
        if started is None or started.down_since_ms is None:
            return
        begin_ms = started.time_ms if opened.begin_ms is None else opened.begin_ms
        self.downtimes = with_downtime(self.downtimes, started.down_since_ms, begin_ms)[-DOWNTIMES_MAX:]

    def _plan(self, planned: BatchPlanned, number: int) -> None:
        if self.done_ms is not None and planned.time_ms <= self.done_ms:
            return
        if self.undone is None or planned.time_ms != self.undone.time_ms:
            self.prepared = None
            self.undone_number = number
        self.undone = planned
        self.planned_ms = planned.time_ms
        for plan in planned.inputs:
            self._go_on(plan)

    def _go_on(self, plan: InputPlan) -> None:
        if plan.blocks:
            self.blocks.add(plan.blocks)
            self._pass_position(plan.input, plan.position)
        elif plan.position is not None:
            self._move(plan.input, plan.position)

    def _move(self, name: str, position: Any) -> None:
        """Take in where a replayable input goes on; a change costs what changed, not what there is."""
        if name in self._own and isinstance(position, PositionChange):
            held = self.positions[name]
            for key in position.gone:
                held.pop(key, None)
            held.update(position.set)
            return
        self.positions[name] = moved = position_after(self.positions.get(name, PositionChange()), position)
        if isinstance(position, PositionChange) and not isinstance(moved, PositionChange):
            self._own.add(name)
        else:
            self._own.discard(name)

    def positions_now(self) -> dict[str, Any]:
        """Give the positions as they are now; what is taken in later does not change them."""
        self._own.clear()
        return dict(self.positions)

    def _pass_position(self, name: str, position: Any) -> None:
        if position is not None:
            self.block_positions[name] = newest_position(position, self.block_positions.get(name))

    def _finish(self, time_ms: int, *, skipped: bool = False) -> None:
        if self.done_ms is not None and time_ms <= self.done_ms:
            return
        attempt = None if self.prepared is None else self.prepared.attempt
        settled = {
            (delta.table, delta.partition): delta
            for delta in self.unsettled
            if delta.time_ms == time_ms and delta.attempt == attempt
        }
        self.deltas.extend(settled.values())
        self.unsettled.clear()
        undone = self.undone
        if undone is not None and undone.time_ms == time_ms and not skipped and not logs_state(self.program):
            self.unlogged.append((undone, self.prepared))
        self.done_ms = time_ms
        self.undone = self.prepared = None

    def _begin_from(self, written: CheckpointWritten) -> None:
        self.checkpoints = [*self.checkpoints, written][-2:]
        self.deltas = [delta for delta in self.deltas if delta.time_ms > written.time_ms]
        # It has all that were known when it was written, and those of an earlier version may overlap.
        self.downtimes = ()
        for after_ms, until_ms in written.downtimes:
            self.downtimes = with_downtime(self.downtimes, after_ms, until_ms)
        self.epoch = max(self.epoch, written.epoch)
        if self.program is None:
            self.program = written.program
            if logs_state(written.program):
                self.unlogged.clear()
        oldest_ms = self.checkpoints[0].time_ms
        self.unlogged = [done for done in self.unlogged if done[0].time_ms > oldest_ms]
        if self.done_ms is None or self.done_ms < written.time_ms:
            self.done_ms = written.time_ms
        if self.planned_ms is None or self.planned_ms < written.time_ms:
            self.planned_ms = written.time_ms
        self.sinks = self.sinks or written.sinks
        self.rates = self.rates or written.rates
        for name, position in written.positions.items():
            # Plans before it in the journal may be older or newer than the checkpoint: a change holds in both.
            self.positions[name] = position_after(position, self.positions.get(name, position))
            self._own.discard(name)
        self.blocks.unite(NumberSet(**written.blocks))
        for name, position in written.block_positions.items():
            self._pass_position(name, position)


def logs_state(program: Mapping[str, Any] | None) -> bool:
    """Tell whether a program journals what batches change in the state; False while that is not known."""
    return program is not None and bool(program.get("state_log", True))

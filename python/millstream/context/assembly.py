"""The driver of a program, put together from its parts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import import_module

from millstream.context.checkpointing import CheckpointSettings, open_durability
from millstream.context.rate_control import RateControllers, controllers_of
from millstream.context.removed_outputs import settle_removed_outputs
from millstream.context.start_bar import start_bar
from millstream.control.batch_work import BatchWork
from millstream.control.driver import Driver
from millstream.control.durability import Durability
from millstream.control.facts import BlockStored, InputSpec, ProgramStarted, UnfinishedBatch
from millstream.control.receiver_work import ReceiverWork
from millstream.control.start_progress import StartProgress
from millstream.environment.clock import Clock
from millstream.environment.environment import Environment
from millstream.environment.logger import logger
from millstream.environment.process_tuning import ProcessTuning
from millstream.environment.steady_clock import SteadyClock
from millstream.execution.backend import Backend
from millstream.graph.inputs import FeedInput
from millstream.model.ports.block_feed import Block
from millstream.model.ports.rate_controller import RateController
from millstream.observe.event_bus import EventBus
from millstream.observe.events import ClockSetBack
from millstream.recovery.journal import MemoryJournal
from millstream.stream.program import Program


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a streaming context that its driver needs.

    Attributes:
        name: of the program.
        max_queued_batches: how many batch times may wait before the inputs are slowed.
        batch_retries: how often a batch is tried again.
        retry_pause_ms: pause before the first retry.
        process_tuning: whether this process is tuned.
        max_clock_jump_ms: how far the clock may jump ahead.
        checkpoint: where the program is kept, or None.
        rate_controllers: which rate controllers the inputs get.
    """

    name: str
    max_queued_batches: int
    batch_retries: int
    retry_pause_ms: int
    process_tuning: bool
    max_clock_jump_ms: int
    checkpoint: CheckpointSettings | None
    rate_controllers: RateControllers


def assembled(
    program: Program, backend: Backend, bus: EventBus, environment: Environment, settings: Settings
) -> Driver:
    """Open everything that a program needs and give its driver, not started yet.

    Raises:
        MillstreamError: something cannot be opened; what was opened before is closed.
    """
    graph, clock, interval_ms = program.graph, environment.clock, program.interval_ms
    bar = None if settings.checkpoint is None else start_bar(clock)
    with StartProgress(clock, bar) as progress, ExitStack() as undo:
        durability = None
        if settings.checkpoint is not None:
            durability = open_durability(settings.checkpoint, settings.name, graph, backend, bus, environment, progress)
            undo.callback(_closed_quietly, durability)
        planned_ms = None if durability is None else durability.planned_ms
        steady = _steady_clock(clock, bus, settings.max_clock_jump_ms, planned_ms)
        journal = MemoryJournal() if durability is None else durability.journal
        batches = BatchWork(graph, backend, journal, bus, clock, durability)
        progress.tell("opening sources and sinks", 0)
        if durability is not None:
            settle_removed_outputs(graph, durability.sink_notes)
        committed = _opened(batches, durability, environment)
        undo.callback(batches.close, in_order=False)
        origin_ms = 0 if durability is None else durability.checkpoint.identity.zero_time_ms
        batches.repeat(origin_ms)
        if any(node.gives_columns for node in graph.inputs):
            import_module("pyarrow")  # Now, so that the first batch need not wait for it.
        # The grid begins after everything that takes time, or the first batch would be late.
        begin_ms = origin_ms + math.floor((steady.wall_ms() - origin_ms) / interval_ms) * interval_ms
        zero_ms = program.zero_ms = begin_ms if durability is None else origin_ms
        batches.begin(zero_ms)
        controllers = controllers_of(settings.rate_controllers, graph)
        if durability is not None:
            durability.remember_rates(controllers)
        unfinished = None if durability is None else _handed_over(durability, batches, committed, begin_ms)
        first_ms = begin_ms if planned_ms is None else planned_ms
        started = _started(program, settings, controllers, zero_ms, first_ms, unfinished)
        number = None if durability is None else durability.number
        receivers = ReceiverWork(graph, bus, clock, interval_ms, zero_ms, number, begin_ms + interval_ms)
        left = () if durability is None else _left_blocks(durability, begin_ms + interval_ms)
        tuning = ProcessTuning() if settings.process_tuning else None
        if tuning is not None:
            tuning.apply()
        undo.pop_all()
        return Driver(started, batches, receivers, bus, environment, tuning, settings.name, steady, begin_ms, left)


def _closed_quietly(durability: Durability) -> None:
    with suppress(Exception):  # What kept the program from starting is the error to see.
        durability.close()


def _steady_clock(clock: Clock, bus: EventBus, ahead_max_ms: int, planned_ms: int | None) -> SteadyClock:
    steady = SteadyClock(clock, ahead_max_ms=ahead_max_ms, on_jump=lambda behind_ms: _tell_jump(bus, clock, behind_ms))
    if planned_ms is not None:
        steady.begin_after(planned_ms)
    return steady


def _opened(batches: BatchWork, durability: Durability | None, environment: Environment) -> Mapping[str, int | None]:
    if durability is None:
        return batches.open(f"{environment.rng.getrandbits(64):016x}")
    return batches.open(durability.sink_lineage_id, durability.epoch, durability.sink_notes)


def _handed_over(
    durability: Durability, batches: BatchWork, committed: Mapping[str, int | None], begin_ms: int
) -> UnfinishedBatch | None:
    """Settle what the sinks say, and have the batch that was left undone run again."""
    durability.sinks_opened(committed, batches.notes(), begin_ms)
    durability.persist_feeds()
    recovered = durability.recovered
    if recovered is None:
        return None
    batches.resume(recovered)
    return recovered.unfinished(committed)


def _started(
    program: Program,
    settings: Settings,
    controllers: Mapping[str, RateController],
    zero_ms: int,
    planned_ms: int,
    unfinished: UnfinishedBatch | None,
) -> ProgramStarted:
    graph = program.graph
    return ProgramStarted(
        program.interval_ms,
        zero_ms,
        tuple(
            InputSpec(
                node.name,
                "receiver" if isinstance(node, FeedInput) else "replayable",
                unhurried=node.rate_control == "measured",
            )
            for node in graph.inputs
        ),
        tuple(output.name for output in graph.outputs),
        graph.long_slides_ms,
        max_queued_batches=settings.max_queued_batches,
        batch_retries=settings.batch_retries,
        retry_initial_ms=settings.retry_pause_ms,
        skip_failed=settings.checkpoint is not None and settings.checkpoint.policies.dead_letter_limit > 0,
        planned_ms=planned_ms,
        unfinished=unfinished,
        rate_controllers=controllers,
    )


def _tell_jump(bus: EventBus, clock: Clock, behind_ms: float) -> None:
    logger.warning("The clock was set back: batches go on by the monotonic clock, %.0f ms ahead of it.", behind_ms)
    if ClockSetBack in bus.heard:
        bus.post(ClockSetBack(clock.wall_ms(), behind_ms))


def _left_blocks(durability: Durability, batch_ms: int) -> Iterator[tuple[BlockStored, Block]]:
    """Give the blocks that no batch had to the first batch to come."""
    for name, blocks in durability.blocks.items():
        for block in blocks:
            assert block.number is not None  # Invariant: it comes from the write-ahead log.
            yield BlockStored(name, block.number, batch_ms, block.records), block

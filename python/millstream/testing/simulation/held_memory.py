"""What a driver holds in memory after a batch is done, and the bound on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from millstream.graph.window import PartsNode


def overdue(batches: Any, time_ms: int) -> list[int]:
    """List the numbers of blocks that should have gone with the plan of a batch; called before this one is done.

    A batch that an earlier driver planned lets nothing go: its own blocks do not settle before the next plan.

    Args:
        batches: the `BatchWork` of the driver.
        time_ms: the batch.
    """
    return [] if batches._works[time_ms].is_resumed else sorted(batches._durability._settled)


def beyond_bound(batches: Any, time_ms: int) -> list[str]:
    """List what a driver holds and does not need any more; called in its thread, when a batch is done.

    The bound, however long a program has run:

    - plans: none, because one batch at a time is on its way;
    - state versions: none that is open, in any table, and no delta of a batch that is not done;
    - window parts: those of the last window and slide, one for each batch time;
    - batches remembered for `slice`: those of the span that the program asked for;
    - blocks: those that no batch had; in the write-ahead log also those that go with the next plan, of this batch or
      of those before a checkpoint, and without a state log those of the batches after the older of two checkpoints.

    Args:
        batches: the `BatchWork` of the driver.
        time_ms: the batch.

    Returns:
        A line for each thing; none when it keeps to the bound.
    """
    return [*_plans(batches), *_versions(batches), *_parts(batches, time_ms), *_blocks(batches)]


def _plans(batches: Any) -> Iterator[str]:
    if batches._works:
        yield f"the plans of {sorted(batches._works)}"
    remembered = batches._graph.remembered
    most = remembered.span_ms // batches._graph.interval_ms
    if len(remembered._by_time) > most:
        yield f"{len(remembered._by_time)} remembered batches, with a bound of {most}"


def _versions(batches: Any) -> Iterator[str]:
    executor = getattr(batches._backend, "executor", None)
    for table in () if executor is None else executor.state:
        if table.open_batches:
            yield f"versions of {table.operator!r}, partition {table.partition}, of {table.open_batches}"
    history = batches._durability.checkpoint.history
    if history.unsettled:
        yield f"deltas of {sorted({delta.time_ms for delta in history.unsettled})}"


def _parts(batches: Any, time_ms: int) -> Iterator[str]:
    for node in batches._memory:
        if isinstance(node, PartsNode):
            times, span_ms = node.parts.times(time_ms), node.window_ms + node.slide_ms
            most = -(-span_ms // batches._graph.interval_ms)
            if len(times) > most or (times and times[0] <= time_ms - span_ms):
                yield f"the parts of {times} of a window, with a bound of {most}"


def _blocks(batches: Any) -> Iterator[str]:
    checkpoint = batches._durability.checkpoint
    history = checkpoint.history
    held = [number for blocks in batches.inputs._blocks.values() for number in blocks if number in history.blocks]
    if held:
        yield f"the blocks {sorted(held)}, which batches had"
    needed = {number for plan, _ in history.unlogged for given in plan.inputs for number in given.blocks}
    needed.update(batches._durability._settled)
    unsettled = [number for number in checkpoint.blocks._open if number in history.blocks and number not in needed]
    if unsettled:
        yield f"the blocks {sorted(unsettled)} in the write-ahead log, whose batches are done"

"""A stream does not grow with the number of its batches: windows forget, states time out, what is done is let go."""

from __future__ import annotations

import gc
import sys
from operator import add, sub
from typing import Any

import pytest

import millstream as ms
from millstream.testing import ManualClock

KEYS = 20


def allocated(ignored: Any = None) -> int:
    """Count the blocks of memory that this process holds."""
    gc.collect()
    return sys.getallocatedblocks()


def grown(context: ms.Context, *, warm_up: int, batches: int) -> tuple[int, int]:
    """Run a program with every kind of memory.

    Returns:
        By how many blocks of memory the driver and an executor grew after the warm-up.
    """
    clock = ManualClock()

    def visit(key: Any, value: int | None, state: ms.State[int]) -> Any:
        if state.is_timing_out():
            return key, "left"
        state.update(state.get(0) + (value or 0))
        return key, state.get()

    def latest(values: list[int], old: int | None) -> int | None:
        return values[-1] if values else None  # A key without values in a batch is removed.

    done = context.accumulator(0)
    with ms.StreamingContext(1.0, context=context, environment=ms.Environment(clock), process_tuning=False) as ssc:
        numbers = ssc.memory_stream()
        pairs = numbers.map(lambda x: (x, 1))
        running = pairs.map_with_state(ms.StateSpec(visit, timeout=5))
        for stream in (
            numbers.window(10, 2),
            pairs.reduce_by_key_and_window(add, sub, window=10),
            pairs.reduce_by_key_and_window(max, window=10, slide=5),
            pairs.update_state_by_key(latest),
            running,
            running.state_snapshots(),
            pairs.group_by_key().union(pairs.group_by_key()),
        ):
            stream.foreach_rdd(lambda rdd: done.add(rdd.count() >= 0))
        ssc.add_listener(ms.StreamingListener())
        ssc.remember(5)
        ssc.start()

        def run(first: int, last: int) -> None:
            for number in range(first, last):
                numbers.push_many(range(number * KEYS, number * KEYS + KEYS))  # Keys that never come again.
                clock.advance(1.0)
                clock.advance(0)

        executor = context.parallelize([0], 1).map(allocated)
        run(0, warm_up)
        before = allocated(), executor.first()
        run(warm_up, warm_up + batches)
        after = allocated(), executor.first()
        # Every batch ran: five outputs in each, one in every second and one in every fifth.
        count = warm_up + batches
        assert done.value == 5 * count + count // 2 + count // 5
        return after[0] - before[0], after[1] - before[1]


@pytest.mark.parametrize(("backend", "batches"), [("threads", 2_000), ("processes", 300)])
def test_memory_does_not_grow_with_the_batches(backend: str, batches: int) -> None:
    with ms.Context(backend, workers=1 if backend == "processes" else None) as context:
        grew = grown(context, warm_up=100, batches=batches)
    assert max(grew) < 1_000, f"{grew} blocks in {batches} batches of {KEYS} new keys"

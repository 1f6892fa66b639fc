"""Programs that are changed between two starts, under crashes: their state goes on."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from operator import add
from typing import Any

import pytest

import millstream as ms
from millstream.testing.simulation.connections import Connections
from millstream.testing.simulation.simulate import simulate
from millstream.testing.simulation.simulation import Outcome

FIRST = int.from_bytes(os.urandom(4), "big")
SEEDS = 6

NAMES = ("totals", "sums")


def changing(build: Callable[[int, ms.DStream[Any]], ms.DStream[Any]]) -> Callable[..., None]:
    """Give a program that is another one at every start; `build` is told the number of the start."""
    starts = itertools.count()

    def program(ssc: ms.StreamingContext, sim: Connections) -> None:
        pairs = sim.pushed("numbers").union(sim.stream("others")).map(lambda n: (n % 7, n))
        build(next(starts), pairs).write_to(sim.sink("totals"))

    return program


def _sum(new: list[int], old: int | None) -> int:
    return (old or 0) + sum(new)


def other_partitions(start: int, pairs: ms.DStream[Any]) -> ms.DStream[Any]:
    return pairs.update_state_by_key(_sum, name="totals", partitions=1 + start % 4)


def renamed(start: int, pairs: ms.DStream[Any]) -> ms.DStream[Any]:
    # A start that fails before it took the checkpoint over leaves the name of before, so both may have been the last.
    return pairs.update_state_by_key(
        _sum, name=NAMES[start % 2], state=ms.StateOptions(renamed_from=NAMES[(start + 1) % 2])
    )


def added_and_removed(start: int, pairs: ms.DStream[Any]) -> ms.DStream[Any]:
    if start % 2:
        pairs.reduce_by_key_and_window(add, window=4.0, name="recent").collect_to([])
    totals = pairs.update_state_by_key(_sum, name="totals")
    if start % 3 == 0:
        pairs.update_state_by_key(_sum, name="more").collect_to([])
    return totals


def _check(outcome: Outcome) -> None:
    state: dict[int, int] = {}
    for batch in outcome.batches:
        for n in [*batch.inputs["numbers"], *batch.inputs["others"]]:
            state[n % 7] = state.get(n % 7, 0) + n
        assert sorted(outcome.outputs["totals"][batch.time_ms]) == sorted(state.items()), batch.time_ms


@pytest.mark.parametrize("state_log", [True, False])
@pytest.mark.parametrize("change", [other_partitions, renamed, added_and_removed])
def test_state_goes_on_under_crashes(change: Callable[..., Any], state_log: bool) -> None:
    inputs = {"numbers": list(range(80)), "others": [1_000 + n for n in range(40)]}
    lives = 0
    for seed in range(FIRST, FIRST + SEEDS):
        outcomes = simulate(
            changing(change),
            inputs,
            seeds=[seed],
            check=_check,
            deterministic=False,
            on_unmatched="drop",
            # What a batch changed is compared partition by partition, and another program has others.
            on_divergence="accept",
            state_log=state_log,
        )
        lives += sum(outcome.lives for outcome in outcomes)
    assert lives > SEEDS

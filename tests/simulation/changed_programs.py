"""Programs that are another one at every start: their state goes on."""

from __future__ import annotations

from collections.abc import Callable
from operator import add
from typing import Any, TypeAlias

import millstream as ms
from millstream.testing.simulation.connections import Connections
from millstream.testing.simulation.simulation import Outcome
from tests.simulation.simulated import Rows, Simulated

Pairs: TypeAlias = ms.DStream[Any]

NAMES = ("totals", "sums")


def other_partitions(start: int, pairs: Pairs) -> Pairs:
    return pairs.update_state_by_key(_sum, name="totals", partitions=1 + start % 4)


def renamed(start: int, pairs: Pairs) -> Pairs:
    # A start that fails before it took the checkpoint over leaves the name of before, so both may have been the last.
    return pairs.update_state_by_key(
        _sum, name=NAMES[start % 2], state=ms.StateOptions(renamed_from=NAMES[(start + 1) % 2])
    )


def added_and_removed(start: int, pairs: Pairs) -> Pairs:
    if start % 2:
        pairs.reduce_by_key_and_window(add, window=4.0, name="recent").collect_to([])
    totals = pairs.update_state_by_key(_sum, name="totals")
    if start % 3 == 0:
        pairs.update_state_by_key(_sum, name="more").collect_to([])
    return totals


def _sum(new: list[int], old: int | None) -> int:
    return (old or 0) + sum(new)


def _changing(build: Callable[[int, Pairs], Pairs], *, state_log: bool) -> Simulated:
    def program(ssc: ms.StreamingContext, sim: Connections) -> None:
        pairs = sim.pushed("numbers").union(sim.stream("others")).map(lambda n: (n % 7, n))
        build(sim.starts, pairs).write_to(sim.sink("totals"))

    options = {
        "deterministic": False,
        "on_unmatched": "drop",
        # What a batch changed is compared partition by partition, and another program has others.
        "on_divergence": "accept",
        "state_log": state_log,
    }
    inputs = {"numbers": list(range(80)), "others": [1_000 + n for n in range(40)]}
    return Simulated(program, inputs, _sums, options=options)


def _sums(outcome: Outcome) -> dict[str, dict[int, Rows]]:
    state: dict[int, int] = {}
    expected: dict[int, Rows] = {}
    for batch in outcome.batches:
        for n in [*batch.inputs["numbers"], *batch.inputs["others"]]:
            state[n % 7] = state.get(n % 7, 0) + n
        expected[batch.time_ms] = list(state.items())
    return {"totals": expected}


CHANGED = {
    "other_partitions": _changing(other_partitions, state_log=True),
    "other_partitions_unlogged": _changing(other_partitions, state_log=False),
    "renamed": _changing(renamed, state_log=True),
    "renamed_unlogged": _changing(renamed, state_log=False),
    "added_and_removed": _changing(added_and_removed, state_log=True),
    "added_and_removed_unlogged": _changing(added_and_removed, state_log=False),
}

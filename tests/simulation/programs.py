"""The programs that are simulated, each with what it comes to in plain Python."""

from __future__ import annotations

from operator import add, sub
from typing import Any

import millstream as ms
from millstream.testing.simulation.connections import Connections
from millstream.testing.simulation.simulation import Outcome
from tests.simulation.changed_programs import CHANGED
from tests.simulation.simulated import Rows, Simulated

NUMBERS = list(range(120))


def _by_batch(outcome: Outcome, name: str) -> dict[int, Rows]:
    return {batch.time_ms: batch.inputs[name] for batch in outcome.batches}


def _written(outcome: Outcome, sink: str) -> Rows:
    return [row for rows in outcome.outputs[sink].values() for row in rows]


def stateless(ssc: ms.StreamingContext, sim: Connections) -> None:
    sim.stream("numbers").map(lambda n: n * n).write_to(sim.sink("squares"))


def _stateless(outcome: Outcome) -> dict[str, dict[int, Rows]]:
    return {"squares": {time_ms: [n * n for n in rows] for time_ms, rows in _by_batch(outcome, "numbers").items()}}


def resent(ssc: ms.StreamingContext, sim: Connections) -> None:
    """A pushed input without positions: what its sender has no answer for may be in two batches."""
    sim.pushed("numbers", positions=False).map(lambda n: n * n).write_to(sim.sink("squares"))


def unanswered(ssc: ms.StreamingContext, sim: Connections) -> None:
    """A pushed input for which no sender waits: a crash loses what no batch had."""
    sim.pushed("numbers", acknowledged=False).map(lambda n: n * n).write_to(sim.sink("squares"))


def two_sinks(ssc: ms.StreamingContext, sim: Connections) -> None:
    numbers = sim.pushed("numbers")
    numbers.map(lambda n: (n, "all")).write_to(sim.sink("all"))
    numbers.filter(lambda n: n % 3 == 0).write_to(sim.sink("thirds"))


def _two_sinks(outcome: Outcome) -> dict[str, dict[int, Rows]]:
    batches = _by_batch(outcome, "numbers")
    return {
        "all": {time_ms: [(n, "all") for n in rows] for time_ms, rows in batches.items()},
        "thirds": {time_ms: [n for n in rows if n % 3 == 0] for time_ms, rows in batches.items()},
    }


def totals(ssc: ms.StreamingContext, sim: Connections) -> None:
    """A running total by key over a pushed and a replayable input, with values that are changed in place."""
    pairs = sim.pushed("numbers").union(sim.stream("others")).map(lambda n: (n % 7, n))
    pairs.update_state_by_key(_extend, name="totals").write_to(sim.sink("totals"))


def _extend(values: list[int], state: list[int] | None) -> list[int]:
    state = state if state is not None else [0, 0]
    state[0] += len(values)
    state[1] += sum(values)
    return state


def _totals(outcome: Outcome) -> dict[str, dict[int, Rows]]:
    state: dict[int, list[int]] = {}
    expected = {}
    for batch in outcome.batches:
        for n in [*batch.inputs["numbers"], *batch.inputs["others"]]:
            count, total = state.get(n % 7, [0, 0])
            state[n % 7] = [count + 1, total + n]
        expected[batch.time_ms] = [(key, list(state[key])) for key in state]
    return {"totals": expected}


def unlogged(ssc: ms.StreamingContext, sim: Connections) -> None:
    """The same, and a window over it, without a state log: a start runs batches again for their state."""
    totals(ssc, sim)
    window = (
        sim.stream("more", limit=5)
        .map(lambda n: (n % 4, n))
        .reduce_by_key_and_window(add, sub, window=5.0, slide=1.0, filter=lambda pair: pair[1] != 0, name="sums")
    )
    window.write_to(sim.sink("sums"))


def _unlogged(outcome: Outcome) -> dict[str, dict[int, Rows]]:
    return _totals(outcome) | _inverse_window(outcome, "more")


POISON = frozenset(range(7, 120, 23))


def skipping(ssc: ms.StreamingContext, sim: Connections) -> None:
    """Totals in which some records make their batch fail, which is given up."""
    pairs = sim.pushed("numbers").union(sim.stream("others")).map(_unless_poison)
    pairs.update_state_by_key(_extend, name="totals").write_to(sim.sink("totals"))


def _unless_poison(n: int) -> tuple[int, int]:
    if n in POISON:
        raise ValueError(f"{n} is poison")
    return n % 7, n


def _all_poison_given_up(outcome: Outcome) -> bool:
    had = [n for batch in outcome.skipped for n in batch.inputs["numbers"]]
    return set(had) >= POISON and all(POISON & set(batch.inputs["numbers"]) for batch in outcome.skipped)


TIMEOUT_S = 4.0


def sessions(ssc: ms.StreamingContext, sim: Connections) -> None:
    """Sessions that end when nothing comes for a while; a pushed input keeps nothing while the program is down."""
    _write_sessions(sim.pushed("numbers"), sim)


def kept_sessions(ssc: ms.StreamingContext, sim: Connections) -> None:
    """The same over an input that keeps its records while the program is down: then no key grows idle."""
    _write_sessions(sim.stream("numbers", limit=9), sim)


def slid_sessions(ssc: ms.StreamingContext, sim: Connections) -> None:
    """The same beside a window with a longer slide, whose overdue times have batches that lie in a downtime."""
    numbers = sim.stream("numbers", limit=9)
    _write_sessions(numbers, sim)
    numbers.window(6.0, 2.0).write_to(sim.sink("last"))


def _slid_sessions(outcome: Outcome) -> dict[str, dict[int, Rows]]:
    return _sessions(outcome) | _window(outcome)


def _write_sessions(numbers: ms.DStream[int], sim: Connections) -> None:
    spec: ms.StateSpec[int, int, int, Any] = ms.StateSpec(_session, timeout=TIMEOUT_S)
    pairs = numbers.map(lambda n: (_session_key(n), n))
    pairs.map_with_state(spec, name="sessions").write_to(sim.sink("sessions"))


def _session_key(n: int) -> int:
    return n % 5 + n // 40 * 10


def _session(key: int, value: int | None, state: ms.State[int]) -> tuple[int, int | None, int, bool]:
    if state.is_timing_out():
        return key, None, state.get(), True
    count = (state.get() if state.exists() else 0) + 1
    state.update(count)
    return key, value, count, False


def _sessions(outcome: Outcome) -> dict[str, dict[int, Rows]]:
    touched: dict[int, tuple[int, int]] = {}
    expected: dict[int, Rows] = {}
    for batch in outcome.batches:
        rows = expected[batch.time_ms] = []
        for n in batch.inputs["numbers"]:
            key = _session_key(n)
            count = touched.get(key, (0, 0))[0] + 1
            touched[key] = count, batch.time_ms
            rows.append((key, n, count, False))
        for key, (count, at_ms) in list(touched.items()):
            down_ms = sum(max(0, min(to, batch.time_ms) - max(since, at_ms)) for since, to in outcome.downtimes)
            if batch.time_ms - at_ms - down_ms > TIMEOUT_S * 1000.0:
                rows.append((key, None, count, True))
                del touched[key]
    return {"sessions": expected}


def _all_sessions_ended(outcome: Outcome) -> bool:
    ended: list[int] = [count for _, _, count, is_end in _written(outcome, "sessions") if is_end]
    return sum(ended) == len(NUMBERS)


def inverse_window(ssc: ms.StreamingContext, sim: Connections) -> None:
    sim.stream("numbers").map(lambda n: (n % 4, n)).reduce_by_key_and_window(
        add, sub, window=5.0, slide=1.0, filter=lambda pair: pair[1] != 0, name="sums"
    ).write_to(sim.sink("sums"))


def _inverse_window(outcome: Outcome, name: str = "numbers") -> dict[str, dict[int, Rows]]:
    batches = _by_batch(outcome, name)
    expected = {}
    for end_ms in batches:
        sums: dict[int, int] = {}
        for time_ms, rows in batches.items():
            if end_ms - 5_000 < time_ms <= end_ms:
                for n in rows:
                    sums[n % 4] = sums.get(n % 4, 0) + n
        expected[end_ms] = [(key, total) for key, total in sums.items() if total]
    return {"sums": expected}


def window(ssc: ms.StreamingContext, sim: Connections) -> None:
    """Windows that slide by two batches, over a pushed input."""
    sim.pushed("numbers").window(6.0, 2.0).write_to(sim.sink("last"))


def _window(outcome: Outcome) -> dict[str, dict[int, Rows]]:
    batches = _by_batch(outcome, "numbers")
    return {
        "last": {
            end_ms: [n for time_ms, rows in batches.items() if end_ms - 6_000 < time_ms <= end_ms for n in rows]
            for end_ms in batches
            if (end_ms - outcome.zero_ms) % 2_000 == 0
        }
    }


PROGRAMS: dict[str, Simulated] = {
    "stateless": Simulated(
        stateless,
        {"numbers": NUMBERS},
        _stateless,
        lambda outcome: _written(outcome, "squares") == [n * n for n in NUMBERS],
    ),
    "resent": Simulated(
        resent,
        {"numbers": NUMBERS},
        _stateless,
        lambda outcome: set(_written(outcome, "squares")) == {n * n for n in NUMBERS},
    ),
    "unanswered": Simulated(unanswered, {"numbers": NUMBERS}, _stateless),
    "two_sinks": Simulated(
        two_sinks,
        {"numbers": NUMBERS},
        _two_sinks,
        lambda outcome: _written(outcome, "thirds") == [n for n in NUMBERS if n % 3 == 0],
    ),
    "totals": Simulated(
        totals,
        {"numbers": NUMBERS, "others": [1_000 + n for n in range(60)]},
        _totals,
        lambda outcome: (
            sum(total for _, (_, total) in list(outcome.outputs["totals"].values())[-1])
            == sum(NUMBERS) + sum(1_000 + n for n in range(60))
        ),
    ),
    "unlogged": Simulated(
        unlogged,
        {"numbers": NUMBERS, "others": [1_000 + n for n in range(60)], "more": list(range(80))},
        _unlogged,
        options={"settle": 7, "state_log": False},
    ),
    "skipping": Simulated(
        skipping,
        {"numbers": NUMBERS, "others": [1_000 + n for n in range(60)]},
        _totals,
        _all_poison_given_up,
        options={"on_failure": "skip", "dead_letter_limit": 100},
    ),
    "sessions": Simulated(sessions, {"numbers": NUMBERS}, _sessions, _all_sessions_ended, {"settle": 8}),
    "kept_sessions": Simulated(kept_sessions, {"numbers": NUMBERS}, _sessions, _all_sessions_ended, {"settle": 8}),
    "slid_sessions": Simulated(slid_sessions, {"numbers": NUMBERS}, _slid_sessions, options={"settle": 8}),
    "inverse_window": Simulated(inverse_window, {"numbers": NUMBERS}, _inverse_window, options={"settle": 7}),
    "window": Simulated(window, {"numbers": NUMBERS}, _window, options={"settle": 8}),
    **CHANGED,
}

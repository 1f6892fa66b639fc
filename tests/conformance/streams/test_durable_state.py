"""State that leaves a program and enters another: the other goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from operator import add, sub
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import millstream as ms
from millstream.execution.backend import Backend
from tests.conformance.streams.lives import INTERVAL_MS, Build, Life, StateLog
from tests.conformance.streams.runs import Batches, key_values


def _running(key: Any, value: Any, state: Any) -> Any:
    if state.is_timing_out():
        return key, "out", state.get()
    state.update(state.get(0) + value)
    if state.get() > 12:
        state.remove()
        return key, "gone"
    return key, state.get()


def _listed(key: Any, value: Any, state: Any) -> Any:
    seen = state.get([])
    seen.append(value)
    state.update(seen)
    return key, list(seen)


def _total(values: list[int], old: int | None) -> int | None:
    total = (old or 0) + sum(values)
    return None if total > 20 else total


def _collected(values: list[int], old: list[int] | None) -> list[int]:
    return [*(old or []), *values][-5:]


_INITIAL = [(0, 5), (7, 1), (8, 2)]

OPERATORS: dict[str, Build] = {
    "update_state_by_key": lambda s: s.update_state_by_key(_total),
    "update_state_by_key of lists": lambda s: s.update_state_by_key(_collected, only_updated=True),
    "update_state_by_key with initial state": lambda s: s.update_state_by_key(_total, initial_state=_INITIAL),
    "map_with_state": lambda s: s.map_with_state(_running),
    "map_with_state of lists": lambda s: s.map_with_state(_listed),
    "map_with_state with timeout and initial state": lambda s: s.map_with_state(
        ms.StateSpec(_running, timeout=2.5, initial_state=_INITIAL)
    ),
    "state_snapshots": lambda s: s.map_with_state(ms.StateSpec(_running, timeout=1.5)).state_snapshots(),
    "window": lambda s: s.window(3, 2),
    "window over window": lambda s: s.window(2).window(3),
    "window of state": lambda s: s.update_state_by_key(_total).window(2),
    "state of window": lambda s: s.window(2).update_state_by_key(_total),
    "reduce_by_window": lambda s: s.values().reduce_by_window(add, 3),
    "reduce_by_window inverse": lambda s: s.values().reduce_by_window(add, 3, inverse=sub),
    "count_by_window": lambda s: s.count_by_window(3, 2),
    "count_by_value_and_window": lambda s: s.count_by_value_and_window(3),
    "group_by_key_and_window": lambda s: s.group_by_key_and_window(3),
    "reduce_by_key_and_window": lambda s: s.reduce_by_key_and_window(max, window=3, slide=2),
    "reduce_by_key_and_window inverse": lambda s: s.reduce_by_key_and_window(add, sub, window=3),
    "reduce_by_key_and_window inverse, slow": lambda s: s.reduce_by_key_and_window(add, sub, window=3, slide=2),
    "reduce_by_key_and_window filter": lambda s: s.reduce_by_key_and_window(
        add, sub, window=3, filter=lambda pair: pair[1] > 0
    ),
    "join of windows": lambda s: s.window(3).join(s.reduce_by_key_and_window(add, sub, window=2)),
}


@pytest.fixture(scope="session", params=["threads", "processes"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with ms.Context(request.param, workers=2 if request.param == "processes" else None) as context:
        yield context.backend


@pytest.mark.parametrize("operator", OPERATORS)
@given(
    batches=key_values(batches_max=8), cut=st.integers(0, 8), partitions=st.integers(1, 3), attempts=st.integers(1, 2)
)
def test_a_program_goes_on_where_another_stopped(
    backend: Backend, operator: str, batches: Batches, cut: int, partitions: int, attempts: int
) -> None:
    build = OPERATORS[operator]
    undisturbed = Life(build, backend, partitions=partitions).run_all(batches)
    before = Life(build, backend, partitions=partitions)
    given_before = before.run_all(batches[:cut], attempts=attempts)
    after = Life(build, backend, partitions=partitions, log=before.log)
    assert [*given_before, *after.run_all(batches[cut:], from_ms=len(batches[:cut]) * INTERVAL_MS)] == undisturbed


def _flat(batches: list[list[list[Any]]]) -> list[list[Any]]:
    return [sorted((row for part in given for row in part), key=repr) for given in batches]


def _plain(build: Build) -> Build:
    """Values of a key in one order, whatever the order of partitions."""
    return lambda s: build(s).map(_in_order)


def _in_order(row: Any) -> Any:
    return (row[0], sorted(row[1])) if isinstance(row, tuple) and isinstance(row[-1], list) else row


@pytest.mark.parametrize("operator", OPERATORS)
@given(batches=key_values(batches_max=8), cut=st.integers(1, 6), counts=st.tuples(*[st.integers(1, 7)] * 3))
def test_state_is_spread_anew_over_another_number_of_partitions(
    backend: Backend, operator: str, batches: Batches, cut: int, counts: tuple[int, int, int]
) -> None:
    build = _plain(OPERATORS[operator])
    undisturbed = Life(build, backend, partitions=counts[0]).run_all(batches)
    first = Life(build, backend, partitions=counts[1])
    given = first.run_all(batches[:cut])
    second = Life(build, backend, partitions=counts[2], log=first.log)
    given += second.run_all(batches[cut:], from_ms=len(batches[:cut]) * INTERVAL_MS)
    assert _flat(given) == _flat(undisturbed)


BATCHES: Batches = [
    [(0, 1), (1, 2), (2, 3), ("a", 1), (None, 4)],
    [(0, 2), (1, -2), (1.0, 3), (True, 1)],
    [],
    [(5, 1), ("a", 2), (0, 9), ((1, "b"), 3)],
    [(2, 1), (2, 8)],
    [],
    [("a", -1), (0, 3), (5, 5)],
]


@pytest.fixture(scope="module")
def here() -> Iterator[Backend]:
    with ms.Context() as context:
        yield context.backend


@pytest.fixture(scope="module", params=[1, 3])
def there(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Processes, so many; a program that begins on them has them drop the state of the one before."""
    with ms.Context("processes", workers=request.param) as context:
        yield context.backend


@pytest.mark.parametrize("operator", OPERATORS)
def test_state_moves_between_backends(operator: str, here: Backend, there: Backend) -> None:
    build = OPERATORS[operator]
    undisturbed = Life(build, here, partitions=4).run_all(BATCHES)
    first = Life(build, here, partitions=4)
    given = first.run_all(BATCHES[:2])
    second = Life(build, there, partitions=4, log=first.log)
    given += second.run_all(BATCHES[2:5], from_ms=2 * INTERVAL_MS)
    third = Life(build, here, partitions=4, log=first.log.followed_by(second.log))
    given += third.run_all(BATCHES[5:], from_ms=5 * INTERVAL_MS)
    assert given == undisturbed


def test_a_worker_that_dies_is_followed_by_one_with_the_loaded_state() -> None:
    build = OPERATORS["map_with_state with timeout and initial state"]
    with ms.Context("processes", workers=2) as context:
        backend: Any = context.backend
        undisturbed = Life(build, backend, partitions=4).run_all([*BATCHES, *BATCHES])
        first = Life(build, backend, partitions=4)
        given = first.run_all(BATCHES[:2])
        second = Life(build, backend, partitions=4, log=first.log)
        _kill_workers(backend)
        given += second.run_all(BATCHES[2:4], from_ms=2 * INTERVAL_MS)
        _kill_workers(backend)
        given += second.run_all(BATCHES[4:], from_ms=4 * INTERVAL_MS)
        third = Life(build, backend, partitions=4, log=first.log.followed_by(second.log))
        _kill_workers(backend)
        given += third.run_all(BATCHES, from_ms=7 * INTERVAL_MS)
    assert given == undisturbed


def _kill_workers(backend: Any) -> None:
    for pid in backend.worker_pids():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("operator", OPERATORS)
@given(
    batches=key_values(batches_max=8),
    cuts=st.tuples(st.integers(1, 4), st.integers(0, 3)),
    counts=st.tuples(*[st.integers(1, 3)] * 2),
)
def test_merged_chunks_come_to_the_same(
    backend: Backend, operator: str, batches: Batches, cuts: tuple[int, int], counts: tuple[int, int]
) -> None:
    build = _plain(OPERATORS[operator])
    first_cut, second_cut = cuts[0], sum(cuts)
    undisturbed = Life(build, backend, partitions=counts[0]).run_all(batches)[second_cut:]
    life = Life(build, backend, partitions=counts[0])
    life.run_all(batches[:first_cut])
    before = StateLog(life.log.tables, {t: [[*p] for p in ps] for t, ps in life.log.chunks.items()})
    life.run_all(batches[first_cut:second_cut], from_ms=len(batches[:first_cut]) * INTERVAL_MS)
    after = life.log.since(before)
    logs = [
        life.log.merged(final=True),
        life.log.merged(final=False),
        before.merged(final=True).followed_by(after.merged(final=False)),
        before.merged(final=False).followed_by(after),
    ]
    from_ms = len(batches[:second_cut]) * INTERVAL_MS
    for log in logs:
        again = Life(build, backend, partitions=counts[0], log=log)
        assert again.run_all(batches[second_cut:], from_ms=from_ms) == undisturbed
    spread = Life(build, backend, partitions=counts[1], log=logs[2])
    assert _flat(spread.run_all(batches[second_cut:], from_ms=from_ms)) == _flat(undisturbed)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_whole_state_written_out_comes_to_the_same(backend: Backend, operator: str) -> None:
    build = OPERATORS[operator]
    undisturbed = Life(build, backend, partitions=2).run_all(BATCHES)
    life = Life(build, backend, partitions=2)
    life.run_all(BATCHES[:4])
    log = StateLog(life.log.tables, {t: [[] for _ in ps] for t, ps in life.log.chunks.items()}, 4 * INTERVAL_MS)
    for change in life.durable.snapshots(4 * INTERVAL_MS):
        log.chunks[change.table][change.partition].append(change.data)
    assert Life(build, backend, partitions=2, log=log).run_all(BATCHES[4:], from_ms=4 * INTERVAL_MS) == undisturbed[4:]

"""Keyed state against plain Python, with and without failures, on every backend."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import millstream as ms
from tests.conformance.streams.runs import Batches, RunBatches, key_values


def _grouped(rows: list[Any]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for key, value in rows:
        groups.setdefault(key, []).append(value)
    return groups


def _sorted(batches: Batches) -> Batches:
    return [sorted(batch, key=repr) for batch in batches]


def _forgetful(values: list[int], old: int | None) -> int | None:
    """A sum that counts down where there is no data, and is dropped at zero or below."""
    new = (old or 0) + (sum(values) if values else -1)
    return new if new > 0 else None


def _forgetful_oracle(batches: Batches, *, only_updated: bool, start: dict[Any, int]) -> Batches:
    state, out = dict(start), []
    for batch in batches:
        groups = _grouped(batch)
        for key in list(groups) if only_updated else [*state, *(key for key in groups if key not in state)]:
            new = _forgetful(groups.get(key, []), state.get(key))
            state.pop(key, None) if new is None else state.__setitem__(key, new)
        out.append(list(state.items()))
    return out


@pytest.mark.parametrize("form", ["values", "key", "iterator"])
@pytest.mark.parametrize("only_updated", [False, True])
@given(
    batches=key_values(batches_max=6),
    partitions=st.integers(1, 3),
    start=st.dictionaries(st.integers(0, 6), st.integers(1, 3)),
)
def test_update_state_by_key_equals_plain_python(
    run: RunBatches, form: str, only_updated: bool, batches: Batches, partitions: int, start: dict[int, int]
) -> None:
    functions = {
        "values": _forgetful,
        "key": lambda key, values, old: _forgetful(values, old),
        "iterator": lambda triples: [
            (key, new) for key, values, old in triples if (new := _forgetful(values, old)) is not None
        ],
    }

    def build(ssc: Any, pairs: Any) -> Any:
        return pairs.update_state_by_key(
            functions[form], partitions, form=form, only_updated=only_updated, initial_state=start
        )

    expected = _forgetful_oracle(batches, only_updated=only_updated, start=start)
    assert _sorted(run(build, batches)) == _sorted(expected)


def _running(key: int, value: int | None, state: ms.State[int]) -> tuple[int, int | None, int] | None:
    if state.is_timing_out():
        return key, None, state.get()
    total = state.get(0) + (value or 0)
    if total % 7 == 6:
        if state.exists():
            state.remove()
        return key, value, -1
    state.update(total)
    return key, value, total


def _running_oracle(batches: Batches, timeout: int | None) -> tuple[Batches, Batches]:
    state: dict[int, int] = {}
    last: dict[int, int] = {}
    out, snapshots = [], []
    for now, batch in enumerate(batches, 1):
        rows: list[Any] = []
        for key, value in batch:
            total = state.get(key, 0) + value
            if total % 7 == 6:
                state.pop(key, None)
                rows.append((key, value, -1))
            else:
                state[key] = total
                last[key] = now
                rows.append((key, value, total))
        if timeout is not None:
            rows += [(key, None, state.pop(key)) for key in [key for key in state if now - last[key] > timeout]]
        out.append(rows)
        snapshots.append(list(state.items()))
    return out, snapshots


@given(
    batches=key_values(batches_max=8),
    timeout=st.one_of(st.none(), st.integers(1, 3)),
    partitions=st.integers(1, 3),
)
def test_map_with_state_equals_plain_python(
    run: RunBatches, batches: Batches, timeout: int | None, partitions: int
) -> None:
    spec = ms.StateSpec(_running, timeout=timeout, partitions=partitions)
    mapped, snapshots = _running_oracle(batches, timeout)
    assert _sorted(run(lambda ssc, s: s.map_with_state(spec), batches)) == _sorted(mapped)
    assert _sorted(run(lambda ssc, s: s.map_with_state(spec).state_snapshots(), batches)) == _sorted(snapshots)


@given(batches=key_values(batches_max=6), partitions=st.integers(1, 3))
def test_state_that_is_changed_in_place_does_not_change_what_was_put_out(
    run: RunBatches, batches: Batches, partitions: int
) -> None:
    def extend(values: list[int], old: list[int] | None) -> list[int]:
        seen = [] if old is None else old
        seen.extend(values)
        return seen

    state: dict[int, list[int]] = {}
    expected = []
    for batch in batches:
        for key, value in batch:
            state[key] = [*state.get(key, []), value]
        expected.append([(key, list(values)) for key, values in state.items()])
    result = run(lambda ssc, s: s.update_state_by_key(extend), batches, partitions=partitions)
    assert _sorted(result) == _sorted(expected)

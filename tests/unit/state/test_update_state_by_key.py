from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.state.attempts import BATCH_MS, LABEL, Attempts, Faulty, Trouble, plans

from millstream.errors import ArgumentTypeError, UserCodeError
from millstream.model.batch import Batch
from millstream.state.table import StateTable
from millstream.state.update_state_by_key import Form, UpdateStateByKey

records = st.tuples(st.sampled_from(["a", "b", ("c", 1), None]), st.integers(0, 9))
batches = st.lists(st.lists(records, max_size=6), min_size=2, max_size=7)


def remember(values: list[int], old: list[int] | None) -> list[int] | None:
    """Mutates its state in place, ages it, and lets go of it when a seven comes."""
    if 7 in values:
        return None
    state = [0] if old is None else old
    state[0] += 1
    state.extend(values)
    return state


def latest(values: list[int], old: int | None) -> int | None:
    return values[-1] if values else old if old else None


def plain_update(
    f: Any, inputs: list[list[Any]], initial: list[Any], *, only_updated: bool
) -> list[list[tuple[Any, Any]]]:
    states = {key: copy.deepcopy(state) for key, state in initial}
    results = []
    for rows in inputs:
        keys = [] if only_updated else list(states)
        keys += [key for key in dict.fromkeys(key for key, _ in rows) if key not in keys]
        for key in keys:
            new = f([v for k, v in rows if k == key], states.get(key))
            if new is None:
                states.pop(key, None)
            else:
                states[key] = new
        results.append(copy.deepcopy(list(states.items())))
    return results


@settings(max_examples=100, deadline=None)
@given(
    inputs=batches,
    plan=plans,
    f=st.sampled_from([remember, latest]),
    form=st.sampled_from(["values", "key"]),
    only_updated=st.booleans(),
    is_seeded=st.booleans(),
)
def test_failed_attempts_leave_no_trace(
    inputs: list[list[Any]], plan: list[Trouble], f: Any, form: Form, only_updated: bool, is_seeded: bool
) -> None:
    initial = [("b", [5]), ("z", [6])] if f is remember else [("b", 5), ("z", 6)]
    initial = initial if is_seeded else []
    faulty = Faulty(f if form == "values" else lambda key, values, old: f(values, old))
    step = UpdateStateByKey(faulty, LABEL, form, only_updated, [initial] if is_seeded else None)
    outputs = Attempts(step, faulty).run_all([[[rows]] for rows in inputs], plan)
    assert outputs == plain_update(f, inputs, initial, only_updated=only_updated)


@settings(max_examples=100, deadline=None)
@given(inputs=batches, plan=plans, only_updated=st.booleans(), is_seeded=st.booleans())
def test_the_iterator_form_gives_the_same(
    inputs: list[list[Any]], plan: list[Trouble], only_updated: bool, is_seeded: bool
) -> None:
    faulty = Faulty(remember)

    def each(triples: Iterator[tuple[Any, list[int], list[int] | None]]) -> Iterator[tuple[Any, Any]]:
        for key, values, old in triples:
            new = faulty(values, old)
            if new is not None or key == "a":
                yield key, new

    initial = [("b", [5]), ("z", [6])] if is_seeded else []
    step = UpdateStateByKey(each, LABEL, "iterator", only_updated, [initial] if is_seeded else None)
    outputs = Attempts(step, faulty).run_all([[[rows]] for rows in inputs], plan)
    assert outputs == plain_update(remember, inputs, initial, only_updated=only_updated)


def run(step: UpdateStateByKey, table: StateTable, now_ms: int, *rows: Any) -> list[Any]:
    return list(step.run(table, [[list(rows)]], Batch(now_ms)))


@pytest.fixture
def table() -> StateTable:
    return StateTable("counts", 0)


def test_every_held_key_is_asked_in_every_batch(table: StateTable) -> None:
    step = UpdateStateByKey(lambda values, old: (old or 0) + 1, LABEL)
    run(step, table, 1_000, ("a", 1))
    run(step, table, 2_000, ("b", 1))
    assert run(step, table, 3_000) == [("a", 3), ("b", 2)]


def test_only_updated_leaves_the_others_alone(table: StateTable) -> None:
    step = UpdateStateByKey(lambda values, old: (old or 0) + len(values), LABEL, only_updated=True)
    run(step, table, 1_000, *[(key, 1) for key in range(100)])
    run(step, table, 2_000, (5, 1), (200, 1))
    assert table.delta(2_000).changed == {5: 2, 200: 1}


def test_an_unchanged_state_is_not_in_the_delta(table: StateTable) -> None:
    step = UpdateStateByKey(lambda values, old: sum(values) if values else old, LABEL)
    run(step, table, 1_000, ("a", 1), ("b", 2))
    run(step, table, 2_000, ("b", 5))
    assert table.delta(2_000).changed == {"b": 5}


@pytest.mark.parametrize(
    ("form", "f"),
    [
        ("values", lambda values, old, batch: batch.time_ms),
        ("key", lambda key, values, old, batch: batch.time_ms),
        ("iterator", lambda triples, batch: [(key, batch.time_ms) for key, _, _ in triples]),
    ],
)
def test_a_function_of_one_argument_more_gets_the_batch(table: StateTable, form: Form, f: Any) -> None:
    assert run(UpdateStateByKey(f, LABEL, form), table, BATCH_MS, ("a", 1)) == [("a", BATCH_MS)]


def test_the_key_comes_first(table: StateTable) -> None:
    step = UpdateStateByKey(lambda key, values, old: (key, values, old), LABEL, "key")
    assert run(step, table, 1_000, ("a", 1), ("a", 2)) == [("a", ("a", [1, 2], None))]


def test_the_iterator_form_cannot_give_other_keys(table: StateTable) -> None:
    step = UpdateStateByKey(lambda triples: [("other", 1) for _ in triples], LABEL, "iterator")
    with pytest.raises(UserCodeError, match="not given"):
        run(step, table, 1_000, ("a", 1))


def test_the_iterator_form_need_not_take_everything(table: StateTable) -> None:
    step = UpdateStateByKey(lambda triples: [(k, v) for k, v, _ in triples], LABEL, "iterator")
    run(step, table, 1_000, ("a", 1), ("b", 1), ("c", 1))
    first_only = UpdateStateByKey(lambda triples: [next(triples)[:2]], LABEL, "iterator")
    assert run(first_only, table, 2_000, ("d", 1)) == [("a", [])]


@pytest.mark.parametrize("form", ["values", "key", "iterator"])
def test_an_error_of_the_users_says_where(table: StateTable, form: Form) -> None:
    def fail(*args: Any) -> Any:
        if form == "iterator":
            return [(key, 1 / values[0]) for key, values, _ in args[0]]
        return 1 / args[-2][0]

    with pytest.raises(UserCodeError) as caught:
        run(UpdateStateByKey(fail, LABEL, form), table, 1_000, ("a", 1), ("b", 0))
    assert caught.value.record == "('b', [0])"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("form", ["values", "key", "iterator"])
@pytest.mark.parametrize("key", [float("nan"), ["list"]])
def test_impossible_keys_are_refused(table: StateTable, form: Form, key: Any) -> None:
    def keep(*args: Any) -> Any:
        return [(key, 1) for key, _, _ in args[0]] if form == "iterator" else 1

    with pytest.raises(ArgumentTypeError, match="A key"):
        run(UpdateStateByKey(keep, LABEL, form), table, 1_000, ("a", 1), (key, 1))


def test_a_record_that_is_no_pair_is_refused(table: StateTable) -> None:
    with pytest.raises(ArgumentTypeError, match="not a pair"):
        run(UpdateStateByKey(latest, LABEL), table, 1_000, 5)


def test_a_step_travels(table: StateTable) -> None:
    step = cloudpickle.loads(cloudpickle.dumps(UpdateStateByKey(lambda values, old: sum(values), LABEL)))
    assert run(step, table, 1_000, ("a", 1), ("a", 2)) == [("a", 3)]

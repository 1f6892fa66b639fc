from __future__ import annotations

import copy
from typing import Any

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.state.attempts import BATCH_MS, LABEL, Attempts, Faulty, Trouble, plans

from millstream.errors import ArgumentTypeError, LifecycleError, ShippingError, UserCodeError
from millstream.model.batch import Batch
from millstream.state.map_with_state import MapWithState
from millstream.state.snapshots import StateSnapshots
from millstream.state.state import State
from millstream.state.table import StateTable

records = st.tuples(st.sampled_from(["a", "b", ("c", 1)]), st.integers(0, 99))
batches = st.lists(st.lists(records, max_size=6), min_size=2, max_size=8)


class PlainState:
    """What `State` is to do, on a plain dict."""

    def __init__(self, states: dict[Any, Any], key: Any, timing_out: bool = False) -> None:
        self.states, self.key, self.timing_out = states, key, timing_out

    def exists(self) -> bool:
        return self.key in self.states

    def get(self, default: Any = None) -> Any:
        return self.states.get(self.key, default)

    def update(self, value: Any) -> None:
        self.states[self.key] = value

    def remove(self) -> None:
        self.states.pop(self.key, None)

    def is_timing_out(self) -> bool:
        return self.timing_out


def session(key: Any, value: int | None, state: Any) -> Any:
    """Does one of many things with the state, mutations in place among them."""
    if value is None:
        assert state.is_timing_out()
        return key, "timed out", list(state.get()[0])
    match value % 6:
        case 0:
            state.remove()
            return key, "removed"
        case 1 if state.exists():
            state.get()[0].append(value)
            return key, list(state.get()[0])
        case 2:
            state.update(([value], "new"))
        case 3:
            held = state.get(([], "started"))
            held[0].append(value)
            state.update(held)
        case 4:
            return None
        case _:
            pass
    return key, state.exists(), copy.deepcopy(state.get(None))


def plain_map_with_state(
    inputs: list[list[Any]], timeout_ms: int | None, initial: list[Any]
) -> list[tuple[list[Any], list[Any]]]:
    states = {key: copy.deepcopy(state) for key, state in initial}
    idle = dict.fromkeys(states, BATCH_MS)
    results = []
    for index, rows in enumerate(inputs):
        now_ms = (index + 1) * BATCH_MS
        mapped = []
        for key, value in rows:
            mapped.append(session(key, value, PlainState(states, key)))
        for key in dict.fromkeys(key for key, _ in rows):
            if key not in states:
                idle.pop(key, None)
            elif idle.get(key) != now_ms:
                idle.pop(key, None)
                idle[key] = now_ms
        if timeout_ms is not None:
            for key in [key for key, touched_ms in idle.items() if now_ms - touched_ms > timeout_ms]:
                mapped.append(session(key, None, PlainState(states, key, timing_out=True)))
                del states[key], idle[key]
        results.append(([row for row in mapped if row is not None], list(copy.deepcopy(states).items())))
    return results


class _WithSnapshots(MapWithState):
    """Gives the mapped rows and the snapshot of each batch."""

    __slots__ = ()

    def advance(self, table: StateTable, inputs: Any, batch: Batch) -> list[Any]:
        mapped = super().advance(table, inputs, batch)
        return [mapped, list(StateSnapshots(LABEL).run(table, [[mapped]], batch))]


@settings(max_examples=150, deadline=None)
@given(
    inputs=batches,
    plan=plans,
    timeout_batches=st.one_of(st.none(), st.integers(0, 4)),
    initial=st.lists(st.tuples(st.sampled_from("abz"), st.just(([0], "initial"))), max_size=3),
)
def test_failed_attempts_leave_no_trace(
    inputs: list[list[Any]], plan: list[Trouble], timeout_batches: int | None, initial: list[Any]
) -> None:
    timeout_ms = None if timeout_batches is None else timeout_batches * BATCH_MS + 1
    given_inputs = copy.deepcopy(inputs)
    f = Faulty(session)
    step = _WithSnapshots(f, LABEL, timeout_ms, None if not initial else [initial])
    outputs = Attempts(step, f).run_all([[[rows]] for rows in inputs], plan)
    assert [tuple(output) for output in outputs] == plain_map_with_state(given_inputs, timeout_ms, initial)
    assert inputs == given_inputs


def run(step: MapWithState, table: StateTable, now_ms: int, *rows: Any) -> list[Any]:
    return step.run(table, [[list(rows)]], Batch(now_ms))  # type: ignore[return-value]


@pytest.fixture
def table() -> StateTable:
    return StateTable("counts", 0)


def count(key: Any, value: int | None, state: State[int]) -> Any:
    if value is None:
        return key, "timeout", state.get(), state.is_timing_out()
    state.update(state.get(0) + value)
    return key, state.get()


class TestTimeout:
    @pytest.mark.parametrize(("timeout_ms", "due_batch"), [(1, 2), (999, 2), (1_000, 3), (1_001, 3), (2_000, 4)])
    def test_it_fires_in_the_first_batch_where_the_key_was_idle_for_longer(
        self, table: StateTable, timeout_ms: int, due_batch: int
    ) -> None:
        step = MapWithState(count, LABEL, timeout_ms)
        run(step, table, 1_000, ("a", 1))
        fired = [number for number in range(2, 8) if run(step, table, number * 1_000)]
        assert fired == [due_batch]

    def test_the_last_call_sees_the_state_and_no_value(self, table: StateTable) -> None:
        step = MapWithState(count, LABEL, 1_000)
        run(step, table, 1_000, ("a", 5))
        assert run(step, table, 3_000) == [("a", "timeout", 5, True)]
        assert not table.contains("a")

    def test_data_comes_before_the_timeout_of_the_same_batch(self, table: StateTable) -> None:
        step = MapWithState(count, LABEL, 1_000)
        run(step, table, 1_000, ("a", 1), ("b", 1))
        assert run(step, table, 9_000, ("a", 1)) == [("a", 2), ("b", "timeout", 1, True)]

    def test_data_keeps_a_key_alive_without_an_update(self, table: StateTable) -> None:
        step = MapWithState(lambda k, v, s: s.update(v) if v else None, LABEL, 1_000)
        run(step, table, 1_000, ("a", 1))
        run(step, table, 2_000, ("a", 0))
        run(step, table, 3_000)
        assert table.contains("a")

    def test_a_key_without_state_does_not_time_out(self, table: StateTable) -> None:
        step = MapWithState(lambda k, v, s: (k, v), LABEL, 1_000)
        run(step, table, 1_000, ("a", 1))
        assert run(step, table, 9_000) == []

    def test_keys_time_out_in_the_order_of_their_last_touch(self, table: StateTable) -> None:
        step = MapWithState(count, LABEL, 2_500)
        run(step, table, 1_000, ("a", 1), ("b", 1), ("c", 1))
        run(step, table, 2_000, ("c", 1), ("a", 1), ("c", 1))
        assert [row[0] for row in run(step, table, 9_000)] == ["b", "c", "a"]

    def test_initial_state_is_idle_from_the_first_batch_on(self, table: StateTable) -> None:
        step = MapWithState(count, LABEL, 1_000, [[("a", 7)]])
        assert run(step, table, 5_000) == []
        assert run(step, table, 6_000) == []
        assert run(step, table, 7_000) == [("a", "timeout", 7, True)]

    def test_removed_keys_are_forgotten(self, table: StateTable) -> None:
        step = MapWithState(lambda k, v, s: s.update(v) if v else v is None or s.remove(), LABEL, 10_000)
        for number in range(1, 30):
            run(step, table, number * 1_000, *[((number, key), 1) for key in range(10)])
            run(step, table, number * 1_000 + 500, *[((number, key), 0) for key in range(5)])
            table.commit(number * 1_000 + 500)
        assert table.snapshot().values.keys() == table._idle._touched_ms.keys()

    def test_outdated_entries_do_not_outgrow_the_keys(self, table: StateTable) -> None:
        step = MapWithState(count, LABEL, 10**9)
        for number in range(1, 400):
            run(step, table, number * 1_000, *[(key, 1) for key in range(number % 7 * 100)], ("always", 1))
            table.commit(number * 1_000)
            assert len(table._idle) <= 4 * len(table) + 5_000
        snapshot = table.snapshot()
        assert snapshot.values.keys() == table._idle._touched_ms.keys()
        assert sorted(map(str, (key for _, keys in snapshot.idle for key in keys))) == sorted(map(str, snapshot.values))
        assert [row[0] for row in run(step, table, 10**10)] == [key for _, keys in snapshot.idle for key in keys]


class TestState:
    def error(self, table: StateTable, f: Any, *rows: Any, timeout_ms: int | None = None) -> UserCodeError:
        step = MapWithState(f, LABEL, timeout_ms)
        table.begin(500)
        table.set("old", [1])
        table.commit(500)
        with pytest.raises(UserCodeError) as caught:
            run(step, table, 1_000, *rows)
        return caught.value

    def test_update_after_remove_is_refused(self, table: StateTable) -> None:
        error = self.error(table, lambda k, v, s: (s.remove(), s.update(1)), ("key", 1))
        assert isinstance(error.__cause__, LifecycleError)
        assert "'key'" in str(error.__cause__)
        assert error.record == "('key', 1)"

    def test_a_second_remove_is_refused(self, table: StateTable) -> None:
        error = self.error(table, lambda k, v, s: (s.remove(), s.remove()), ("old", 1))
        assert isinstance(error.__cause__, LifecycleError)

    @pytest.mark.parametrize("late", [lambda s: s.update(1), lambda s: s.remove()])
    def test_a_state_that_times_out_cannot_change(self, table: StateTable, late: Any) -> None:
        step = MapWithState(lambda k, v, s: s.update(v) if v else late(s), LABEL, 1_000)
        run(step, table, 1_000, ("key", 1))
        with pytest.raises(UserCodeError) as caught:
            run(step, table, 9_000)
        assert isinstance(caught.value.__cause__, LifecycleError)
        assert "timing out" in str(caught.value.__cause__)
        assert "'key'" in str(caught.value.__cause__)

    def test_getting_no_state_is_refused(self, table: StateTable) -> None:
        error = self.error(table, lambda k, v, s: s.get(), ("key", 1))
        assert isinstance(error.__cause__, LifecycleError)

    def test_none_is_no_state(self, table: StateTable) -> None:
        error = self.error(table, lambda k, v, s: s.update(None), ("key", 1))
        assert isinstance(error.__cause__, ArgumentTypeError)

    def test_a_kept_state_is_closed(self, table: StateTable) -> None:
        kept: list[State[Any]] = []
        run(MapWithState(lambda k, v, s: kept.append(s), LABEL), table, 1_000, ("a", 1))
        assert not kept[0].exists()
        with pytest.raises(LifecycleError, match="has ended"):
            kept[0].update(2)

    def test_a_state_that_cannot_be_copied_names_its_part(self, table: StateTable) -> None:
        step = MapWithState(lambda k, v, s: s.get({"lines": iter}) and s.update({"lines": (x for x in [v])}), LABEL)
        run(step, table, 1_000, ("key", 1))
        with pytest.raises(UserCodeError) as caught:
            run(step, table, 2_000, ("key", 2))
        assert isinstance(caught.value.__cause__, ShippingError)
        assert "`['lines']` (a generator)" in str(caught.value)
        assert "app.py:7" in str(caught.value)

    def test_get_option_and_repr(self, table: StateTable) -> None:
        seen: list[Any] = []

        def look(key: str, value: int, state: State[int]) -> None:
            seen.append((state.get_option(), repr(state)))
            state.update(value)

        run(MapWithState(look, LABEL), table, 1_000, ("a", 1), ("a", 2))
        assert seen == [(None, "State()"), (1, "State(1)")]


def test_a_removed_key_that_comes_again_is_the_last(table: StateTable) -> None:
    step = MapWithState(lambda k, v, s: s.update(v) if v else s.remove(), LABEL)
    run(step, table, 1_000, ("a", 1), ("b", 1))
    run(step, table, 2_000, ("a", 0), ("new", 1), ("a", 2))
    assert list(table.items()) == [("b", 1), ("new", 1), ("a", 2)]


def test_a_record_that_became_state_is_not_changed_by_the_next(table: StateTable) -> None:
    rows = [("a", [1]), ("a", [2])]
    step = MapWithState(lambda k, v, s: s.get().extend(v) if s.exists() else s.update(v), LABEL)
    run(step, table, 1_000, *rows)
    assert rows == [("a", [1]), ("a", [2])]
    assert table.get("a") == [1, 2]


def test_a_function_of_four_arguments_gets_the_batch(table: StateTable) -> None:
    step = MapWithState(lambda k, v, s, batch: (k, batch.time_ms), LABEL)
    assert run(step, table, 1_000, ("a", 1)) == [("a", 1_000)]


def test_only_records_are_work(table: StateTable) -> None:
    step = MapWithState(count, LABEL)
    run(step, table, 1_000, *[(key, 1) for key in range(1_000)])
    table.commit(1_000)
    run(step, table, 2_000, (5, 1), (5, 1), (1_000, 1))
    assert table.delta(2_000).changed == {5: 3, 1_000: 1}


@pytest.mark.parametrize("key", [float("nan"), ["list"], (float("nan"), 1)])
def test_impossible_keys_are_refused(table: StateTable, key: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="operator: A key"):
        run(MapWithState(count, LABEL), table, 1_000, ("a", 1), (key, 1))


@pytest.mark.parametrize("record", [5, "abc", ("a", 1, 2), None])
def test_a_record_that_is_no_pair_is_refused(table: StateTable, record: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="not a pair"):
        run(MapWithState(count, LABEL), table, 1_000, ("a", 1), record)


def test_an_error_of_the_users_says_where(table: StateTable) -> None:
    step = MapWithState(lambda k, v, s: 1 / v, LABEL)
    with pytest.raises(UserCodeError) as caught:
        run(step, table, 1_000, ("a", 1), ("b", 0))
    error = caught.value
    assert (error.operator, error.site, error.batch_time_ms, error.record) == (
        "operator",
        "app.py:7",
        1_000,
        "('b', 0)",
    )
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert "ZeroDivisionError" in str(error)
    assert "counts" in str(error)


def test_a_step_travels(table: StateTable) -> None:
    step = cloudpickle.loads(cloudpickle.dumps(MapWithState(lambda k, v, s: (k, v), LABEL, 5, [[("a", 1)]])))
    assert run(step, table, 1_000, ("a", 1)) == [("a", 1)]
    assert (step.timeout_ms, step.initial, step.label.site) == (5, [[("a", 1)]], "app.py:7")

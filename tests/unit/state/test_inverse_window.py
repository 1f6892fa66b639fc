from __future__ import annotations

import copy
import operator
from typing import Any

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.state.attempts import LABEL, Attempts, Faulty, Trouble, plans

from millstream.errors import ArgumentTypeError, InternalError, UserCodeError
from millstream.model.batch import Batch
from millstream.state.inverse_window import InverseWindow
from millstream.state.table import StateTable

keys = st.sampled_from(["a", "b", ("c", 1)])


def extend(value: list[int], new: list[int]) -> list[int]:
    value.extend(new)
    return value


def drop_first(value: list[int], left: list[int]) -> list[int]:
    del value[: len(left)]
    return value


def slides(parts: list[Any], window: int, slide: int) -> list[tuple[list[Any], list[Any]]]:
    """List what enters and what leaves at each slide, both in parts, oldest first."""
    result, last = [], 0
    for now in range(slide, len(parts) + 1, slide):
        entering = parts[max(last, now - window) : now]
        leaving = parts[max(0, last - window) : max(0, min(last, now - window))]
        result.append((entering, leaving))
        last = now
    return result


def plain_window(parts: list[dict[Any, Any]], window: int, slide: int) -> list[list[Any]]:
    results, shown = [], dict[Any, Any]()
    for now in range(slide, len(parts) + 1, slide):
        current: dict[Any, Any] = {}
        for part in parts[max(0, now - window) : now]:
            for key, value in part.items():
                current[key] = current[key] + value if key in current else value
        stay = {key: current[key] for key in shown if key in current}
        shown = {**stay, **current}
        results.append(copy.deepcopy(list(shown.items())))
    return results


numbers = st.lists(st.dictionaries(keys, st.integers(-5, 5), max_size=3), min_size=3, max_size=10)
lists = st.lists(
    st.dictionaries(keys, st.lists(st.integers(0, 9), min_size=1, max_size=2), max_size=3), min_size=3, max_size=10
)


@pytest.mark.parametrize("kind", ["numbers", "lists"])
@settings(max_examples=100, deadline=None)
@given(data=st.data(), plan=plans, window=st.integers(1, 5), slide=st.integers(1, 3))
def test_it_equals_the_window_computed_anew(
    kind: str, data: st.DataObject, plan: list[Trouble], window: int, slide: int
) -> None:
    parts: list[dict[Any, Any]] = data.draw(lists if kind == "lists" else numbers)
    given_parts = copy.deepcopy(parts)
    f, inverse = Faulty(operator.add), Faulty(operator.sub)
    if kind == "lists":
        f, inverse = Faulty(extend), Faulty(drop_first)
    attempts = Attempts(InverseWindow(f, inverse, LABEL), f, inverse)
    outputs = attempts.run_all(slides(parts, window, slide), plan)
    assert outputs == plain_window(given_parts, window, slide)
    assert parts == given_parts


@settings(max_examples=80, deadline=None)
@given(
    parts=numbers,
    plan=plans,
    window=st.integers(1, 4),
)
def test_the_filter_hides_rows_and_counts_agree(parts: list[dict[Any, int]], plan: list[Trouble], window: int) -> None:
    f, inverse, shows = Faulty(operator.add), Faulty(operator.sub), Faulty(lambda pair: pair[1] > 0)

    class Counted(InverseWindow):
        __slots__ = ()

        def advance(self, table: StateTable, inputs: Any, batch: Batch) -> Any:
            rows = super().advance(table, inputs, batch)
            assert len(rows) == len(list(rows)) == len(rows.materialised())
            return rows

    attempts = Attempts(Counted(f, inverse, LABEL, shows), f, inverse, shows)
    outputs = attempts.run_all(slides(parts, window, 1), plan)
    expected = plain_window(parts, window, 1)
    assert outputs == [[row for row in rows if row[1] > 0] for rows in expected]


@pytest.fixture
def table() -> StateTable:
    return StateTable("window", 0)


def carry(step: InverseWindow, table: StateTable, now_ms: int, entering: list[Any], leaving: list[Any]) -> list[Any]:
    return list(step.run(table, [entering, leaving], Batch(now_ms)))


def test_a_key_whose_last_part_leaves_is_gone_without_a_call(table: StateTable) -> None:
    calls: list[Any] = []

    def inverse(value: int, left: int) -> int:
        calls.append((value, left))
        return value - left

    step = InverseWindow(operator.add, inverse, LABEL)
    carry(step, table, 1_000, [{"a": 1, "b": 2}], [])
    carry(step, table, 2_000, [{"a": 5}], [])
    assert carry(step, table, 3_000, [], [{"a": 1, "b": 2}]) == [("a", 5)]
    assert calls == [(6, 1)]
    assert len(table) == 1


def test_a_key_that_enters_as_it_leaves_starts_anew_in_its_place(table: StateTable) -> None:
    step = InverseWindow(operator.add, operator.sub, LABEL)
    carry(step, table, 1_000, [{"a": 0.1, "b": 1.0}], [])
    assert carry(step, table, 2_000, [{"a": 0.3}], [{"a": 0.1}]) == [("a", 0.3), ("b", 1.0)]


def test_parts_are_never_changed(table: StateTable) -> None:
    def longer(value: list[int], new: list[int]) -> list[int]:
        if not value:
            return new  # The part's own list becomes the running value, and the next part is added to it.
        value.extend(new)
        return value

    parts: list[dict[str, list[int]]] = [{"a": []}, {"a": [1]}, {"a": [2]}]
    assert carry(InverseWindow(longer, drop_first, LABEL), table, 1_000, parts, []) == [("a", [1, 2])]
    assert parts == [{"a": []}, {"a": [1]}, {"a": [2]}]


def test_parts_may_be_lists(table: StateTable) -> None:
    step = InverseWindow(operator.add, operator.sub, LABEL)
    assert carry(step, table, 1_000, [[("a", 1)], [("a", 2), ("b", 3)]], []) == [("a", 3), ("b", 3)]


def test_an_unknown_key_that_leaves_is_our_fault(table: StateTable) -> None:
    with pytest.raises(InternalError, match="not in it"):
        carry(InverseWindow(operator.add, operator.sub, LABEL), table, 1_000, [], [{"a": 1}])


def test_few_rows_of_many_cost_few(table: StateTable) -> None:
    shown: list[Any] = []

    def shows(pair: Any) -> bool:
        shown.append(pair)
        return True

    step = InverseWindow(operator.add, operator.sub, LABEL, shows)
    carry(step, table, 1_000, [dict.fromkeys(range(1_000), 1)], [])
    table.commit(1_000)
    shown.clear()
    rows = step.run(table, [[{5: 1}], []], Batch(2_000))
    assert shown == [(5, 2)]
    assert len(rows) == 1_000
    assert rows.first(2) == [(0, 1), (1, 1)]  # type: ignore[attr-defined]
    assert (5, 2) in rows


def fail(*args: Any) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("functions", "entering", "leaving", "record"),
    [
        ((fail, operator.sub), [{"a": 2}], [], "('a', 2)"),
        ((operator.add, fail), [], [{"a": 1}], "('a', 1)"),
        ((operator.add, operator.sub, fail), [{"b": 0}], [], "('b', 0)"),
    ],
)
def test_an_error_of_the_users_says_where(
    table: StateTable, functions: Any, entering: list[Any], leaving: list[Any], record: str
) -> None:
    f, inverse, *shows = functions
    carry(InverseWindow(operator.add, operator.sub, LABEL), table, 1_000, [{"a": 1}, {"a": 1}], [])
    with pytest.raises(UserCodeError) as caught:
        carry(InverseWindow(f, inverse, LABEL, *shows), table, 2_000, entering, leaving)
    assert caught.value.record == record
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("key", [float("nan"), (float("nan"),)])
def test_impossible_keys_are_refused(table: StateTable, key: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="NaN"):
        carry(InverseWindow(operator.add, operator.sub, LABEL), table, 1_000, [[(key, 1)]], [])


def test_a_step_travels(table: StateTable) -> None:
    step = cloudpickle.loads(cloudpickle.dumps(InverseWindow(lambda a, b: a + b, lambda a, b: a - b, LABEL)))
    assert carry(step, table, 1_000, [{"a": 1}], []) == [("a", 1)]

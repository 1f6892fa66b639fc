"""Windows as nodes: which parts they hold, give, forget and take back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.graph.nodes import Given, NoRunner, run_of

from millstream.graph.window import InverseWindowNode, ReducedWindowNode, WindowNode, WindowParts
from millstream.model.label import Label
from millstream.model.partition import rows_of
from millstream.rdd.exchange import CombineByKey
from millstream.rdd.lineage import Held, Lineage, Merged, Stepped, Union
from millstream.rdd.partitioner import KeyGroups
from millstream.state.inverse_window import InverseWindow

AT = Label("window")


def test_parts_are_listed_from_after_until() -> None:
    parts = WindowParts()
    for time_ms in (10, 20, 40):
        parts.add(time_ms, [[time_ms]])
    assert parts.between(10, 40) == [[[20]], [[40]]]
    assert parts.between(0, 39) == [[[10]], [[20]]]
    assert parts.between(40, 99) == []


def test_parts_that_left_are_forgotten_and_failed_ones_taken_back() -> None:
    parts = WindowParts()
    for time_ms in (10, 20, 30):
        parts.add(time_ms, [[time_ms]])
    parts.roll_back(30)
    parts.roll_back(30)
    parts.forget(10)
    assert parts.between(0, 99) == [[[20]]]


def test_a_part_does_not_change_with_what_it_was_made_of() -> None:
    parts, live = WindowParts(), {"a": 1}
    parts.add(10, [live.items()])
    live["b"] = 2
    assert parts.between(0, 10) == [[[("a", 1)]]]


def records(lineage: Lineage | None) -> list[Any]:
    assert isinstance(lineage, Union)
    return [
        row for parent in lineage.parents if isinstance(parent, Held) for part in parent.parts for row in rows_of(part)
    ]


def test_a_window_takes_every_batch_in_and_gives_at_its_slides() -> None:
    parent = Given({time_ms: [[time_ms]] for time_ms in range(10, 70, 10)})
    node = WindowNode(parent, 30, 20, AT)
    given = []
    for time_ms in range(10, 70, 10):
        run = run_of(time_ms)
        node.absorb(run)
        lineage = run.lineage(node)
        given.append(None if lineage is None else records(lineage))
        node.commit(time_ms)
    assert given == [None, [10, 20], None, [20, 30, 40], None, [40, 50, 60]]
    assert node.parts.between(0, 99) == [[[40]], [[50]], [[60]]]


def test_a_batch_that_is_run_again_is_in_the_window_once() -> None:
    parent = Given({10: [[1]], 20: [[2]]})
    node = WindowNode(parent, 20, 10, AT)
    for time_ms in (10, 20):
        node.absorb(run_of(time_ms))
        node.roll_back(time_ms)
        run = run_of(time_ms, attempt=1)
        node.absorb(run)
    assert records(run.lineage(node)) == [1, 2]


def test_a_parent_that_gives_nothing_adds_no_part() -> None:
    node = WindowNode(Given({}), 20, 10, AT)
    run = run_of(10)
    node.absorb(run)
    assert records(run.lineage(node)) == []


def test_a_reduced_window_merges_the_parts_of_one_partition() -> None:
    partitioner = KeyGroups(1)
    exchange = CombineByKey(partitioner, None, max, max, AT)
    node = ReducedWindowNode(Given({10: [[("a", 1)]], 20: [[("a", 2)]]}), exchange, 20, 10, AT)
    for time_ms in (10, 20):
        run = run_of(time_ms)
        node.absorb(run)
    lineage = run.lineage(node)
    assert isinstance(lineage, Merged)
    assert [part for parent in lineage.sides[0] if isinstance(parent, Held) for part in parent.parts] == [
        [("a", 1)],
        [("a", 2)],
    ]


class Stepping(NoRunner):
    """Writes down what enters and leaves an inverse window."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[tuple[list[int], list[int]]] = []

    def keep(self, lineage: Lineage) -> list[Any]:
        if not isinstance(lineage, Stepped):
            return super().keep(lineage)
        entering, leaving = (
            [row for parent in side if isinstance(parent, Held) for part in parent.parts for row in rows_of(part)]
            for side in lineage.inputs
        )
        self.moves.append((entering, leaving))
        return [[]]


def inverse(parent: Given, window_ms: int, slide_ms: int) -> InverseWindowNode:
    step = InverseWindow(max, min, AT)
    return InverseWindowNode(parent, step, KeyGroups(1), window_ms, slide_ms, AT)


@given(
    times=st.lists(st.integers(1, 12), min_size=1, unique=True).map(sorted),
    window=st.integers(1, 5),
    slide=st.integers(1, 4),
    failing=st.sets(st.integers(1, 12)),
)
def test_what_entered_and_has_not_left_is_the_window(
    times: list[int], window: int, slide: int, failing: set[int]
) -> None:
    """Whatever batch times were merged away, and whichever batches are run twice."""
    parent = Given({10 * time: [[time]] for time in times}, slide_ms=10)
    node, held = inverse(parent, 10 * window, 10 * slide), list[int]()
    for time in times:
        if time in failing:
            node.absorb(run_of(10 * time, Stepping()))
            node.roll_back(10 * time)
        runner = Stepping()
        node.absorb(run_of(10 * time, runner, attempt=1))
        for entering, leaving in runner.moves:
            held += entering
            for each in leaving:
                held.remove(each)
            assert held == [each for each in times if time - window < each <= time]
        node.commit(10 * time)
        oldest_needed = max((each for each in times if each <= time and each % slide == 0), default=None)
        if oldest_needed is not None:
            kept = [row for part in node.parts.between(0, 999) for rows in part for row in rows_of(rows)]
            assert all(each > oldest_needed - window for each in kept)

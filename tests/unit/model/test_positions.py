from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from millstream.model.positions import PositionChange, position_after

keys = st.sampled_from("abcd")
positions = st.dictionaries(keys, st.integers(0, 3))


@st.composite
def changes(draw: st.DrawFn) -> PositionChange:
    return PositionChange(draw(positions), tuple(draw(st.sets(keys))))


@given(positions, st.lists(changes(), max_size=5))
def test_changes_that_were_put_together_come_to_the_same(before: dict[str, int], steps: list[PositionChange]) -> None:
    one_by_one: Any = before
    for step in steps:
        one_by_one = position_after(one_by_one, step)
    together: Any = PositionChange()
    for step in steps:
        together = position_after(together, step)
    assert position_after(before, together) == one_by_one


@given(positions, st.lists(changes(), max_size=5), st.integers(0, 5))
def test_changes_that_a_position_has_already_change_it_no_more(
    before: dict[str, int], steps: list[PositionChange], known: int
) -> None:
    position: Any = before
    for step in steps:
        position = position_after(position, step)
    later: Any = before
    for step in steps[:known]:
        later = position_after(later, step)
    together: Any = PositionChange()
    for step in steps:
        together = position_after(together, step)
    assert position_after(later, together) == position


def test_a_whole_position_stands_for_itself() -> None:
    assert position_after({"a": 1}, {"b": 2}) == {"b": 2}
    assert position_after({"a": 1}, None) is None
    assert position_after(None, PositionChange({"a": 1}, ("b",))) == {"a": 1}

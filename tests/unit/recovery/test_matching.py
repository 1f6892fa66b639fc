"""Matching the tables of a checkpoint with those of a changed program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from millstream.errors import ConfigurationError, IncompatibleCheckpointError
from millstream.recovery.matching import match_tables
from millstream.state.table_identity import TableIdentity


def state(name: str | None = None, operator: str = "map_with_state", at: int = 1, **more: Any) -> TableIdentity:
    table = name if name is not None else f"{operator}-{at}"
    return TableIdentity(table, operator, name, "state", 2, "plain", more.pop("was", None), f"app.py:{at}", **more)


def window(name: str | None = None, operator: str = "window", at: int = 1) -> list[TableIdentity]:
    return [replace(state(name, operator, at), kind="window", partitions=1)]


def inverse(name: str | None = None, operator: str = "reduce_by_key_and_window", at: int = 1) -> list[TableIdentity]:
    running = replace(state(name, operator, at), kind="running")
    return [running, replace(running, table=running.table + ".parts", kind="window", partitions=1)]


def test_an_unchanged_program_goes_on_with_everything() -> None:
    tables = [state("a"), state(at=3), *inverse("w"), *inverse(at=7), *window(at=9)]
    matching = match_tables(tables, tables)
    assert matching.pairs == {table.table: table.table for table in tables}
    assert (matching.dropped, matching.started_empty) == ((), ())


def test_names_match_wherever_the_operators_stand() -> None:
    matching = match_tables([state("a", at=1), state("b", at=2)], [state("b", at=8), state("a", at=9)])
    assert matching.pairs == {"a": "a", "b": "b"}


def test_a_new_operator_starts_empty_while_nothing_is_left_over() -> None:
    matching = match_tables([state("a")], [state("a"), state("b"), *window("c"), state(at=4)])
    assert matching.pairs == {"a": "a"}
    assert matching.started_empty == ("b", "c", "map_with_state-4")


def test_operators_without_a_name_match_by_their_order_whatever_stands_between() -> None:
    matching = match_tables([state(at=3), *inverse(at=5)], [state(at=4), *inverse(at=7), state("new", at=9)])
    assert matching.pairs == {
        "map_with_state-4": "map_with_state-3",
        "reduce_by_key_and_window-7": "reduce_by_key_and_window-5",
        "reduce_by_key_and_window-7.parts": "reduce_by_key_and_window-5.parts",
    }


@pytest.mark.parametrize(
    "program",
    [
        [state(at=3), state(at=4)],
        [state(operator="update_state_by_key", at=3)],
        [*window(at=2), state(at=3)],
    ],
)
def test_a_changed_list_of_operators_without_a_name_is_refused(program: list[TableIdentity]) -> None:
    for on_unmatched in ("fail", "drop"):
        with pytest.raises(IncompatibleCheckpointError, match="has no name"):
            match_tables([state(at=3)], program, on_unmatched)
    matching = match_tables([state(at=3)], program, "start_empty")
    assert matching.pairs == {}
    assert matching.dropped == ("map_with_state-3",)
    assert matching.started_empty == tuple(table.table for table in program)


def test_a_renamed_operator_takes_its_state_along() -> None:
    assert match_tables([state("a")], [state("b", was="a")]).pairs == {"b": "a"}
    assert match_tables([state("b")], [state("b", was="a")]).pairs == {"b": "b"}
    both = match_tables([state("a")], [state("a", at=8), state("b", was="a")])
    assert both.pairs == {"b": "a"}
    assert both.started_empty == ("a",)


def test_an_operator_gets_its_first_name_by_its_id() -> None:
    stored = [state(at=3), state(at=5)]
    program = [state("first", at=3, was="map_with_state-3"), state(at=5)]
    assert match_tables(stored, program).pairs == {"first": "map_with_state-3", "map_with_state-5": "map_with_state-5"}


def test_two_operators_cannot_have_been_one() -> None:
    with pytest.raises(ConfigurationError, match="Two operators say that they were 'a'"):
        match_tables([state("a")], [state("b", was="a"), state("c", was="a")])


def test_state_that_nobody_claims_is_lost_only_when_asked_for() -> None:
    stored, program = [state("a", at=4), state("b", at=5)], [state("b", at=6), state("c", at=7)]
    with pytest.raises(IncompatibleCheckpointError) as raised:
        match_tables(stored, program)
    assert str(raised.value).splitlines() == [
        "The stateful operators of the program are not those of the checkpoint.",
        "Detail: ",
        "  in the checkpoint             | in the program                | verdict",
        "  map_with_state 'a' (app.py:4) | -                             | not in the program: its state would be lost",
        "  map_with_state 'b' (app.py:5) | map_with_state 'b' (app.py:6) | goes on",
        "  -                             | map_with_state 'c' (app.py:7) | is new",
        "Hint: Give operators the name= that they have in the checkpoint; where a name changed, or one had no name but "
        "an id in brackets, say so by state=ms.StateOptions(renamed_from=...), on_unmatched='drop' to drop the state "
        "of operators that are gone, or on_unmatched='start_empty' to start what cannot be matched without state.",
    ]
    matching = match_tables(stored, program, "drop")
    assert (matching.pairs, matching.dropped, matching.started_empty) == ({"b": "b"}, ("a",), ("c",))
    assert match_tables(stored, program, "start_empty") == matching


def test_a_name_that_is_another_operator_now_is_refused() -> None:
    stored, program = window("a"), [state("a")]
    for on_unmatched in ("fail", "drop"):
        with pytest.raises(IncompatibleCheckpointError, match="is another operator now"):
            match_tables(stored, program, on_unmatched)
    assert match_tables(stored, program, "start_empty").pairs == {}


def test_state_by_key_can_go_to_another_operator_of_that_kind() -> None:
    assert match_tables([state("a", "update_state_by_key")], [state("a")]).pairs == {"a": "a"}


def test_a_window_gains_and_loses_its_inverse() -> None:
    with_inverse, without = inverse("w"), window("w", "reduce_by_key_and_window")
    gained = match_tables(without, with_inverse)
    assert (gained.pairs, gained.started_empty) == ({"w.parts": "w"}, ("w",))
    lost = match_tables(with_inverse, without)
    assert (lost.pairs, lost.dropped) == ({"w": "w.parts"}, ("w",))


def test_there_is_no_other_way_to_treat_unmatched_state() -> None:
    with pytest.raises(ConfigurationError, match="unmatched"):
        match_tables([], [], "ignore")  # type: ignore[arg-type]

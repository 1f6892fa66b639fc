"""An operator that is changed between two runs, or what stands around it: what its state in the checkpoint does."""

from __future__ import annotations

import sys
from operator import add, sub
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.integration.recovery.runs import Build, Runs

import millstream as ms
from millstream.errors import IncompatibleCheckpointError


def summed(pairs: ms.DStream[Any], name: str | None = "sums", **options: Any) -> ms.DStream[Any]:
    return pairs.update_state_by_key(lambda values, old: (old or 0) + sum(values), name=name, **options)


def test_a_function_with_another_body_goes_on_with_the_state(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    assert runs.run(summed, [3, 6]) == [[(0, 3)], [(0, 9)]]
    less: Build = lambda pairs: pairs.update_state_by_key(  # noqa: E731 - goes by value
        lambda values, old: (old or 0) - sum(values), name="sums"
    )
    assert runs.run(less, [3]) == [[(0, 6)]]


AROUND: list[Build] = [
    lambda pairs: pairs.filter(lambda pair: True).repartition(3),
    lambda pairs: pairs.map_values(lambda n: n).reduce_by_key(add),
    lambda pairs: pairs.union(pairs.filter(lambda pair: False)),
]


@pytest.mark.parametrize("name", ["sums", None])
def test_operators_without_state_come_go_and_move(name: str | None, tmp_path: Path) -> None:
    """Neither do operators without a name notice, nor windows behind them."""

    def recent(pairs: ms.DStream[Any]) -> ms.DStream[Any]:
        return pairs.reduce_by_key_and_window(add, sub, window=4, slide=1, name=name and "recent")

    def both(pairs: ms.DStream[Any]) -> ms.DStream[Any]:
        return summed(pairs, name).join(recent(pairs))

    undisturbed = Runs(tmp_path / "a").run(both, range(8))
    runs = Runs(tmp_path / "b")
    given = runs.run(both, range(3))
    for n, around in enumerate(AROUND, 3):

        def changed(pairs: ms.DStream[Any], around: Build = around) -> ms.DStream[Any]:
            pairs.count().collect_to([])
            return summed(around(pairs), name).map(lambda pair: pair).join(around(recent(pairs)))

        given += runs.run(changed, [n])
    given += runs.run(both, range(6, 8))
    assert given == undisturbed


def test_an_operator_that_is_new_has_its_initial_state_and_keeps_it(tmp_path: Path) -> None:
    def both(initial: int) -> Build:
        return lambda pairs: summed(pairs).join(summed(pairs, "more", initial_state=[(0, initial)]))

    runs = Runs(tmp_path)
    assert runs.run(summed, [3]) == [[(0, 3)]]
    assert runs.run(both(100), [6]) == [[(0, (9, 106))]]
    assert runs.run(both(200), [9]) == [[(0, (18, 115))]]


def _count(key: Any, value: int | None, state: ms.State[int]) -> tuple[Any, Any]:
    if value is None:
        return key, "out"
    state.update(state.get(0) + value)
    return key, state.get()


def timed(timeout: float | None) -> Build:
    spec = ms.StateSpec(_count, timeout=timeout)
    return lambda pairs: pairs.map_with_state(spec, name="timed")


def test_another_timeout_counts_at_once(tmp_path: Path) -> None:
    """The key 0 had its only record in the first batch; what passes then are batches of the key 1."""
    runs = Runs(tmp_path)
    assert runs.run(timed(100.0), [3, 1, 1, 1]) == [[(0, 3)], [(1, 1)], [(1, 2)], [(1, 3)]]
    assert runs.run(timed(6.0), [1]) == [[(1, 4)]]
    assert runs.run(timed(3.0), [1]) == [[(0, "out"), (1, 5)]]


def test_a_longer_timeout_counts_at_once(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    assert runs.run(timed(2.0), [3, 1, 1]) == [[(0, 3)], [(1, 1)], [(1, 2)]]
    assert runs.run(timed(4.0), [1, 1, 1]) == [[(1, 3)], [(1, 4)], [(0, "out"), (1, 5)]]


def test_a_timeout_that_is_added_counts_from_the_restart_and_one_that_is_gone_not_at_all(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    assert runs.run(timed(None), [3, 1, 1, 1])[-1] == [(1, 3)]
    assert runs.run(timed(1.5), [1, 1]) == [[(1, 4)], [(0, "out"), (1, 5)]]
    assert runs.run(timed(None), [3, 3, 3, 3]) == [[(0, 3)], [(0, 6)], [(0, 9)], [(0, 12)]]
    assert runs.run(timed(None), [1]) == [[(1, 6)]]


def test_state_by_key_goes_from_one_operator_to_the_other_and_back(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    mapped: Build = lambda pairs: pairs.map_with_state(_count, name="sums")  # noqa: E731 - goes by value
    assert runs.run(summed, [3, 4])[-1] == [(0, 3), (1, 4)]
    assert runs.run(mapped, [3]) == [[(0, 6)]]
    assert runs.run(summed, [4]) == [[(0, 6), (1, 8)]]


def test_windows_of_another_length_and_slide_go_on(tmp_path: Path) -> None:
    def window(length: float, slide: float = 1.0) -> Build:
        return lambda pairs: pairs.map(lambda pair: (0, pair[1])).reduce_by_key_and_window(
            add, sub, window=length, slide=slide, name="recent"
        )

    runs = Runs(tmp_path)
    assert runs.run(window(4), [1, 2, 4, 8])[-1] == [(0, 15)]
    assert runs.run(window(2), [16]) == [[(0, 24)]]
    # What the shorter one let go does not come back: it fills up.
    assert runs.run(window(4), [32, 64]) == [[(0, 56)], [(0, 120)]]
    # A slide of 2 s is due in every other batch.
    assert runs.run(window(4, 2.0), [128, 256]) == [[(0, 240)]]
    assert runs.run(window(4), [512]) == [[(0, 960)]]


def test_plain_state_is_pickled_and_then_plain_again(tmp_path: Path) -> None:
    def coded(**options: Any) -> Build:
        return lambda pairs: summed(pairs, state=ms.StateOptions(**options))

    runs = Runs(tmp_path)
    assert runs.run(summed, [3]) == [[(0, 3)]]
    assert runs.run(coded(codec="pickle"), [3]) == [[(0, 6)]]
    with pytest.raises(IncompatibleCheckpointError, match="holds a pickle"):
        runs.run(summed, [3])
    assert runs.run(coded(unpickle=True), [3]) == [[(0, 9)]]
    assert runs.run(summed, [3]) == [[(0, 12)]]


FIELDS = """
from dataclasses import dataclass
@dataclass(frozen=True, order=True)
class Account:
    total: int
"""
MORE_FIELDS = f"{FIELDS}    rides: int = 0\n"
OTHER_FIELDS = f"""{FIELDS.replace("total", "sum")}
    @staticmethod
    def __upgrade_fields__(fields):
        return {{"sum": fields["total"]}}
"""


def put_module(monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> Any:
    """Have a module of the program be there, with the code that it has now."""
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(code, vars(module))
    return module


def booked(account: Any, **options: Any) -> Build:
    """Keep the total in the first field of a class."""
    (total, *_) = account.__dataclass_fields__

    def book(values: list[int], old: Any) -> Any:
        return account(sum(values) + (0 if old is None else getattr(old, total)))

    return lambda pairs: pairs.update_state_by_key(book, name="accounts", state=ms.StateOptions(**options))


def test_a_class_that_moved_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(tmp_path)
    old = put_module(monkeypatch, "accounts_of_old", FIELDS)
    assert runs.run(booked(old.Account), [3]) == [[(0, old.Account(3))]]
    monkeypatch.delitem(sys.modules, "accounts_of_old")
    new = put_module(monkeypatch, "accounts_of_today", FIELDS)
    with pytest.raises(IncompatibleCheckpointError, match="accounts_of_old:Account"):
        runs.run(booked(new.Account), [6])
    for n, total in ((6, 9), (9, 18)):
        assert runs.run(booked(new.Account, types=[new.Account]), [n]) == [[(0, new.Account(total))]]


def test_a_dataclass_gains_a_field_with_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(tmp_path)
    before = put_module(monkeypatch, "accounts", FIELDS)
    assert runs.run(booked(before.Account), [3, 4])[-1] == [(0, before.Account(3)), (1, before.Account(4))]
    after = put_module(monkeypatch, "accounts", MORE_FIELDS)

    def counted(values: list[int], old: Any) -> Any:
        old = old or after.Account(0)
        return after.Account(old.total + sum(values), old.rides + len(values))

    build: Build = lambda pairs: pairs.update_state_by_key(counted, name="accounts")  # noqa: E731 - goes by value
    assert runs.run(build, [6]) == [[(0, after.Account(9, 1)), (1, after.Account(4, 0))]]
    assert runs.run(build, [6]) == [[(0, after.Account(15, 2)), (1, after.Account(4, 0))]]


def test_a_dataclass_loses_a_field_only_where_it_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(tmp_path)
    before = put_module(monkeypatch, "accounts", MORE_FIELDS)
    assert runs.run(booked(before.Account), [3]) == [[(0, before.Account(3))]]
    fewer = put_module(monkeypatch, "accounts", FIELDS)
    with pytest.raises(IncompatibleCheckpointError, match="rides"):
        runs.run(booked(fewer.Account), [6])
    other = put_module(monkeypatch, "accounts", OTHER_FIELDS)
    assert runs.run(booked(other.Account), [6]) == [[(0, other.Account(9))]]

"""A program that is changed between two runs goes on with its state, or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from operator import add, sub
from pathlib import Path
from typing import Any

import pytest
from tests.integration.recovery.runs import Build, Runs

import millstream as ms
from millstream.errors import IncompatibleCheckpointError, UserCodeError


def _sum(values: list[int], old: int | None) -> int:
    return (old or 0) + sum(values)


def sums(name: str | None = "sums", **options: Any) -> Build:
    state = ms.StateOptions(**options) if options else None
    return lambda pairs: pairs.update_state_by_key(_sum, name=name, state=state)


def window(**options: Any) -> Build:
    return lambda pairs: pairs.reduce_by_key_and_window(add, sub, window=4, slide=1, name="sums", **options)


@pytest.mark.parametrize("build", [sums(), sums(None), window(), lambda pairs: pairs.window(3).reduce_by_key(add)])
def test_partitions_backends_and_workers_change_from_run_to_run(tmp_path: Path, build: Build) -> None:
    undisturbed = Runs(tmp_path / "a").run(build, range(12))
    runs = Runs(tmp_path / "b")
    given = runs.run(build, range(3), partitions=2)
    given += runs.run(build, range(3, 5), partitions=5)
    given += runs.run(build, range(5, 7), partitions=3, backend="processes", workers=2)
    given += runs.run(build, range(7, 9), partitions=3, backend="processes", workers=1)
    given += runs.run(build, range(9, 10), partitions=1)
    given += runs.run(build, range(10, 12), partitions=4)
    assert given == undisturbed


def test_an_operator_gets_a_name_and_then_another_one(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    assert runs.run(sums(None), [3, 6]) == [[(0, 3)], [(0, 9)]]
    with pytest.raises(IncompatibleCheckpointError, match=r"update_state_by_key \[update_state_by_key-2\]"):
        runs.run(sums("totals"), [9])
    assert runs.run(sums("totals", renamed_from="update_state_by_key-2"), [9]) == [[(0, 18)]]
    assert runs.run(sums("totals"), [12]) == [[(0, 30)]]
    assert runs.run(sums("sums", renamed_from="totals"), [15]) == [[(0, 45)]]
    assert runs.run(sums("sums", renamed_from="totals"), [18]) == [[(0, 63)]]


def both(pairs: ms.DStream[Any]) -> ms.DStream[Any]:
    return sums("first")(pairs).join(sums("second")(pairs))


def test_an_operator_is_added_and_removed(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    assert runs.run(sums("first"), [3]) == [[(0, 3)]]
    assert runs.run(both, [6]) == [[(0, (9, 6))]]
    with pytest.raises(IncompatibleCheckpointError, match="its state would be lost"):
        runs.run(sums("second"), [9])
    assert runs.run(sums("second"), [9], on_unmatched="drop") == [[(0, 15)]]
    # What was dropped does not come back.
    assert runs.run(both, [12]) == [[(0, (12, 27))]]


def test_values_are_migrated_once_and_a_failure_leaves_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    def entry(values: list[int], old: list[int] | None) -> list[int]:
        return [(old or [0])[0] + sum(values)]

    def entries(migrate: Callable[..., Any]) -> Build:
        options = ms.StateOptions(version=2, migrate=migrate)
        return lambda pairs: pairs.update_state_by_key(entry, name="sums", state=options)

    runs = Runs(tmp_path)
    assert runs.run(sums(), [3, 4]) == [[(0, 3)], [(0, 3), (1, 4)]]
    with pytest.raises(UserCodeError, match="migrate function"):
        runs.run(entries(lambda old: 1 // 0), [5])
    assert runs.run(sums(), [5]) == [[(0, 3), (1, 4), (2, 5)]]
    assert runs.run(entries(lambda old: [old * 10]), [6]) == [[(0, [36]), (1, [40]), (2, [50])]]
    assert runs.run(entries(lambda old: 1 // 0), [7]) == [[(0, [36]), (1, [47]), (2, [50])]]
    with pytest.raises(IncompatibleCheckpointError, match="version 2, this program version 1"):
        runs.run(sums(), [8])


def test_a_window_changes_its_form(tmp_path: Path) -> None:
    undisturbed = Runs(tmp_path / "a").run(window(), range(12))
    runs = Runs(tmp_path / "b")

    def without(pairs: ms.DStream[Any]) -> ms.DStream[Any]:
        return pairs.reduce_by_key_and_window(add, window=4, slide=1, name="sums")

    given = runs.run(window(), range(4))
    given += runs.run(without, range(4, 6))
    given += runs.run(window(filter=lambda pair: True), range(6, 8))
    given += runs.run(without, range(8, 9))
    given += runs.run(window(), range(9, 12))
    assert given == undisturbed


def test_a_state_that_cannot_be_kept_ends_the_run_before_its_batch(tmp_path: Path) -> None:
    def kept(pairs: ms.DStream[Any]) -> ms.DStream[Any]:
        return pairs.update_state_by_key(lambda values, old: print if 5 in values else values or old, name="kept")

    runs = Runs(tmp_path)
    with pytest.raises(UserCodeError, match="cannot be kept in the checkpoint") as raised:
        runs.run(kept, [3, 5, 6], retry_pause=0.001)
    assert "The state of the key 2" in str(raised.value)

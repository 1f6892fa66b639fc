from __future__ import annotations

import pickle
import subprocess
import sys
from operator import add

import pytest

from millstream.errors import LifecycleError, UserCodeError
from millstream.model.accumulator import (
    Accumulator,
    apply_accumulators,
    collecting_additions,
    drain_accumulators,
)


def test_the_driver_adds_at_once() -> None:
    total = Accumulator(1)
    total.add(2)
    total += 3
    assert total.value == 6


def test_a_task_adds_when_it_has_succeeded() -> None:
    total, largest = Accumulator(0), Accumulator(0, max)
    with collecting_additions():
        total.add(1)
        largest.add(5)
        total.add(2)
        largest.add(3)
        with pytest.raises(LifecycleError, match="inside a task"):
            _ = total.value
    assert total.value == 0
    additions = drain_accumulators()
    assert additions == [(total.number, 3), (largest.number, 5)]
    assert drain_accumulators() == []
    apply_accumulators(additions)
    assert (total.value, largest.value) == (3, 5)


def test_a_task_that_failed_added_nothing() -> None:
    total = Accumulator(0)

    def failing() -> None:
        with collecting_additions():
            total.add(1)
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert drain_accumulators() == []
    total.add(2)
    assert total.value == 2


def test_a_task_inside_a_task_counts_by_itself() -> None:
    total = Accumulator(0)

    def failing() -> None:
        with collecting_additions():
            total.add(1)
            with collecting_additions():
                total.add(10)
            apply_accumulators(drain_accumulators())
            total.add(1)
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert total.value == 10


def test_the_initial_value_stays_the_callers() -> None:
    initial: list[int] = []

    def extended(left: list[int], right: list[int]) -> list[int]:
        left.extend(right)
        return left

    total = Accumulator(initial, extended)
    total.add([1])
    assert (initial, total.value) == ([], [1])


def test_an_accumulator_that_is_gone_is_passed_over() -> None:
    apply_accumulators([(-1, 5)])


def test_a_function_that_raises_is_the_users_error() -> None:
    total = Accumulator(0)
    with pytest.raises(UserCodeError, match="TypeError") as raised:
        total.add("x")  # type: ignore[arg-type]
    assert raised.value.operator == "accumulator"
    assert total.value == 0


def test_it_comes_home_as_itself() -> None:
    total = Accumulator(0)
    assert pickle.loads(pickle.dumps(total)) is total


def test_in_another_process_it_only_collects() -> None:
    total = Accumulator(0, add)
    program = """
import pickle, sys
from millstream.model.accumulator import collecting_additions, drain_accumulators
from millstream.errors import LifecycleError
total = pickle.loads(sys.stdin.buffer.read())
with collecting_additions():
    total.add(2)
    total += 3
for refused in (lambda: total.value, lambda: total.add(1)):
    try:
        refused()
    except LifecycleError:
        pass
    else:
        raise AssertionError
sys.stdout.buffer.write(pickle.dumps(drain_accumulators()))
"""
    done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(total), capture_output=True, check=True)
    apply_accumulators(pickle.loads(done.stdout))
    assert total.value == 5

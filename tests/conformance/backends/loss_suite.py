"""What the engine relies on in backends whose executors can die while the program lives."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable
from operator import add
from pathlib import Path
from typing import Any, ClassVar

import pytest

from millstream.errors import BackendUnavailableError, UserCodeError
from millstream.execution.backend import Backend
from millstream.execution.scheduler import Scheduler
from millstream.model.accumulator import Accumulator
from millstream.model.batch import Batch
from millstream.model.broadcast import Broadcast
from millstream.model.partition import lasting
from millstream.rdd.exchange import CombineByKey
from millstream.rdd.lineage import Held, Narrow, Shuffled
from millstream.rdd.operations import Collect, Count, Map
from millstream.rdd.partitioner import KeyGroups
from millstream.state.map_with_state import MapWithState
from millstream.state.update_state_by_key import UpdateStateByKey
from tests.conformance.backends.backend_suite import (
    PARTITIONS,
    BackendSuite,
    StatefulProgram,
    at,
    mark,
    marked,
    rows,
    summed,
)

LIMIT = 3
"""How many executors may die in one stage of the backends under test."""

KEYS = "abcdefgh"


def fatal(marks: Path, deaths: int = 1) -> Callable[[], None]:
    """Make a function that kills its process at its first calls, wherever these come from."""

    def die() -> None:
        # Executors call this at the same time: who counts holds the lock, and death lets go of it.
        descriptor = os.open(marks, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_size < deaths:
            os.write(descriptor, b".")
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(descriptor)

    return die


class LossSuite(BackendSuite):
    """Executors are killed in the middle of their work.

    Attributes:
        executors: how many the backend has.
    """

    executors: ClassVar[int]

    @pytest.fixture
    def marks(self, tmp_path: Path) -> Path:
        """Where functions note that they killed."""
        return tmp_path / "deaths"

    @pytest.mark.parametrize("deaths", [1, LIMIT])
    def test_its_tasks_run_again(self, scheduler: Scheduler, marks: Path, deaths: int) -> None:
        die = fatal(marks, deaths)

        def mapped(x: int) -> int:
            if x == 3:
                die()
            return x * 2

        lineage = Narrow(Held([[1, 2], [3], [4], [5]]), Map(mapped, at("map")))
        assert scheduler.run(lineage, Collect()) == [[2, 4], [6], [8], [10]]
        assert marked(marks) == deaths
        assert scheduler.run(lineage, Collect()) == [[2, 4], [6], [8], [10]]

    def test_in_a_shuffle(self, scheduler: Scheduler, marks: Path) -> None:
        die = fatal(marks, 2)

        def merged(a: int, b: int) -> int:
            die()
            return a + b

        exchange = CombineByKey(KeyGroups(PARTITIONS), None, add, merged, at("reduce_by_key"))
        lineage = Shuffled([Held([[(key, 1) for key in KEYS] for _ in range(4)])], exchange)
        assert sorted(rows(scheduler.run(lineage, Collect()))) == [(key, 4) for key in KEYS]
        assert marked(marks) == 2

    def test_more_often_than_the_limit(self, scheduler: Scheduler, marks: Path) -> None:
        die = fatal(marks, 1_000)

        def mapped(x: int) -> int:
            if x == 3:
                die()
            return x

        with pytest.raises(BackendUnavailableError, match=f"died {LIMIT + 1} times") as raised:
            scheduler.run(Narrow(Held([[1], [2], [3]]), Map(mapped, at("map"))), Collect())
        assert "partition 2 of map (app.py:1)" in str(raised.value)
        assert "signal 9 (SIGKILL)" in str(raised.value)
        assert scheduler.run(Held([[1], [2]]), Collect()) == [[1], [2]]

    def test_additions_count_once(self, scheduler: Scheduler, marks: Path) -> None:
        die = fatal(marks)
        total = Accumulator(0)

        def counted(x: int) -> int:
            total.add(x)
            if x == 3:
                die()
            return x

        scheduler.run(Narrow(Held([[1], [2], [3, 4], [5]]), Map(counted, at("map"))), Count())
        assert marked(marks) == 1
        assert total.value == 15

    def test_broadcasts_reach_the_successor(self, scheduler: Scheduler, marks: Path) -> None:
        die = fatal(marks)
        factor = Broadcast(10)

        def multiplied(x: int) -> int:
            if x == 2:
                die()
            return x * factor.value

        lineage = Narrow(Held([[1], [2]]), Map(multiplied, at("map")))
        assert scheduler.run(lineage, Collect()) == [[10], [20]]
        assert marked(marks) == 1

    def test_kept_data_is_there_afterwards(self, scheduler: Scheduler, marks: Path) -> None:
        die = fatal(marks)
        kept = Narrow(Held([[1], [2], [3]]), Map(lambda x: x + 10, at("map")))
        kept.keep()
        scheduler.keep(kept)

        def mapped(x: int) -> int:
            die()
            return x * 2

        for _ in range(2):
            assert scheduler.run(Narrow(kept, Map(mapped, at("map"))), Collect()) == [[22], [24], [26]]
        assert marked(marks) == 1

    def test_killed_while_it_holds_state(self, backend: Backend, marks: Path) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        for number in range(1, 4):
            program.batch(number * 1_000, [(key, number) for key in KEYS])
        self.kill_all(backend, marks)
        assert program.batch(4_000, [("a", 10)]) == [("a", 16), *((key, 6) for key in KEYS[1:])]

    def test_killed_in_a_step(self, backend: Backend, marks: Path) -> None:
        die = fatal(marks, 2)

        def updated(values: list[int], old: int | None) -> int:
            if 7 in values:
                die()
            return (old or 0) + sum(values)

        program = StatefulProgram(backend, UpdateStateByKey(updated, at("update_state_by_key")))
        program.batch(1_000, [(key, 1) for key in KEYS])
        assert program.batch(2_000, [(key, 7) for key in KEYS]) == [(key, 8) for key in KEYS]
        assert marked(marks) == 2
        assert program.batch(3_000, []) == [(key, 8) for key in KEYS]

    def test_rolled_back_after_a_loss(self, backend: Backend, marks: Path) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        program.batch(1_000, [(key, 1) for key in KEYS])
        program.begin(2_000, [(key, 5) for key in KEYS])
        self.kill_all(backend, marks)
        backend.roll_back_state(2_000)
        assert program.begin(2_000, [("a", 2)], attempt=1) == [("a", 3), *((key, 1) for key in KEYS[1:])]
        backend.commit_state(2_000)
        assert program.batch(3_000, []) == [("a", 3), *((key, 1) for key in KEYS[1:])]

    def test_rolled_back_by_the_successor(self, backend: Backend, marks: Path) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        program.batch(1_000, [(key, 1) for key in KEYS])
        program.begin(2_000, [(key, 5) for key in KEYS])
        self.kill_all(backend, marks)
        Scheduler(backend).run(Narrow(Held([[0]] * self.executors), Map(abs, at("map"))), Count())
        backend.roll_back_state(2_000)
        assert program.batch(2_000, []) == [(key, 1) for key in KEYS]

    def test_committed_after_a_loss(self, backend: Backend, marks: Path) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        program.begin(1_000, [(key, 1) for key in KEYS])
        program.begin(2_000, [(key, 1) for key in KEYS])
        self.kill_all(backend, marks)
        backend.commit_state(1_000)
        backend.commit_state(2_000)
        self.kill_all(backend, marks)
        assert program.batch(3_000, []) == [(key, 2) for key in KEYS]

    def test_timeouts_after_a_loss(self, backend: Backend, marks: Path) -> None:
        def running(key: str, value: int | None, state: Any) -> tuple[str, Any]:
            if value is None:
                return key, "timed out"
            state.update(state.get(0) + value)
            return key, state.get()

        program = StatefulProgram(backend, MapWithState(running, at("map_with_state"), timeout_ms=1_500))
        program.batch(1_000, [("a", 1), ("b", 1)])
        program.batch(2_000, [("a", 1)])
        self.kill_all(backend, marks)
        assert program.batch(3_000, []) == [("b", "timed out")]
        self.kill_all(backend, marks)
        assert program.batch(4_000, [("b", 5)]) == [("a", "timed out"), ("b", 5)]

    def test_state_restored_from_a_snapshot(self, backend: Backend, marks: Path) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key"), only_updated=True))
        keys = [f"key {n:04} {'x' * 40}" for n in range(3_000)]
        for number in range(1, 12):
            program.batch(number * 1_000, [(key, 1) for key in keys])
        program.batch(12_000, [(key, -11) for key in keys[:10]])
        self.kill_all(backend, marks)
        assert program.batch(13_000, []) == [(key, 11) for key in keys[10:]]

    def test_rows_of_state_after_a_loss(self, backend: Backend, marks: Path) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        program.batch(1_000, [("a", 1), ("b", 2)])
        backend.begin_state(2_000)
        scheduler = Scheduler(backend, Batch(2_000))
        lineage = program.stepped([("a", 5)])
        parts = scheduler.keep(lineage)
        self.kill_all(backend, marks)
        assert sorted(rows(scheduler.run(lineage, Collect()))) == [("a", 6), ("b", 2)]
        self.kill_all(backend, marks)
        parts = [lasting(part) for part in parts]
        backend.commit_state(2_000)
        self.kill_all(backend, marks)
        assert sorted(rows(parts)) == [("a", 6), ("b", 2)]

    def test_an_error_beside_a_loss(self, scheduler: Scheduler, marks: Path) -> None:
        die = fatal(marks)

        def mapped(x: int) -> float:
            if x == 1:
                die()
            return 1 / x

        with pytest.raises(UserCodeError):
            scheduler.run(Narrow(Held([[1], [0]]), Map(mapped, at("map"))), Collect())
        assert marked(marks) == 1

    def kill_all(self, backend: Backend, marks: Path) -> None:
        """Kill every executor, outside any batch."""
        for number in range(self.executors):
            one = marks.with_name(f"{marks.name}-{marks.stat().st_size if marks.exists() else 0}-{number}")
            die = fatal(one)

            def mapped(x: int, die: Callable[[], None] = die) -> int:
                die()
                return x

            parts: list[list[int]] = [[]] * number + [[0]]
            assert Scheduler(backend).run(Narrow(Held(parts), Map(mapped, at("map"))), Count())[-1] == 1
            assert marked(one) == 1
        mark(marks)

"""What the engine relies on in every backend.

Make a subclass whose name begins with `Test`, say how to make the backend, and let pytest collect it. Functions
here use nothing of this module that would have to be imported where they run, and leave marks only in files.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from operator import add, sub
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millstream.errors import ArgumentTypeError, LifecycleError, UserCodeError
from millstream.execution.backend import Backend
from millstream.execution.scheduler import Scheduler
from millstream.model.accumulator import Accumulator
from millstream.model.batch import Batch, BatchInput
from millstream.model.broadcast import Broadcast
from millstream.model.current import batch_time
from millstream.model.label import Label
from millstream.model.offset_range import OffsetRange
from millstream.model.partition import Columns, lasting, rows_of
from millstream.rdd.exchange import (
    ByKey,
    Cogroup,
    CombineByKey,
    CountAll,
    CountValuesByKey,
    Distinct,
    Exchange,
    GroupByKey,
    RoundRobin,
    SortByKey,
)
from millstream.rdd.lineage import (
    Coalesced,
    Held,
    Lineage,
    Merged,
    Narrow,
    Shuffled,
    SplitsRead,
    Stepped,
    Union,
)
from millstream.rdd.operations import (
    Apply,
    ApplyPartition,
    Collect,
    Count,
    CountValues,
    Filter,
    FlatMap,
    FlatMapValues,
    Glom,
    KeyBy,
    Keys,
    Map,
    MapPartitions,
    MapValues,
    Values,
)
from millstream.rdd.partitioner import ByRange, KeyGroups
from millstream.state.inverse_window import InverseWindow
from millstream.state.map_with_state import MapWithState
from millstream.state.snapshots import StateSnapshots
from millstream.state.step import StateStep
from millstream.state.update_state_by_key import UpdateStateByKey
from millstream.testing.conformance import ListSource

PARTITIONS = 3
"""More than the workers of most backends under test, so that some have two."""

PAIRS = [[("a", 1), ("b", 2), ("c", 3)], [("a", 4), ("d", 5)], [], [("b", 6), ("a", 7), ("e", 8)]]


def at(operator: str) -> Label:
    """A label as the program's operators have."""
    return Label(operator, None, "app.py:1")


def rows(parts: Sequence[Any]) -> list[Any]:
    """All rows of all partitions."""
    return [row for part in parts for row in rows_of(part)]


def marked(path: Path) -> int:
    """How many marks the calls of a function have left."""
    return path.stat().st_size if path.exists() else 0


def mark(path: Path) -> None:
    """Leave a mark, from whichever process."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b".")
    os.close(descriptor)


class StatefulProgram:
    """One state step over pairs, batch after batch, as the engine drives it."""

    def __init__(self, backend: Backend, step: StateStep, partitions: int = PARTITIONS) -> None:
        self.backend = backend
        self.step = step
        self.partitioner = KeyGroups(partitions)
        self.exchange = ByKey(self.partitioner, at("update"))

    def stepped(self, *inputs: list[Any], operator_id: str = "state") -> Stepped:
        """The lineage of one batch."""
        spread: list[list[Lineage]] = [[Shuffled([Held([pairs])], self.exchange)] for pairs in inputs]
        return Stepped(spread, self.step, operator_id, self.partitioner)

    def begin(self, batch_ms: int, *inputs: list[Any], attempt: int = 0) -> list[Any]:
        """Run a batch without deciding about it; gives its rows, sorted."""
        self.backend.begin_state(batch_ms)
        return self.give(batch_ms, self.stepped(*inputs), attempt)

    def give(self, batch_ms: int, lineage: Lineage, attempt: int = 0) -> list[Any]:
        """Compute the rows of a lineage of a batch, sorted."""
        scheduler = Scheduler(self.backend, Batch(batch_ms, attempt))
        scheduler.keep(lineage)
        return sorted(rows(scheduler.run(lineage, Collect())))

    def batch(self, batch_ms: int, *inputs: list[Any]) -> list[Any]:
        """Run a batch to its end."""
        given = self.begin(batch_ms, *inputs)
        self.backend.commit_state(batch_ms)
        return given


def summed(values: list[int], old: int | None) -> int | None:
    """A state function: the running sum, gone when it is 0."""
    return (old or 0) + sum(values) or None


class BackendSuite(ABC):
    """Tests of one implementation of `Backend`. One backend serves all tests; each leaves it without state."""

    @classmethod
    @abstractmethod
    def make_backend(cls) -> Backend:
        """Make a backend."""

    @pytest.fixture(scope="class")
    @classmethod
    def shared_backend(cls) -> Iterator[Backend]:
        """The backend of all tests of the class."""
        backend = cls.make_backend()
        yield backend
        backend.close()

    @pytest.fixture
    def backend(self, shared_backend: Backend) -> Iterator[Backend]:
        """The backend, without state."""
        shared_backend.drop_state()
        yield shared_backend
        shared_backend.drop_state()

    @pytest.fixture
    def scheduler(self, backend: Backend) -> Scheduler:
        """A scheduler of a batch program."""
        return Scheduler(backend)


class LineageTests(BackendSuite):
    """Every kind of node gives its rows, partition by partition."""

    def collect(self, scheduler: Scheduler, lineage: Lineage) -> list[list[Any]]:
        return scheduler.run(lineage, Collect())

    def test_held_rows(self, scheduler: Scheduler) -> None:
        given: list[Any] = [[1, "two", None], [], [(3.0, b"4")], range(2), (5, 6), {"k": 7}.items()]
        assert self.collect(scheduler, Held(given)) == [
            [1, "two", None],
            [],
            [(3.0, b"4")],
            [0, 1],
            [5, 6],
            [("k", 7)],
        ]

    def test_chosen_partitions_in_the_order_asked(self, scheduler: Scheduler) -> None:
        assert scheduler.run(Held([[0], [1], [2], [3]]), Collect(), [3, 0, 2]) == [[3], [0], [2]]

    def test_no_partitions(self, scheduler: Scheduler) -> None:
        assert scheduler.run(Held([]), Collect()) == []

    def test_columns_become_rows_where_asked(self, scheduler: Scheduler) -> None:
        lines = Columns(pa.table({"value": ["a b", "c"]}), scalar=True)
        table = Columns(pa.table({"x": [1, 2], "y": ["p", None]}), scalar=False)
        assert self.collect(scheduler, Held([lines, table])) == [
            ["a b", "c"],
            [{"x": 1, "y": "p"}, {"x": 2, "y": None}],
        ]
        words = Narrow(Held([lines]), FlatMap(str.split, at("flat_map")))
        assert self.collect(scheduler, words) == [["a", "b", "c"]]
        assert scheduler.run(Held([lines, table]), Count()) == [2, 2]

    def test_columns_stay_columns(self, scheduler: Scheduler) -> None:
        table = pa.table({"x": pa.array(range(10_000), pa.int32()), "y": ["p"] * 10_000})
        part = Columns(table.slice(10, 5_000), scalar=False)

        def described(batch: Batch | None, index: int, data: Any) -> Any:
            return index, type(data).__name__, data.table

        [given] = scheduler.run(Held([part]), ApplyPartition(described))
        assert given == (0, "Columns", part.table)

    @pytest.mark.parametrize(
        ("operation", "expected"),
        [
            (Map(lambda pair: pair[1], at("map")), [1, 2]),
            (FlatMap(lambda pair: [pair[0]] * pair[1], at("flat_map")), ["a", "b", "b"]),
            (Filter(lambda pair: pair[1] > 1, at("filter")), [("b", 2)]),
            (MapValues(lambda value: -value, at("map_values")), [("a", -1), ("b", -2)]),
            (FlatMapValues(range, at("flat_map_values")), [("a", 0), ("b", 0), ("b", 1)]),
            (KeyBy(lambda pair: pair[1], at("key_by")), [(1, ("a", 1)), (2, ("b", 2))]),
            (Keys(at("keys")), ["a", "b"]),
            (Values(at("values")), [1, 2]),
            (MapPartitions(lambda pairs: [len(list(pairs))], False, at("map_partitions")), [2]),
            (MapPartitions(lambda index, pairs: [index], True, at("map_partitions_with_index")), [0]),
            (Glom(at("glom")), [[("a", 1), ("b", 2)]]),
        ],
        ids=lambda case: type(case).__name__ if not isinstance(case, list) else "",
    )
    def test_narrow(self, scheduler: Scheduler, operation: Any, expected: list[Any]) -> None:
        assert self.collect(scheduler, Narrow(Held([[("a", 1), ("b", 2)]]), operation)) == [expected]

    def test_a_chain_of_narrow_nodes_with_variables(self, scheduler: Scheduler) -> None:
        factor, kept = 3, {2, 3}
        lineage = Narrow(Held([[1, 2], [3]]), Filter(lambda x: x in kept, at("filter")))
        assert self.collect(scheduler, Narrow(lineage, Map(lambda x: x * factor, at("map")))) == [[6], [9]]

    def test_union(self, scheduler: Scheduler) -> None:
        doubled = Narrow(Held([[1], [2]]), Map(lambda x: x * 2, at("map")))
        assert self.collect(scheduler, Union([doubled, Held([[3], [4], [5]])])) == [[2], [4], [3], [4], [5]]

    def test_coalesced(self, scheduler: Scheduler) -> None:
        doubled = Narrow(Held([[1], [2, 3], [4]]), Map(lambda x: x * 2, at("map")))
        assert self.collect(scheduler, Coalesced(doubled, [[0, 2], [1]])) == [[2, 8], [4, 6]]

    def test_splits_of_a_source_that_grows(self, scheduler: Scheduler) -> None:
        records = ["a", "b"]
        source = ListSource(records)
        first = source.plan(1_000, None, 1)
        assert self.collect(scheduler, SplitsRead(source, first.splits)) == [["a"]]
        records.append("c")
        second = source.plan(2_000, first.position, None)
        assert self.collect(scheduler, SplitsRead(source, second.splits)) == [["b", "c"]]

    @pytest.mark.parametrize(
        ("exchange", "pairs_of_each_key"),
        [
            (CombineByKey(KeyGroups(PARTITIONS), None, add, add, at("reduce_by_key")), {"a": 12, "b": 8}),
            (
                CombineByKey(KeyGroups(PARTITIONS), lambda v: [v], lambda c, v: [*c, v], add, at("combine_by_key")),
                {"a": [1, 4, 7], "b": [2, 6]},
            ),
            (GroupByKey(KeyGroups(PARTITIONS), at("group_by_key")), {"a": [1, 4, 7], "b": [2, 6]}),
            (Cogroup(KeyGroups(PARTITIONS), at("cogroup")), {"a": ([1, 4, 7],), "b": ([2, 6],)}),
        ],
        ids=["reduce", "combine", "group", "cogroup"],
    )
    def test_shuffled_by_key(self, scheduler: Scheduler, exchange: Exchange, pairs_of_each_key: dict[str, Any]) -> None:
        parts = self.collect(scheduler, Shuffled([Held(PAIRS)], exchange))
        assert len(parts) == PARTITIONS
        given = dict(rows(parts))
        assert given.keys() == set("abcde")
        assert {key: given[key] for key in "ab"} == pairs_of_each_key

    def test_shuffled_keeps_the_order_of_the_map_partitions(self, scheduler: Scheduler) -> None:
        parts = self.collect(scheduler, Shuffled([Held(PAIRS)], ByKey(KeyGroups(PARTITIONS), at("partition_by"))))
        assert sorted(rows(parts)) == sorted(rows(PAIRS))
        for part in parts:
            assert part == [pair for pair in rows(PAIRS) if pair in part]

    def test_shuffled_in_order(self, scheduler: Scheduler) -> None:
        numbers = Held([[(x * 7 % 101, x) for x in range(start, start + 50)] for start in (0, 50)])
        exchange = SortByKey(ByRange(PARTITIONS, ascending=True), at("sort_by_key"))
        parts = self.collect(scheduler, Shuffled([numbers], exchange))
        assert len(parts) == PARTITIONS
        assert rows(parts) == sorted(rows(numbers.parts))

    def test_shuffled_evenly(self, scheduler: Scheduler) -> None:
        parts = self.collect(scheduler, Shuffled([Held([[1, 2, 3, 4], [5]])], RoundRobin(2, at("repartition"))))
        assert sorted(rows(parts)) == [1, 2, 3, 4, 5]
        assert sorted(map(len, parts)) == [2, 3]

    def test_shuffled_counts(self, scheduler: Scheduler) -> None:
        words = Held([["a", "b", "a"], ["a"]])
        distinct = Shuffled([words], Distinct(KeyGroups(PARTITIONS), at("distinct")))
        counts = Shuffled([words], CountValuesByKey(KeyGroups(PARTITIONS), at("count_by_value")))
        total = Shuffled([words], CountAll(at("count")))
        assert sorted(rows(self.collect(scheduler, distinct))) == ["a", "b"]
        assert sorted(rows(self.collect(scheduler, counts))) == [("a", 3), ("b", 1)]
        assert rows(self.collect(scheduler, total)) == [4]

    def test_shuffled_from_two_parents(self, scheduler: Scheduler) -> None:
        left, right = Held([[("a", 1)], [("b", 2)]]), Held([[("a", 3), ("c", 4)]])
        joined = Shuffled([left, right], Cogroup(KeyGroups(PARTITIONS), at("cogroup")))
        assert sorted(rows(self.collect(scheduler, joined))) == [("a", ([1], [3])), ("b", ([2], [])), ("c", ([], [4]))]

    def test_merged_without_a_shuffle(self, scheduler: Scheduler) -> None:
        spread = CombineByKey(KeyGroups(PARTITIONS), None, add, add, at("reduce_by_key"))
        one, two = (Shuffled([Held([pairs])], spread) for pairs in (PAIRS[0], PAIRS[3]))
        merged = Merged([[one, two]], spread)
        assert sorted(rows(self.collect(scheduler, merged))) == [("a", 8), ("b", 8), ("c", 3), ("e", 8)]

    def test_shuffles_above_shuffles(self, scheduler: Scheduler) -> None:
        counts = Shuffled([Held(PAIRS)], CombineByKey(KeyGroups(2), None, add, add, at("reduce_by_key")))
        swapped = Narrow(counts, Map(lambda pair: (pair[1] % 2, pair[0]), at("map")))
        grouped = Shuffled([swapped], GroupByKey(KeyGroups(2), at("group_by_key")))
        given = {key: sorted(values) for key, values in rows(self.collect(scheduler, grouped))}
        assert given == {0: ["a", "b", "e"], 1: ["c", "d"]}


class EndTests(BackendSuite):
    """Results of actions."""

    def test_collect_stops_at_its_limit(self, scheduler: Scheduler, tmp_path: Path) -> None:
        seen = tmp_path / "seen"

        def noted(x: int) -> int:
            mark(seen)
            return x

        assert scheduler.run(Narrow(Held([range(1_000)]), Map(noted, at("map"))), Collect(2)) == [[0, 1]]
        assert marked(seen) == 2
        assert scheduler.run(Held([range(1_000), [7]]), Collect(2)) == [[0, 1], [7]]

    def test_counts(self, scheduler: Scheduler) -> None:
        odd = Narrow(Held([[1, 2, 3], [], [5]]), Filter(lambda x: x % 2, at("filter")))
        assert scheduler.run(odd, Count()) == [2, 0, 1]
        assert scheduler.run(odd, CountValues(at("count_by_value"))) == [{1: 1, 3: 1}, {}, {5: 1}]

    def test_apply(self, scheduler: Scheduler) -> None:
        assert scheduler.run(Held([[3, 1], []]), Apply(sorted)) == [[1, 3], []]

    def test_apply_to_partitions_knows_where_it_is(self, backend: Backend) -> None:
        scheduler = Scheduler(backend, Batch(5_000, 2))
        end = ApplyPartition(lambda batch, index, data: (batch.time_ms, batch.attempt, index, list(data)))
        assert scheduler.run(Held([[1], [2]]), end) == [(5_000, 2, 0, [1]), (5_000, 2, 1, [2])]

    def test_results_of_any_type(self, scheduler: Scheduler) -> None:
        results: list[Any] = [None, 1, "text", b"bytes", {1, 2}, (1, [2]), {"k": {"l": 3.5}}, 10**30, "long" * 10_000]

        def given(number: int) -> Callable[[list[Any]], Any]:
            return lambda rows: results[number]

        for number, result in enumerate(results):
            assert scheduler.run(Held([[0]]), Apply(given(number))) == [result]


class KeptTests(BackendSuite):
    """Kept nodes are computed once, and their data stays what it was."""

    def test_computed_once_for_all_readers(self, scheduler: Scheduler, tmp_path: Path) -> None:
        seen = tmp_path / "seen"

        def noted(x: int) -> int:
            mark(seen)
            return x

        kept = Narrow(Held([[1, 2], [3], [4]]), Map(noted, at("map")))
        kept.keep()
        doubled = Narrow(kept, Map(lambda x: x * 2, at("map")))
        for _ in range(3):
            assert scheduler.run(doubled, Collect()) == [[2, 4], [6], [8]]
            assert scheduler.run(kept, Count()) == [2, 1, 1]
        assert rows(scheduler.keep(kept)) == [1, 2, 3, 4]
        assert marked(seen) == 4

    def test_read_where_another_partition_runs(self, scheduler: Scheduler) -> None:
        kept = Narrow(Held([[1], [2], [3]]), Map(lambda x: x + 10, at("map")))
        kept.keep()
        scheduler.keep(kept)
        moved = Union([Held([[0]]), kept, kept])
        assert scheduler.run(moved, Collect()) == [[0], [11], [12], [13], [11], [12], [13]]
        assert scheduler.run(Coalesced(kept, [[2, 0, 1], [1, 1]]), Collect()) == [[13, 11, 12], [12, 12]]
        joined = Merged([[kept], [kept]], RoundRobin(3, at("zip")))
        assert scheduler.run(joined, Count()) == [1, 1, 1]

    def test_data_at_hand_and_shuffled_data(self, scheduler: Scheduler) -> None:
        held = Held([[("a", 1)], [("b", 2)], [("a", 3)]])
        held.keep()
        counts = Shuffled([held], CombineByKey(KeyGroups(PARTITIONS), None, add, add, at("reduce_by_key")))
        counts.keep()
        parts = [lasting(part) for part in scheduler.keep(counts)]
        assert sorted(rows(parts)) == [("a", 4), ("b", 2)]
        assert [len(part) for part in parts] == scheduler.run(counts, Count())
        window = Merged([[Held(parts, counts.partitioner), counts]], counts.exchange)
        for _ in range(3):
            assert sorted(rows(scheduler.run(window, Collect()))) == [("a", 8), ("b", 4)]

    def test_dropped_and_computed_again(self, scheduler: Scheduler, tmp_path: Path) -> None:
        seen = tmp_path / "seen"

        def noted(x: int) -> int:
            mark(seen)
            return x

        kept = Narrow(Held([[1]]), Map(noted, at("map")))
        for _ in range(2):
            kept.keep()
            assert rows(scheduler.keep(kept)) == [1]
            kept.drop()
        assert marked(seen) == 2


class StateTests(BackendSuite):
    """State lives with the executors, versioned by batch."""

    def test_update_state_by_key(self, backend: Backend) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        assert program.batch(1_000, [("a", 1), ("b", 2), ("a", 3)]) == [("a", 4), ("b", 2)]
        assert program.batch(2_000, [("c", 5), ("a", -4)]) == [("b", 2), ("c", 5)]
        assert program.batch(3_000, []) == [("b", 2), ("c", 5)]

    def test_map_with_state_and_its_snapshots(self, backend: Backend) -> None:
        def running(key: str, value: int | None, state: Any) -> tuple[str, Any]:
            if value is None:
                return key, "timed out"
            state.update(state.get(0) + value)
            return key, state.get()

        program = StatefulProgram(backend, MapWithState(running, at("map_with_state"), timeout_ms=1_500))
        assert program.batch(1_000, [("a", 1), ("a", 2), ("b", 5)]) == [("a", 1), ("a", 3), ("b", 5)]
        backend.begin_state(2_000)
        mapped = program.stepped([("a", 4)])
        states = Stepped([[mapped]], StateSnapshots(at("state_snapshots")), "state", program.partitioner)
        assert program.give(2_000, mapped) == [("a", 7)]
        assert program.give(2_000, states) == [("a", 7), ("b", 5)]
        backend.commit_state(2_000)
        assert program.batch(3_000, []) == [("b", "timed out")]

    def test_inverse_window(self, backend: Backend) -> None:
        step = InverseWindow(add, sub, at("reduce_by_key_and_window"), lambda pair: pair[1] != 2)
        program = StatefulProgram(backend, step)
        assert program.batch(1_000, [("a", 1), ("b", 2)], []) == [("a", 1)]
        assert program.batch(2_000, [("a", 4)], []) == [("a", 5)]
        assert program.batch(3_000, [("b", 3)], [("a", 1), ("b", 2)]) == [("a", 4), ("b", 3)]

    def test_initial_state(self, backend: Backend) -> None:
        initial = [[("a", 10)], [("b", 20)], [("c", 30)]]
        pairs = KeyGroups(3).split_pairs(rows(initial))
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key"), initial=pairs))
        assert program.batch(1_000, [("a", 1)]) == [("a", 11), ("b", 20), ("c", 30)]

    def test_rolled_back_without_a_trace(self, backend: Backend) -> None:
        def appended(values: list[int], old: list[int] | None) -> list[int]:
            old = [] if old is None else old
            old.extend(values)
            return old

        program = StatefulProgram(backend, UpdateStateByKey(appended, at("update_state_by_key")))
        program.batch(1_000, [("a", 1), ("b", 2)])
        for attempt in range(3):
            assert program.begin(2_000, [("a", 3), ("c", 4)], attempt=attempt) == [
                ("a", [1, 3]),
                ("b", [2]),
                ("c", [4]),
            ]
            backend.roll_back_state(2_000)
        assert program.batch(3_000, []) == [("a", [1]), ("b", [2])]

    def test_begun_anew_without_a_roll_back(self, backend: Backend) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        program.begin(1_000, [("a", 1)])
        assert program.begin(1_000, [("a", 1)], attempt=1) == [("a", 1)]
        backend.commit_state(1_000)
        assert program.batch(2_000, [("a", 1)]) == [("a", 2)]

    def test_batches_in_flight(self, backend: Backend) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        program.begin(1_000, [("a", 1)])
        assert program.begin(2_000, [("a", 10)]) == [("a", 11)]
        backend.commit_state(1_000)
        backend.roll_back_state(2_000)
        assert program.batch(2_000, [("a", 100)]) == [("a", 101)]

    def test_a_step_that_fails_is_rolled_back(self, backend: Backend) -> None:
        def refusing(values: list[int], old: int | None) -> int:
            if 13 in values:
                raise ValueError("thirteen")
            return (old or 0) + sum(values)

        program = StatefulProgram(backend, UpdateStateByKey(refusing, at("update_state_by_key")))
        program.batch(1_000, [("a", 1), ("b", 2)])
        with pytest.raises(UserCodeError, match="thirteen") as raised:
            program.begin(2_000, [("a", 5), ("b", 13)])
        assert raised.value.batch_time_ms == 2_000
        backend.roll_back_state(2_000)
        assert program.begin(2_000, [("a", 5)], attempt=1) == [("a", 6), ("b", 2)]

    def test_rows_of_state_outlive_the_batch(self, backend: Backend) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        backend.begin_state(1_000)
        parts = Scheduler(backend, Batch(1_000)).keep(program.stepped([("a", 1), ("b", 2)]))
        parts = [lasting(part) for part in parts]
        backend.commit_state(1_000)
        assert program.batch(2_000, [("a", 5)]) == [("a", 6), ("b", 2)]
        assert sorted(rows(parts)) == [("a", 1), ("b", 2)]
        assert sorted(rows(Scheduler(backend).run(Held(parts), Collect()))) == [("a", 1), ("b", 2)]

    def test_rows_of_state_read_elsewhere(self, backend: Backend) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        backend.begin_state(1_000)
        scheduler = Scheduler(backend, Batch(1_000))
        state = program.stepped([(key, 1) for key in "abcdefgh"])
        total = Coalesced(state, [range(PARTITIONS)])
        assert sorted(scheduler.run(total, Collect())[0]) == [(key, 1) for key in "abcdefgh"]
        assert sum(scheduler.run(state, Count())) == 8
        backend.commit_state(1_000)

    def test_operators_apart(self, backend: Backend) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        backend.begin_state(1_000)
        first, second = (program.stepped([("a", n)], operator_id=f"state-{n}") for n in (1, 2))
        assert program.give(1_000, first) == [("a", 1)]
        assert program.give(1_000, second) == [("a", 2)]

    def test_dropped(self, backend: Backend) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key")))
        program.batch(5_000, [("a", 1)])
        backend.drop_state()
        assert program.batch(1_000, [("a", 2)]) == [("a", 2)]

    def test_more_state_than_deltas_hold(self, backend: Backend) -> None:
        program = StatefulProgram(backend, UpdateStateByKey(summed, at("update_state_by_key"), only_updated=True))
        keys = [f"key {n} {'x' * 40}" for n in range(3_000)]
        for number in range(1, 9):
            program.batch(number * 1_000, [(key, number) for key in keys])
        assert program.batch(9_000, []) == sorted((key, 36) for key in keys)


class FunctionTests(BackendSuite):
    """What functions see, and what becomes of what they raise."""

    def test_the_batch(self, backend: Backend) -> None:
        inputs = {"lines": BatchInput(3, "three lines", (OffsetRange("t", 0, 4, 7),))}

        def seen(row: int, batch: Batch) -> Any:
            return batch.time_ms, batch.attempt, batch.inputs, batch_time().timestamp()

        batch = Batch(5_000, 1, inputs)
        assert Scheduler(backend, batch).run(Narrow(Held([[0]]), Map(seen, at("map"))), Collect()) == [
            [(5_000, 1, inputs, 5.0)]
        ]

    def test_no_batch(self, scheduler: Scheduler) -> None:
        with pytest.raises(UserCodeError) as raised:
            scheduler.run(Narrow(Held([[0]]), Map(lambda x: batch_time(), at("map"))), Collect())
        assert isinstance(raised.value.__cause__, LifecycleError)

    def test_broadcasts(self, scheduler: Scheduler) -> None:
        towns = Broadcast({"u": "ulm", "b": "bonn"})
        lineage = Narrow(Held([["u"], ["b"], ["u"]]), Map(lambda key: towns.value[key], at("map")))
        for _ in range(2):
            assert scheduler.run(lineage, Collect()) == [["ulm"], ["bonn"], ["ulm"]]
            towns.unpersist()
        towns.destroy()
        with pytest.raises((LifecycleError, UserCodeError)):
            scheduler.run(lineage, Collect())

    def test_accumulators(self, scheduler: Scheduler) -> None:
        total: Accumulator[int] = Accumulator(0)
        words: Accumulator[list[str]] = Accumulator([], lambda a, b: a + b)

        def counted(x: int) -> int:
            total.add(x)
            words.add([str(x)])
            return x

        lineage = Narrow(Held([[1, 2], [3], [4]]), Map(counted, at("map")))
        scheduler.run(lineage, Count())
        assert total.value == 10
        assert sorted(words.value) == ["1", "2", "3", "4"]

    def test_what_a_failed_task_added_is_forgotten(self, scheduler: Scheduler) -> None:
        total = Accumulator(0)

        def counted(x: int) -> float:
            total.add(1)
            return 1 / x

        with pytest.raises(UserCodeError):
            scheduler.run(Narrow(Held([[1, 1, 0]]), Map(counted, at("map"))), Collect())
        assert total.value == 0

    def test_an_error_names_operator_place_batch_and_record(self, backend: Backend) -> None:
        scheduler = Scheduler(backend, Batch(7_000))
        lineage = Narrow(Held([[2], [1, 0]]), Map(lambda x: 1 / x, Label("map", None, "app.py:12")))
        with pytest.raises(UserCodeError) as raised:
            scheduler.run(lineage, Collect())
        error = raised.value
        assert (error.operator, error.site, error.batch_time_ms, error.record) == ("map", "app.py:12", 7_000, "0")
        assert isinstance(error.__cause__, ZeroDivisionError)
        assert "division by zero" in str(error)

    def test_the_first_partition_that_failed_is_reported(self, scheduler: Scheduler) -> None:
        lineage = Narrow(Held([[1], [10], [20], [30]]), Map(lambda x: 1 / (x % 10), at("map")))
        with pytest.raises(UserCodeError) as raised:
            scheduler.run(lineage, Collect())
        assert raised.value.record == "10"

    def test_usable_after_an_error(self, scheduler: Scheduler) -> None:
        for _ in range(3):
            with pytest.raises(UserCodeError):
                scheduler.run(Narrow(Held([[0], [0]]), Map(lambda x: 1 / x, at("map"))), Collect())
            assert scheduler.run(Narrow(Held([[1], [2]]), Map(lambda x: -x, at("map"))), Collect()) == [[-1], [-2]]

    def test_an_error_in_a_shuffle(self, scheduler: Scheduler) -> None:
        unhashable = Shuffled([Held([[([], 1)]])], ByKey(KeyGroups(2), at("partition_by")))
        with pytest.raises(ArgumentTypeError):
            scheduler.run(unhashable, Collect())
        merging = CombineByKey(KeyGroups(2), None, add, lambda a, b: a / 0, at("reduce_by_key"))
        with pytest.raises(UserCodeError) as raised:
            scheduler.run(Shuffled([Held([[("a", 1)], [("a", 2)]])], merging), Collect())
        assert isinstance(raised.value.__cause__, ZeroDivisionError)

    def test_an_error_that_holds_what_cannot_travel(self, scheduler: Scheduler) -> None:
        class HoldingError(Exception):
            def __init__(self, first: str, second: Any) -> None:
                super().__init__(f"{first} is held")
                self.second = second

        def raising(x: int) -> int:
            raise HoldingError("a lock", open(os.devnull))  # noqa: SIM115 - what cannot be pickled is the point

        with pytest.raises(UserCodeError, match="a lock is held"):
            scheduler.run(Narrow(Held([[0]]), Map(raising, at("map"))), Collect())

    def test_classes_of_the_program_come_home_as_themselves(self, scheduler: Scheduler) -> None:
        class Point:
            def __init__(self, x: int) -> None:
                self.x = x

        make: Callable[[int], Point] = Point
        lineage = Narrow(Held([[1, 2], [3]]), Map(lambda x: make(x), at("map")))
        points = rows(scheduler.run(lineage, Collect()))
        assert all(type(point) is Point for point in points)
        moved = Narrow(Held([points]), Map(lambda point: isinstance(point, Point) and point.x, at("map")))
        assert scheduler.run(moved, Collect()) == [[1, 2, 3]]


class FullBackendSuite(LineageTests, EndTests, KeptTests, StateTests, FunctionTests):
    """All of it."""

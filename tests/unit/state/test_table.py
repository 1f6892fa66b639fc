from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from millstream.errors import ArgumentTypeError, InternalError, LifecycleError
from millstream.state.delta import Delta, Snapshot
from millstream.state.replica import StateReplica
from millstream.state.rows import StateRows
from millstream.state.store import StateStore
from millstream.state.table import StateTable

keys = st.sampled_from(["a", "b", (1, "x"), 0, 1, 1.0, True])
values: st.SearchStrategy[Any] = st.one_of(
    st.integers(),
    st.lists(st.integers(), max_size=3),
    st.tuples(st.integers(), st.lists(st.integers(), max_size=2)),
    st.dictionaries(st.text(max_size=2), st.lists(st.integers(), max_size=2), max_size=2),
)


def mutate(value: Any) -> None:
    match value:
        case list():
            value.append(len(value))
        case tuple():
            value[1].append(7)
        case dict():
            value.setdefault("new", []).append(1)
        case _:
            pass


class TableAgainstDicts(RuleBasedStateMachine):
    """The table beside a stack of plain dicts, deep copies of each other."""

    def __init__(self) -> None:
        super().__init__()
        self.store = StateStore()
        self.replica = StateReplica()
        self.now_ms = 0
        self.committed: dict[Any, Any] = {}
        self.open: list[tuple[int, dict[Any, Any]]] = []
        self.views: list[tuple[StateRows, list[Any]]] = []
        self.is_finished = True
        """The newest version was built upon, so its batch has run and changes nothing more."""

    @property
    def table(self) -> StateTable:
        return self.store.table("counts", 0)

    @property
    def newest(self) -> dict[Any, Any]:
        return self.open[-1][1] if self.open else self.committed

    @precondition(lambda self: len(self.open) < 3)
    @rule(keep_view=st.booleans())
    def begin(self, keep_view: bool) -> None:
        if keep_view:
            self.views = [*self.views[-3:], (self.table.rows(), copy.deepcopy(list(self.newest.items())))]
        self.now_ms += 10
        self.is_finished = False
        self.table.begin(self.now_ms)
        self.open.append((self.now_ms, copy.deepcopy(self.newest)))

    @precondition(lambda self: not self.is_finished)
    @rule(key=keys, value=values)
    def set(self, key: Any, value: Any) -> None:
        self.table.set(key, value)
        self.newest[key] = copy.deepcopy(value)

    @precondition(lambda self: not self.is_finished)
    @rule(key=keys)
    def remove(self, key: Any) -> None:
        self.table.remove(key)
        self.newest.pop(key, None)

    @precondition(lambda self: not self.is_finished)
    @rule(key=keys)
    def mutate_in_place(self, key: Any) -> None:
        assert self.table.get(key) == self.newest.get(key)
        mutate(self.table.get(key))
        mutate(self.newest.get(key))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.open) - 1))
        self.store.rollback(self.open[index][0])
        self.replica.rollback(self.open[index][0])
        del self.open[index:]
        self.is_finished = True

    @precondition(lambda self: self.open)
    @rule()
    def begin_the_newest_anew(self) -> None:
        batch_ms, _ = self.open.pop()
        self.table.begin(batch_ms)
        self.replica.rollback(batch_ms)
        self.open.append((batch_ms, copy.deepcopy(self.newest)))
        self.is_finished = False

    @precondition(lambda self: self.open)
    @rule()
    def commit_the_oldest(self) -> None:
        self.send_deltas()
        batch_ms, self.committed = self.open.pop(0)
        self.replica.commit(batch_ms)
        self.store.commit(batch_ms)
        self.is_finished = self.is_finished or not self.open

    def send_deltas(self) -> None:
        for batch_ms, _ in self.open:
            self.replica.append(batch_ms, self.store.delta(batch_ms)["counts", 0].pack())

    @precondition(lambda self: self.table.committed_ms is not None)
    @rule()
    def renew_the_replica(self) -> None:
        snapshot = self.table.snapshot()
        assert snapshot.batch_ms is not None
        self.replica.renew(snapshot.batch_ms, snapshot.pack())

    @rule()
    def lose_the_worker(self) -> None:
        self.send_deltas()
        self.store = StateStore()
        self.store.load("counts", 0, self.replica.image())

    @precondition(lambda self: self.views)
    @rule()
    def let_go_of_a_view(self) -> None:
        self.views.pop(0)

    @invariant()
    def same_pairs_in_same_order(self) -> None:
        expected = list(self.newest.items())
        assert list(self.table.items()) == expected
        assert [type(key) for key, _ in self.table.items()] == [type(key) for key, _ in expected]
        assert self.table.rows().materialised() == expected
        assert list(self.pairs_without_merging()) == expected
        assert len(self.table) == len(self.table.rows()) == len(expected)

    def pairs_without_merging(self) -> Iterator[tuple[Any, Any]]:
        """What a view of a large table with few changes goes by."""
        pairs: Iterator[tuple[Any, Any]] = iter(self.table._committed.items())
        for version in self.table.versions:
            pairs = version.over(pairs)
        return pairs

    @invariant()
    def views_show_what_they_showed(self) -> None:
        for view, expected in self.views:
            assert list(view) == expected
            assert len(view) == len(expected)

    @invariant()
    def committed_is_untouched(self) -> None:
        assert list(self.table.snapshot().values.items()) == list(self.committed.items())

    @invariant()
    def open_batches_agree(self) -> None:
        assert self.table.open_batches == tuple(ms for ms, _ in self.open)


TestTableAgainstDicts = TableAgainstDicts.TestCase
TestTableAgainstDicts.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


@pytest.fixture
def table() -> StateTable:
    table = StateTable("counts", 0)
    table.begin(10)
    for key in "abc":
        table.set(key, [key])
    table.commit(10)
    return table


def test_a_rolled_back_removal_leaves_the_key_in_its_place(table: StateTable) -> None:
    table.begin(20)
    table.remove("a")
    table.set("a", ["new"])
    assert [key for key, _ in table.items()] == ["b", "c", "a"]
    table.rollback(20)
    assert list(table.items()) == [("a", ["a"]), ("b", ["b"]), ("c", ["c"])]


def test_a_key_that_comes_again_comes_after_the_new_ones(table: StateTable) -> None:
    table.begin(20)
    table.remove("a")
    table.set("new", 1)
    table.set("a", 2)
    assert [key for key, _ in table.items()] == ["b", "c", "new", "a"]
    table.commit(20)
    assert [key for key, _ in table.items()] == ["b", "c", "new", "a"]


def test_rolling_back_a_batch_takes_the_ones_over_it_along(table: StateTable) -> None:
    for batch_ms in (20, 30, 40):
        table.begin(batch_ms)
        table.set("a", batch_ms)
    table.rollback(30)
    assert table.open_batches == (20,)
    assert table.get("a") == 20


def test_commit_takes_in_all_batches_up_to_one(table: StateTable) -> None:
    for batch_ms in (20, 30, 40):
        table.begin(batch_ms)
        table.set(batch_ms, batch_ms)
    table.commit(30)
    assert (table.committed_ms, table.open_batches) == (30, (40,))
    table.rollback(40)
    assert [key for key, _ in table.items()] == ["a", "b", "c", 20, 30]


def test_batches_out_of_order_are_refused(table: StateTable) -> None:
    table.begin(30)
    with pytest.raises(InternalError, match="out of order"):
        table.begin(20)
    table.commit(30)
    with pytest.raises(InternalError, match="out of order"):
        table.begin(30)


def test_a_delta_of_a_closed_batch_is_refused(table: StateTable) -> None:
    with pytest.raises(InternalError, match="not open"):
        table.delta(10)


def test_state_changes_only_within_a_batch(table: StateTable) -> None:
    with pytest.raises(LifecycleError, match="within a batch"):
        table.set("a", 1)
    with pytest.raises(LifecycleError):
        table.remove("a")


@pytest.mark.parametrize("key", [float("nan"), (1, float("nan")), ["list"], {"a": 1}, ("t", [])])
def test_a_key_that_would_not_be_found_again_is_refused(table: StateTable, key: Any) -> None:
    table.begin(20)
    with pytest.raises(ArgumentTypeError, match="key"):
        table.set(key, 1)
    table.rollback(20)
    assert len(table) == 3


def test_a_delta_holds_only_what_was_touched(table: StateTable) -> None:
    table.begin(20)
    table.get("b").append(1)
    table.remove("c")
    table.set("d", 4)
    delta = table.delta(20)
    assert delta == Delta(20, {"b": ["b", 1], "d": 4}, ("c",))
    assert Delta.unpack(delta.pack()) == delta


def test_reading_an_atom_does_not_touch_it(table: StateTable) -> None:
    table.begin(20)
    table.set("n", 1)
    table.commit(20)
    table.begin(30)
    assert table.get("n") == 1
    assert table.delta(30).changed == {}


def test_seeds_are_copies() -> None:
    table, seeds = StateTable("counts", 0), [("a", [1])]
    for _ in range(2):
        table.begin(10)
        assert table.is_new
        table.seed(seeds)
        table.get("a").append(2)
    assert seeds == [("a", [1])]
    table.begin(20)
    assert not table.is_new


def test_a_loaded_table_is_not_new_once_something_was_committed() -> None:
    table = StateTable("counts", 0)
    table.load(Snapshot(10, {}))
    table.begin(20)
    assert not table.is_new


class TestViews:
    def test_a_view_shows_its_version_for_ever(self, table: StateTable) -> None:
        table.begin(20)
        table.get("a").append(1)
        view = table.rows()
        expected = [("a", ["a", 1]), ("b", ["b"]), ("c", ["c"])]
        table.begin(30)
        table.get("a").append(2)
        table.remove("b")
        assert list(view) == expected
        table.commit(20)
        assert list(view) == expected
        table.commit(30)
        assert list(view) == view.materialised() == expected
        assert len(view) == 3
        assert list(table.items()) == [("a", ["a", 1, 2]), ("c", ["c"])]

    @pytest.mark.parametrize("read_count", [1, 20, 500])
    def test_a_commit_in_the_middle_of_an_iteration_does_not_show(self, read_count: int) -> None:
        table = StateTable("counts", 0)
        table.begin(10)
        for key in range(1_000):
            table.set(key, 0)
        table.commit(10)
        table.begin(20)
        table.set(0, 20)
        table.remove(5)
        table.set(5, 20)
        table.remove(7)
        expected = [(0, 20), *((key, 0) for key in range(1, 1_000) if key not in (5, 7)), (5, 20)]
        view = table.rows()
        assert list(view) == expected
        rows = iter(view)
        read = [next(rows) for _ in range(read_count)]
        table.commit(20)
        table.begin(30)
        table.set("d", "new")
        table.remove(900)
        table.commit(30)
        assert [*read, *rows] == expected

    def test_no_copy_is_made_when_views_are_let_go(self, table: StateTable) -> None:
        committed = table._committed
        for batch_ms in range(20, 100, 10):
            table.begin(batch_ms)
            table.set("a", batch_ms)
            assert table.rows().first(1) == [("a", batch_ms)]
            table.commit(batch_ms)
        assert table._committed is committed

    def test_no_copy_is_made_for_the_view_of_the_committed_batch(self, table: StateTable) -> None:
        committed = table._committed
        table.begin(20)
        table.set("a", 20)
        view = table.rows()
        table.commit(20)
        assert table._committed is committed
        assert view.first(1) == [("a", 20)]

    def test_a_view_of_a_failed_attempt_does_not_disturb_the_next(self, table: StateTable) -> None:
        table.begin(20)
        table.set("a", "first attempt")
        failed = table.rows()
        table.begin(20)
        table.set("a", "second attempt")
        table.commit(20)
        assert failed.first(1) == [("a", "first attempt")]
        assert table.rows().first(1) == [("a", "second attempt")]

    def test_rows_are_a_sized_collection_that_pickles_as_a_list(self, table: StateTable) -> None:
        from millstream.encoding.rows import pack, unpack
        from millstream.model.partition import Rows

        view = table.rows()
        assert isinstance(view, Rows)
        assert ("a", ["a"]) in view
        assert ("a", ["b"]) not in view
        assert ("z", 1) not in view
        assert "a" not in view  # type: ignore[comparison-overlap]
        assert unpack(pack(view)) == [("a", ["a"]), ("b", ["b"]), ("c", ["c"])]
        assert repr(view).startswith("<StateRows of 3 rows: ('a', ['a'])")

    def test_views_that_were_let_go_are_forgotten(self, table: StateTable) -> None:
        for _ in range(5):
            table.rows()
        gc.collect()
        assert len(table._views) == 0


def test_a_commit_from_another_thread_while_the_next_batch_reads() -> None:
    table = StateTable("counts", 0)
    table.begin(10)
    for key in range(2_000):
        table.set(key, 0)
    table.commit(10)
    batches = list(range(20, 400, 10))
    committed, failures = threading.Semaphore(0), []

    def commit_behind() -> None:
        for batch_ms in batches:
            committed.acquire()
            table.commit(batch_ms)

    def slow_pairs() -> Iterator[tuple[int, int]]:
        yield from table.rows_before()

    committer = threading.Thread(target=commit_behind)
    committer.start()
    for number, batch_ms in enumerate(batches, 1):
        table.begin(batch_ms)
        for index, (key, value) in enumerate(slow_pairs()):
            if index == 1_000 and number > 1:
                committed.release()  # The batch before commits in the middle of this one.
            if value != number - 1:
                failures.append((batch_ms, key, value))
            table.set(key, number)
    committed.release()
    committer.join()
    assert failures == []
    assert all(value == len(batches) for _, value in table.items())


class TestStore:
    def test_only_touched_tables_take_part(self) -> None:
        store = StateStore()
        for operator in "ab":
            store.table(operator, 0).begin(10)
            store.table(operator, 0).set("k", 1)
        store.commit(10)
        store.begin(20)
        store.table("a", 0).begin(20)
        store.table("a", 0).set("k", 2)
        assert set(store.delta(20)) == {("a", 0)}
        store.rollback(20)
        assert store.delta(20) == {}
        assert store.table("a", 0).get("k") == store.table("b", 0).get("k") == 1

    def test_beginning_a_batch_again_undoes_its_first_attempt_everywhere(self) -> None:
        store = StateStore()
        for partition in range(2):
            store.table("a", partition).begin(10)
            store.table("a", partition).set("k", 1)
        store.begin(10)
        assert [len(table) for table in store] == [0, 0]

    def test_a_dropped_table_starts_empty(self) -> None:
        store = StateStore()
        store.table("a", 0).begin(10)
        store.table("a", 0).set("k", 1)
        store.drop("a", 0)
        store.drop("never", 3)
        store.commit(10)
        assert len(store) == 0
        assert not store.table("a", 0).contains("k")


class TestReplica:
    def test_it_asks_for_a_snapshot_when_deltas_outgrow_it(self) -> None:
        replica = StateReplica()
        replica.append(10, b"x" * 70_000)
        assert replica.wants_snapshot
        replica.commit(10)
        replica.renew(10, b"s" * 90_000)
        assert not replica.wants_snapshot
        replica.append(20, b"x" * 80_000)
        assert not replica.wants_snapshot
        replica.append(30, b"x" * 11_000)
        assert replica.wants_snapshot
        replica.rollback(30)
        assert not replica.wants_snapshot
        assert replica.image().open_deltas == (b"x" * 80_000,)

    def test_a_retry_replaces_its_delta_and_what_came_over_it(self) -> None:
        replica = StateReplica()
        replica.append(10, b"1")
        replica.append(20, b"2")
        replica.append(10, b"one")
        assert replica.image().open_deltas == (b"one",)
        assert replica.deltas_bytes == 3

    def test_what_is_committed_stays(self) -> None:
        replica = StateReplica()
        replica.append(10, b"1")
        replica.commit(10)
        replica.rollback(10)
        assert replica.image().deltas == (b"1",)
        with pytest.raises(InternalError):
            replica.append(10, b"again")
        with pytest.raises(InternalError):
            replica.renew(20, b"too new")

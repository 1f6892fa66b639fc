"""What the engine relies on in every replayable source."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from typing import Any

from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.model.positions import position_after

T1 = 1_763_801_714_000
INTERVAL_MS = 1_000


class ReplayableSourceSuite(ABC):
    """Tests of one implementation of `ReplayableSource`. Each test needs an outside of its own, empty at first."""

    @abstractmethod
    def make_source(self) -> ReplayableSource[Any]:
        """Make a new source object on the outside of this test, as a new driver would."""

    @abstractmethod
    def add(self, records: list[Any]) -> None:
        """Put records outside, behind those that are there; a plan that begins after it returned can see them."""

    def record(self, number: int) -> Any:
        """Make a record; override it where text will not do. Different numbers give different records."""
        return f"record {number}"

    def records(self, *numbers: int) -> list[Any]:
        """Make records."""
        return [self.record(number) for number in numbers]

    def opened(self, position: Any = None) -> ReplayableSource[Any]:
        """Make a source and open it."""
        source = self.make_source()
        source.open(position)
        return source

    def read(self, source: ReplayableSource[Any], plan: Plan) -> list[Any]:
        """Read all splits of a plan from a pickled copy of the source, as executors do."""
        copy: ReplayableSource[Any] = pickle.loads(pickle.dumps(source))
        splits: list[Split] = pickle.loads(pickle.dumps(plan.splits))
        return [row for split in splits for row in copy.read(split).rows()]

    def journalled(self, before: Any, plan: Plan) -> Any:
        """Give the position that a new driver finds after a plan."""
        return position_after(before, plan.position)

    def test_nothing_outside_is_an_empty_plan(self) -> None:
        source = self.opened()
        plan = source.plan(T1, None, None)
        assert plan.splits == [], f"there are no records, but {plan.splits!r}"
        self.add(self.records(1))
        later = source.plan(T1 + INTERVAL_MS, plan.position, None)
        assert self.read(source, later) == self.records(1), "the position of an empty plan must lead on"

    def test_every_record_is_in_one_batch_and_in_order(self) -> None:
        source = self.opened()
        position: Any = None
        seen: list[Any] = []
        for number in range(4):
            self.add(self.records(2 * number, 2 * number + 1))
            plan = source.plan(T1 + number * INTERVAL_MS, position, None)
            seen += self.read(source, plan)
            position = plan.position
        assert seen == self.records(*range(8)), f"records were lost, doubled or mixed up: {seen!r}"
        assert source.plan(T1 + 9 * INTERVAL_MS, position, None).splits == []

    def test_a_split_gives_the_same_records_each_time(self) -> None:
        source = self.opened()
        self.add(self.records(1, 2, 3))
        plan = source.plan(T1, None, None)
        self.add(self.records(4))
        assert self.read(source, plan) == self.read(source, plan) == self.records(1, 2, 3)

    def test_a_split_counts_its_records_rightly_where_it_counts_them(self) -> None:
        source = self.opened()
        self.add(self.records(1, 2, 3))
        for split in source.plan(T1, None, None).splits:
            count = len(source.read(split))
            assert split.records in (None, count), f"{split!r} holds {count} records"
            assert split.description, "people want to read what a split is"

    def test_splits_and_positions_are_plain_data(self) -> None:
        source = self.opened()
        self.add(self.records(1, 2))
        plan = source.plan(T1, None, None)
        for value in (self.journalled(None, plan), *(split.data for split in plan.splits)):
            assert _is_plain(value), f"{value!r} is not made of None, bool, int, float, str, bytes, list and dict"

    def test_a_plan_that_is_made_again_begins_with_the_same_splits(self) -> None:
        source = self.opened()
        self.add(self.records(1, 2))
        first = source.plan(T1, None, None)
        again = source.plan(T1, None, None)
        assert again.splits[: len(first.splits)] == first.splits
        assert self.read(source, again) == self.records(1, 2)

    def test_a_new_driver_goes_on_at_the_position(self) -> None:
        source = self.opened()
        self.add(self.records(1))
        first = source.plan(T1, None, None)
        plan = source.plan(T1 + INTERVAL_MS, first.position, None)
        position = pickle.loads(pickle.dumps(self.journalled(self.journalled(None, first), plan)))
        source.close()
        self.add(self.records(2))
        successor = self.opened(position)
        assert self.read(successor, successor.plan(T1 + 2 * INTERVAL_MS, position, None)) == self.records(2)

    def test_a_new_driver_can_run_a_planned_batch_again(self) -> None:
        source = self.opened()
        first = source.plan(T1, None, None)
        self.add(self.records(1, 2))
        plan = source.plan(T1 + INTERVAL_MS, first.position, None)
        position = self.journalled(self.journalled(None, first), plan)
        successor = self.opened(position)
        assert self.read(successor, plan) == self.records(1, 2)
        assert successor.plan(T1 + 2 * INTERVAL_MS, position, None).splits == []

    def test_a_limit_bounds_the_batch_and_loses_nothing(self) -> None:
        source = self.opened()
        position = source.plan(T1, None, None).position
        seen: list[Any] = []
        for number in range(5):
            self.add(self.records(number))
        for number in range(3):
            plan = source.plan(T1 + number * INTERVAL_MS, position, 2)
            batch = self.read(source, plan)
            assert len(batch) <= 2, f"the limit is 2, the batch has {batch!r}"
            expected = max(0, 5 - len(seen) - len(batch))
            assert plan.remaining in (None, expected), f"{expected} wait behind the plan, not {plan.remaining}"
            seen += batch
            position = plan.position
        assert seen == self.records(*range(5)), f"records were lost, doubled or mixed up: {seen!r}"

    def test_what_was_released_is_not_given_again(self) -> None:
        source = self.opened()
        self.add(self.records(1))
        plan = source.plan(T1, None, None)
        source.release(T1 + INTERVAL_MS)
        assert source.plan(T1 + INTERVAL_MS, plan.position, None).splits == []


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(inner) for key, inner in value.items())
    return value is None or type(value) in (bool, int, float, str, bytes)

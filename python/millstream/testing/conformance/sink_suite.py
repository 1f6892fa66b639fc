"""What the engine relies on in every sink."""

from __future__ import annotations

import contextlib
import pickle
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from millstream.errors import FencedError
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import Receipt, Sink, SinkLineage

LINEAGE = SinkLineage("lineage-1", "counts", epoch=1)
T1, T2, T3 = 1_763_801_714_000, 1_763_801_716_000, 1_763_812_800_000
"""Batch times; the third is hours after the second."""


class SinkSuite(ABC):
    """Tests of one implementation of `Sink`. Each test needs a target of its own, empty at its beginning."""

    @abstractmethod
    def make_sink(self) -> Sink[Any]:
        """Make a new sink object on the target of this test, as a new driver would."""

    @abstractmethod
    def committed(self) -> Sequence[Any]:
        """Give the records that a reader of the target sees, in order of batch time."""

    def record(self, number: int) -> Any:
        """Make a record; override it where text will not do. Different numbers give different records."""
        return f"record {number}"

    def records(self, *numbers: int) -> list[Any]:
        """Make records."""
        return [self.record(number) for number in numbers]

    def opened(self, lineage: SinkLineage = LINEAGE) -> Sink[Any]:
        """Make a sink and open it."""
        sink = self.make_sink()
        sink.open(lineage)
        return sink

    def staged(self, sink: Sink[Any], batch: Batch, *parts: Sequence[int]) -> list[Receipt]:
        """Stage partitions from a pickled copy, as executors do; receipts travel pickled too."""
        copy: Sink[Any] = pickle.loads(pickle.dumps(sink))
        receipts = [copy.stage(batch, index, Partition(self.records(*part))) for index, part in enumerate(parts)]
        answer: list[Receipt] = pickle.loads(pickle.dumps(receipts))
        return answer

    def write(self, sink: Sink[Any], time_ms: int, *parts: Sequence[int], attempt: int = 0) -> list[Receipt]:
        """Stage partitions and commit them; give the receipts."""
        batch = Batch(time_ms, attempt)
        receipts = self.staged(sink, batch, *parts)
        sink.commit(batch, receipts)
        return receipts

    def sees(self, *numbers: int) -> None:
        """Check what a reader sees."""
        seen, expected = list(self.committed()), self.records(*numbers)
        assert seen == expected, f"a reader sees {seen!r}, it should see {expected!r}"

    def test_a_new_target_has_no_committed_batch(self) -> None:
        assert self.make_sink().open(LINEAGE) is None, "open() must give None where nothing was committed"
        self.sees()

    def test_what_is_staged_is_not_visible(self) -> None:
        self.staged(self.opened(), Batch(T1), [1, 2], [3])
        self.sees()

    def test_a_commit_makes_the_batch_visible_in_order_of_partitions(self) -> None:
        self.write(self.opened(), T1, [1, 2], [3], [4])
        self.sees(1, 2, 3, 4)

    def test_batches_are_read_in_order_of_batch_time(self) -> None:
        sink = self.opened()
        for time_ms, number in ((T1, 1), (T2, 2), (T3, 3)):
            self.write(sink, time_ms, [number])
        self.sees(1, 2, 3)

    def test_a_second_commit_of_an_attempt_changes_nothing(self) -> None:
        sink = self.opened()
        receipts = self.write(sink, T1, [1], [2])
        sink.commit(Batch(T1), receipts)
        self.sees(1, 2)

    def test_a_later_attempt_of_a_committed_batch_changes_nothing(self) -> None:
        sink = self.opened()
        self.write(sink, T1, [1])
        self.write(sink, T1, [7], attempt=1)
        self.sees(1)

    def test_a_new_driver_cannot_commit_a_batch_again(self) -> None:
        self.write(self.opened(), T1, [1])
        successor = self.make_sink()
        assert successor.open(SinkLineage("lineage-1", "counts", epoch=2)) == T1
        self.write(successor, T1, [7], attempt=1)
        self.sees(1)

    def test_only_the_receipts_that_are_committed_count(self) -> None:
        sink = self.opened()
        self.staged(sink, Batch(T1, 0), [7], [8])
        self.write(sink, T1, [1], [2], attempt=1)
        self.sees(1, 2)

    def test_a_partition_that_was_staged_twice_counts_once(self) -> None:
        sink = self.opened()
        batch = Batch(T1)
        first = self.staged(sink, batch, [1], [2])
        second = self.staged(sink, batch, [1], [2])
        sink.commit(batch, [first[0], second[1]])
        self.sees(1, 2)

    def test_a_zombie_that_stages_after_the_commit_changes_nothing(self) -> None:
        sink = self.opened()
        self.write(sink, T1, [1], attempt=1)
        self.staged(sink, Batch(T1, 0), [7])
        self.staged(sink, Batch(T1, 1), [8])
        self.sees(1)

    def test_discarding_leaves_nothing_and_may_be_repeated(self) -> None:
        sink = self.opened()
        batch = Batch(T1)
        receipts = self.staged(sink, batch, [1], [2])
        sink.discard(batch, receipts)
        sink.discard(batch, receipts)
        self.sees()
        self.write(sink, T1, [3], attempt=1)
        self.sees(3)

    def test_discarding_one_attempt_spares_the_other(self) -> None:
        sink = self.opened()
        lost = self.staged(sink, Batch(T1, 0), [7])
        kept = self.staged(sink, Batch(T1, 1), [1])
        sink.discard(Batch(T1, 0), lost)
        sink.commit(Batch(T1, 1), kept)
        self.sees(1)

    def test_discarding_after_a_commit_takes_nothing_back(self) -> None:
        sink = self.opened()
        receipts = self.write(sink, T1, [1])
        sink.discard(Batch(T1), receipts)
        self.sees(1)

    def test_a_batch_without_records_can_be_committed(self) -> None:
        sink = self.opened()
        self.write(sink, T1, [], [])
        self.write(sink, T2)
        self.write(sink, T3, [], [1], [])
        self.sees(1)

    def test_a_new_driver_learns_the_newest_committed_batch(self) -> None:
        sink = self.opened()
        for time_ms, number in ((T1, 1), (T2, 2)):
            self.write(sink, time_ms, [number])
        assert self.make_sink().open(LINEAGE) == T2
        self.write(sink, T3, [3])
        assert self.make_sink().open(LINEAGE) == T3

    def test_a_crash_between_stage_and_commit_leaves_nothing_visible(self) -> None:
        sink = self.opened()
        self.write(sink, T1, [1])
        self.staged(sink, Batch(T2), [7])
        successor = self.make_sink()
        assert successor.open(SinkLineage("lineage-1", "counts", epoch=2)) == T1
        self.sees(1)
        self.write(successor, T2, [2], attempt=1)
        self.sees(1, 2)

    def test_a_commit_goes_on_after_the_sink_was_opened_again(self) -> None:
        self.write(self.opened(), T1, [1])
        self.write(self.opened(), T2, [2])
        self.sees(1, 2)

    def test_outputs_do_not_shadow_each_other(self) -> None:
        self.write(self.opened(), T2, [1])
        other = self.make_sink()
        assert other.open(SinkLineage("lineage-1", "other", epoch=1)) is None
        self.write(other, T3, [2])
        assert self.make_sink().open(LINEAGE) == T2
        self.sees(1, 2)

    def test_histories_do_not_shadow_each_other(self) -> None:
        self.write(self.opened(), T2, [1])
        other = self.make_sink()
        assert other.open(SinkLineage("lineage-2", "counts", epoch=1)) is None
        self.write(other, T3, [2])
        assert self.make_sink().open(LINEAGE) == T2
        self.sees(1, 2)

    def test_an_old_driver_that_wakes_up_cannot_change_what_its_successor_committed(self) -> None:
        old = self.opened()
        staged = self.staged(old, Batch(T1), [7])
        self.write(self.opened(SinkLineage("lineage-1", "counts", epoch=2)), T1, [1], attempt=1)
        with contextlib.suppress(FencedError):
            old.commit(Batch(T1), staged)
        self.sees(1)

    def test_an_old_driver_is_told_that_its_successor_has_committed(self) -> None:
        old = self.opened()
        self.write(self.opened(SinkLineage("lineage-1", "counts", epoch=2)), T1, [1])
        staged = self.staged(old, Batch(T1), [7])
        fenced = False
        try:
            old.commit(Batch(T1), staged)
        except FencedError:
            fenced = True
        assert fenced, "commit() must raise FencedError once a driver of a later epoch has committed"
        self.sees(1)

    def test_closing_keeps_what_was_committed(self) -> None:
        sink = self.opened()
        self.write(sink, T1, [1])
        sink.close()
        self.sees(1)

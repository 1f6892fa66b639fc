"""What the engine relies on in every sink."""

from __future__ import annotations

import contextlib
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from millstream.environment.environment import start_thread
from millstream.errors import FencedError
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import Receipt, Sink, SinkLineage

LINEAGE = SinkLineage("lineage-1", "counts", epoch=1)
SUCCESSOR = SinkLineage("lineage-1", "counts", epoch=2)
T1, T2, T3 = 1_763_801_714_000, 1_763_801_716_000, 1_763_812_800_000
"""Batch times; the third is hours after the second."""


class RecordsEndedError(Exception):
    """What reading records raises that break off."""


class BreaksOff:
    """Records whose reading raises behind the last of them."""

    def __init__(self, records: list[Any]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records) + 1

    def __iter__(self) -> Iterator[Any]:
        yield from self._records
        raise RecordsEndedError("the connection to the source broke")


class SinkSuite(ABC):
    """Tests of one implementation of `Sink`. Each test needs a target of its own, empty at its beginning.

    They play what the engine and its failures do to a sink: attempts that are repeated, late or thrown away, drivers
    that crash between any two calls, an old driver that wakes up beside its successor, several outputs on one
    target. What they cannot see from outside is in the docstring of `Sink`: that commit survives a power failure,
    and that it is one step also when it is killed in its middle.
    """

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
        import cloudpickle

        copy: Sink[Any] = pickle.loads(cloudpickle.dumps(sink))
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

    def is_fenced(self, sink: Sink[Any], batch: Batch, receipts: list[Receipt]) -> None:
        """Check that a driver of an earlier epoch is told so when it commits."""
        try:
            sink.commit(batch, receipts)
        except FencedError:
            return
        raise AssertionError("commit() must raise FencedError once a driver of a later epoch has opened the output")

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
        assert successor.open(SUCCESSOR) == T1
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
        assert successor.open(SUCCESSOR) == T1
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

    def test_another_number_of_partitions_after_a_restart(self) -> None:
        self.write(self.opened(), T1, [1], [2], [3])
        self.write(self.opened(SUCCESSOR), T2, [4, 5])
        self.write(self.opened(SUCCESSOR), T3, [6], [], [7], [8], [])
        self.sees(1, 2, 3, 4, 5, 6, 7, 8)

    def test_an_error_in_stage_leaves_nothing(self) -> None:
        sink = self.opened()
        staged = self.staged(sink, Batch(T1), [7])
        try:
            sink.stage(Batch(T1), 1, Partition(BreaksOff(self.records(8, 9))))
        except RecordsEndedError:
            pass
        else:
            raise AssertionError("stage() must pass on the error of the records that it reads")
        self.sees()
        sink.discard(Batch(T1), staged)
        self.write(sink, T1, [1], [2], attempt=1)
        self.sees(1, 2)

    def test_a_reader_beside_a_commit_sees_whole_batches(self) -> None:
        sink = self.opened()
        receipts = {
            T1: self.staged(sink, Batch(T1), *([number] for number in range(1, 9))),
            T2: self.staged(sink, Batch(T2), *([number] for number in range(9, 17))),
        }
        errors: list[BaseException] = []

        def commit() -> None:
            try:
                for time_ms, staged in receipts.items():
                    sink.commit(Batch(time_ms), staged)
            except BaseException as error:
                errors.append(error)

        # The engine, too, opens on one thread and commits on another.
        committer = start_thread("commit", commit)
        seen = []
        while committer.is_alive():
            seen.append(list(self.committed()))
        assert not errors, f"commit() raised {errors[0]!r}"
        whole = [self.records(*range(1, end)) for end in (1, 9, 17)]
        assert all(records in whole for records in seen), "a reader sees a part of a batch"
        self.sees(*range(1, 17))

    def test_an_old_driver_that_wakes_up_cannot_change_what_its_successor_committed(self) -> None:
        old = self.opened()
        staged = self.staged(old, Batch(T1), [7])
        self.write(self.opened(SUCCESSOR), T1, [1], attempt=1)
        with contextlib.suppress(FencedError):
            old.commit(Batch(T1), staged)
        self.sees(1)

    def test_an_old_driver_is_told_that_its_successor_has_committed(self) -> None:
        old = self.opened()
        self.write(self.opened(SUCCESSOR), T1, [1])
        self.is_fenced(old, Batch(T1), self.staged(old, Batch(T1), [7]))
        self.sees(1)

    def test_an_old_driver_cannot_commit_once_its_successor_is_open(self) -> None:
        old = self.opened()
        self.write(old, T1, [1])
        staged = self.staged(old, Batch(T2), [7])
        successor = self.opened(SUCCESSOR)
        self.is_fenced(old, Batch(T2), staged)
        self.sees(1)
        self.write(successor, T2, [2])
        self.sees(1, 2)

    def test_an_old_driver_cannot_open_again(self) -> None:
        self.opened(SUCCESSOR)
        try:
            self.make_sink().open(LINEAGE)
        except FencedError:
            return
        raise AssertionError("open() must raise FencedError once a driver of a later epoch has opened the output")

    def test_what_an_old_driver_stages_and_discards_does_not_touch_its_successor(self) -> None:
        old = self.opened()
        before = self.staged(old, Batch(T1), [7])
        successor = self.opened(SUCCESSOR)
        receipts = self.staged(successor, Batch(T1), [1], [2])
        after = self.staged(old, Batch(T1), [8], [9])
        old.discard(Batch(T1), before)
        successor.commit(Batch(T1), receipts)
        old.discard(Batch(T1), after)
        self.sees(1, 2)

    def test_a_start_spares_what_other_outputs_have_staged(self) -> None:
        sink = self.opened()
        receipts = self.staged(sink, Batch(T1), [1])
        self.opened(SinkLineage("lineage-1", "other", epoch=1))
        self.opened(SinkLineage("lineage-2", "counts", epoch=1))
        sink.commit(Batch(T1), receipts)
        self.sees(1)

    def test_columns_are_written_as_rows_are(self) -> None:
        import pyarrow as pa

        records = self.records(1, 2)
        try:
            table = Partition(records).table()
        except (pa.ArrowException, TypeError, ValueError):
            return  # Such records never come in columns.
        if list(Partition.of_table(table).rows()) != records:
            return
        sink = self.opened()
        sink.commit(Batch(T1), [sink.stage(Batch(T1), 0, Partition.of_table(table))])
        self.sees(1, 2)

    def test_closing_keeps_what_was_committed(self) -> None:
        sink = self.opened()
        self.write(sink, T1, [1])
        sink.close()
        self.sees(1)

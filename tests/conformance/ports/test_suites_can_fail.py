"""Every suite finds the mistakes that it is there to find: implementations with one mistake each fail it."""

from __future__ import annotations

import inspect
import queue
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest

from millstream.ingest.session import SessionLimits
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.receiver import Receiver
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.model.ports.sink import Receipt, Sink, SinkLineage
from millstream.testing.conformance import (
    ListSource,
    MemorySink,
    ReceiverSuite,
    ReplayableSourceSuite,
    SinkSuite,
    receiver_suite,
)
from millstream.testing.conformance.sink_suite import BreaksOff


def failing(make_suite: Callable[[], Any]) -> set[str]:
    """Run every test of a suite on a new outside; give the names of those that fail."""
    failed = set()
    for name, _ in inspect.getmembers(type(make_suite()), inspect.isfunction):
        if name.startswith("test_"):
            try:
                getattr(make_suite(), name)()
            except Exception:
                failed.add(name)
    return failed


class ShowsWhatIsStaged(MemorySink):
    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        receipt = super().stage(batch, partition, data)
        self._target.committed["lineage-1", f"part {partition}", batch.time_ms] = receipt
        return receipt


class CommitsAgain(MemorySink):
    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        self._target.committed.pop(("lineage-1", "counts", batch.time_ms), None)
        super().commit(batch, receipts)


class ForgetsTheOutput(MemorySink):
    def open(self, lineage: SinkLineage) -> int | None:
        return super().open(SinkLineage(lineage.lineage_id, "all", lineage.epoch))


class ForgetsTheHistory(MemorySink):
    def open(self, lineage: SinkLineage) -> int | None:
        return super().open(SinkLineage("all", lineage.output, lineage.epoch))


class KnowsNoNewestBatch(MemorySink):
    def open(self, lineage: SinkLineage) -> int | None:
        super().open(lineage)
        return None


class LetsOldDriversIn(MemorySink):
    def _check_epoch(self) -> None: ...


class TakesBackWhatWasCommitted(MemorySink):
    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        self._target.committed.pop(("lineage-1", "counts", batch.time_ms), None)


class MixesPartitionsUp(MemorySink):
    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        super().commit(batch, list(reversed(receipts)))


class FencesAtTheNextCommitOnly(MemorySink):
    def open(self, lineage: SinkLineage) -> int | None:
        before = dict(self._target.epochs)
        newest = super().open(lineage)
        self._target.epochs.clear()
        self._target.epochs.update(before)
        return newest

    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        super().commit(batch, receipts)
        assert self._lineage is not None
        self._target.epochs[self._lineage.lineage_id, self._lineage.output] = self._lineage.epoch


class Shelf(MemorySink):
    """Stages on a shelf outside, as sinks with files do."""

    shelves: ClassVar[dict[str, dict[Any, list[Any]]]] = {}

    @property
    def shelf(self) -> dict[Any, list[Any]]:
        return self.shelves.setdefault(self.place, {})

    def label(self, batch: Batch, partition: int) -> Any:
        assert self._lineage is not None
        return (self._lineage, batch.time_ms, batch.attempt, partition)

    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        label = self.label(batch, partition)
        self.shelf[label] = list(data.rows())
        return label

    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        super().commit(batch, [self.shelf.get(label, []) for label in receipts])

    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        for label in receipts:
            self.shelf.pop(label, None)


class LeavesTheEpochOut(Shelf):
    def label(self, batch: Batch, partition: int) -> Any:
        return super().label(batch, partition)[1:]


class ClearsTheWholeShelf(Shelf):
    def open(self, lineage: SinkLineage) -> int | None:
        self.shelf.clear()
        return super().open(lineage)


class SwallowsErrors(MemorySink):
    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        try:
            return super().stage(batch, partition, data)
        except Exception:
            return []


class Reader:
    """Lets a commit wait until somebody has read beside it."""

    def __init__(self) -> None:
        self._read = threading.Event()

    def wait(self) -> None:
        # Once for a reading that had begun before, once for one that began after.
        for _ in range(2):
            self._read.clear()
            if threading.current_thread() is not threading.main_thread():
                self._read.wait(timeout=60)

    def tick(self) -> None:
        self._read.set()


READER = Reader()


class CommitsPartByPart(MemorySink):
    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        for number in range(len(receipts)):
            super().commit(batch, receipts[: number + 1])
            READER.wait()
            self._target.committed.pop(("lineage-1", "counts", batch.time_ms), None)
        super().commit(batch, receipts)


class KnowsRowsOnly(MemorySink):
    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        assert isinstance(data.data, (list, BreaksOff))
        return super().stage(batch, partition, data)


class RemembersThePartitions(MemorySink):
    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        super().commit(batch, receipts[:3])


class CannotTravel(MemorySink):
    def __reduce__(self) -> Any:
        raise TypeError("holds a connection")


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (ShowsWhatIsStaged, "test_what_is_staged_is_not_visible"),
        (CommitsAgain, "test_a_new_driver_cannot_commit_a_batch_again"),
        (ForgetsTheOutput, "test_outputs_do_not_shadow_each_other"),
        (ForgetsTheHistory, "test_histories_do_not_shadow_each_other"),
        (KnowsNoNewestBatch, "test_a_new_driver_learns_the_newest_committed_batch"),
        (LetsOldDriversIn, "test_an_old_driver_is_told_that_its_successor_has_committed"),
        (TakesBackWhatWasCommitted, "test_discarding_after_a_commit_takes_nothing_back"),
        (MixesPartitionsUp, "test_a_commit_makes_the_batch_visible_in_order_of_partitions"),
        (CannotTravel, "test_a_commit_makes_the_batch_visible_in_order_of_partitions"),
        (FencesAtTheNextCommitOnly, "test_an_old_driver_cannot_commit_once_its_successor_is_open"),
        (LetsOldDriversIn, "test_an_old_driver_cannot_open_again"),
        (LeavesTheEpochOut, "test_what_an_old_driver_stages_and_discards_does_not_touch_its_successor"),
        (ClearsTheWholeShelf, "test_a_start_spares_what_other_outputs_have_staged"),
        (SwallowsErrors, "test_an_error_in_stage_leaves_nothing"),
        (CommitsPartByPart, "test_a_reader_beside_a_commit_sees_whole_batches"),
        (KnowsRowsOnly, "test_columns_are_written_as_rows_are"),
        (RemembersThePartitions, "test_another_number_of_partitions_after_a_restart"),
    ],
)
def test_the_sink_suite_finds(mistake: type[MemorySink], test: str) -> None:
    class Suite(SinkSuite):
        def __init__(self) -> None:
            self.place = str(uuid.uuid4())

        def make_sink(self) -> Sink[Any]:
            return mistake(self.place)

        def committed(self) -> Sequence[Any]:
            records = MemorySink(self.place).records()
            READER.tick()
            return records

    assert test in failing(Suite)


def test_a_sink_with_a_shelf_passes() -> None:
    class Suite(SinkSuite):
        def __init__(self) -> None:
            self.place = str(uuid.uuid4())

        def make_sink(self) -> Sink[Any]:
            return Shelf(self.place)

        def committed(self) -> Sequence[Any]:
            return MemorySink(self.place).records()

    assert failing(Suite) == set()


class GivesOneTwice(ListSource[Any]):
    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        return super().plan(batch_ms, max(0, after - 1) if after else after, limit)


class LosesOne(ListSource[Any]):
    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        plan = super().plan(batch_ms, after, limit)
        return Plan(plan.splits, plan.position + len(plan.splits), plan.remaining)


class KnowsNoLimit(ListSource[Any]):
    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        return super().plan(batch_ms, after, None)


class CountsWrongly(ListSource[Any]):
    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        plan = super().plan(batch_ms, after, limit)
        return Plan([Split(split.data, 99, split.description) for split in plan.splits], plan.position, plan.remaining)


class ReadsToTheEnd(ListSource[Any]):
    def read(self, split: Split) -> Partition[Any]:
        return Partition(self.records[split.data[0] :])


class KeepsItsOwnPosition(ListSource[Any]):
    own: Any = None

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        plan = super().plan(batch_ms, self.own, limit)
        self.own = plan.position
        return plan


class HasAPositionOfItsOwnKind(ListSource[Any]):
    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        plan = super().plan(batch_ms, after and after[0], limit)
        return Plan(plan.splits, (plan.position,), plan.remaining)


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (GivesOneTwice, "test_every_record_is_in_one_batch_and_in_order"),
        (LosesOne, "test_every_record_is_in_one_batch_and_in_order"),
        (KnowsNoLimit, "test_a_limit_bounds_the_batch_and_loses_nothing"),
        (CountsWrongly, "test_a_split_counts_its_records_rightly_where_it_counts_them"),
        (ReadsToTheEnd, "test_a_split_gives_the_same_records_each_time"),
        (KeepsItsOwnPosition, "test_a_plan_that_is_made_again_begins_with_the_same_splits"),
        (HasAPositionOfItsOwnKind, "test_splits_and_positions_are_plain_data"),
    ],
)
def test_the_source_suite_finds(mistake: type[ListSource[Any]], test: str) -> None:
    class Suite(ReplayableSourceSuite):
        def __init__(self) -> None:
            self.list: list[Any] = []

        def make_source(self) -> ReplayableSource[Any]:
            return mistake(self.list)

        def add(self, records: list[Any]) -> None:
            self.list.extend(records)

    assert test in failing(Suite)


class QueueReceiver(Receiver[Any]):
    name = "queue"

    def __init__(self, records: queue.SimpleQueue[Any]) -> None:
        self.records = records
        self.gate = threading.Event()

    def on_start(self) -> None:
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def on_stop(self) -> None:
        self.records.put(None)
        self.thread.join()

    def work(self) -> None:
        while (record := self.records.get()) is not None and not self.is_stopped():
            self.give(record)

    def give(self, record: Any) -> None:
        self.store(record)


class BlocksInOnStart(QueueReceiver):
    def on_start(self) -> None:
        self.thread = threading.current_thread()
        self.work()

    def on_stop(self) -> None:
        self.records.put(None)


class GivesUpAtFirst(QueueReceiver):
    def on_start(self) -> None:
        raise ConnectionError("nobody there")


class RaisesInOnStop(QueueReceiver):
    def on_stop(self) -> None:
        super().on_stop()
        raise OSError("already closed")


class DoublesRecords(QueueReceiver):
    def give(self, record: Any) -> None:
        self.store(record)
        self.store(record)


class LosesRecords(QueueReceiver):
    seen = 0

    def give(self, record: Any) -> None:
        self.seen += 1
        if self.seen != 2:
            self.store(record)


class DoesNotStartAgain(QueueReceiver):
    started = False

    def on_start(self) -> None:
        if not self.started:
            super().on_start()
        self.started = True


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        (BlocksInOnStart, "test_it_starts_without_blocking_and_stops"),
        (GivesUpAtFirst, "test_it_starts_without_blocking_and_stops"),
        (RaisesInOnStop, "test_it_starts_without_blocking_and_stops"),
        (DoublesRecords, "test_what_is_sent_arrives_once_and_in_order"),
        (LosesRecords, "test_what_is_sent_arrives_once_and_in_order"),
        (DoesNotStartAgain, "test_it_can_be_started_again"),
        (None, ""),
    ],
)
def test_the_receiver_suite_finds(
    mistake: type[QueueReceiver] | None, test: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Suite(ReceiverSuite):
        limits = SessionLimits(start_s=0.05 if mistake else 60.0, stop_s=0.2 if mistake else 60.0)

        def __init__(self) -> None:
            self.records_sent: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def make_receiver(self) -> Receiver[Any]:
            return (mistake or QueueReceiver)(self.records_sent)

        def send(self, records: list[Any]) -> None:
            for record in records:
                self.records_sent.put(record)

    if mistake is None:
        assert failing(Suite) == set()
        return
    monkeypatch.setattr(receiver_suite, "WAIT_S", 0.5)
    with pytest.raises((AssertionError, queue.Empty)):
        getattr(Suite(), test)()


def test_a_receiver_passes_whose_blocks_do_not_fit_behind_each_other() -> None:
    class StoresBlocks(QueueReceiver):
        def give(self, record: Any) -> None:
            self.store_many(record)

    class Suite(ReceiverSuite):
        def __init__(self) -> None:
            self.blocks: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def make_receiver(self) -> Receiver[Any]:
            return StoresBlocks(self.blocks)

        def send(self, records: list[Any]) -> None:
            for low in range(0, len(records), 7):
                self.blocks.put(records[low : low + 7])

    assert failing(Suite) == set()

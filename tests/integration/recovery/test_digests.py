"""Batches that run again after a crash are compared with their first run by the checksums of what they had and gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.blocks.segment_log import SegmentLog
from millstream.encoding.record_checksum import record_checksum
from millstream.environment.local_storage import LocalStorage
from millstream.errors import DataError
from millstream.graph import counted_reads, outputs
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Split
from millstream.recovery.decisions import BatchPrepared, Digest
from millstream.recovery.log_journal import LogJournal
from millstream.testing import ManualClock
from millstream.testing.conformance import ListSource


class Crash(BaseException):
    """What ends a run between the commits of two sinks."""


class Table(ms.Sink[list[Any]]):
    """A sink that keeps what it committed, from one run to the next.

    Attributes:
        crashes: the next commit ends the run.
    """

    def __init__(self) -> None:
        self.rows: dict[int, list[Any]] = {}
        self.crashes = False

    def open(self, lineage: Any) -> int | None:
        return max(self.rows, default=None)

    def stage(self, batch: ms.Batch, partition: int, data: Partition[Any]) -> list[Any]:
        return list(data.rows())

    def commit(self, batch: ms.Batch, receipts: Sequence[list[Any]]) -> None:
        if self.crashes:
            self.crashes = False
            raise Crash
        self.rows[batch.time_ms] = [row for rows in receipts for row in rows]

    def discard(self, batch: ms.Batch, receipts: Sequence[list[Any]]) -> None: ...


class ChunkedLists(ListSource[int]):
    """Gives its records as columns, in chunks of a size."""

    chunk = 100

    def read(self, split: Split) -> Partition[int]:
        import pyarrow as pa

        rows = list(super().read(split).rows())
        cuts = range(0, len(rows), self.chunk)
        chunks = [pa.array(["-", *map(str, rows[low : low + self.chunk])]).slice(1) for low in cuts]
        return Partition.of_table(pa.table({"value": pa.chunked_array(chunks, pa.string())}))


class Heard(ms.StreamingListener):
    """Keeps what batches are said to differ in."""

    def __init__(self) -> None:
        self.what: list[str] = []

    def on_batch_diverged(self, event: ms.BatchDiverged) -> None:
        self.what.append(event.what)


class Program:
    """Totals by remainder into one sink, and what came, by a function, into another: run after run."""

    def __init__(self, path: Path, source: ListSource[int] | None = None) -> None:
        self.path = path
        self.clock = ManualClock(10.0)
        self.source = ListSource([1, 2, 3, 4]) if source is None else source
        self.first, self.second = Table(), Table()
        self.function: Callable[[int], Any] = abs
        self.heard = Heard()

    def start(self, *, has_second: bool = True, **options: Any) -> ms.StreamingContext:
        ssc = ms.StreamingContext(
            1.0, name="totals", checkpoint=self.path, environment=ms.Environment(self.clock), **options
        )
        numbers = ssc.stream(self.source, name="numbers").map(int)
        pairs = numbers.map(lambda n: (n % 3, 1))
        totals = pairs.update_state_by_key(lambda new, old: (old or 0) + sum(new), name="totals")
        totals.write_to(self.first, name="first")
        function = self.function
        if has_second:
            numbers.map(lambda n: function(n)).write_to(self.second, name="second")
        ssc.add_listener(self.heard)
        ssc.start()
        return ssc

    def crash(self, table: Table | None = None, **options: Any) -> None:
        """Run one batch, and end before a sink commits it: the second one unless another is given."""
        (self.second if table is None else table).crashes = True
        ssc = self.start(**options)
        self.clock.advance(1.0)
        with pytest.raises(Crash):
            ssc.await_termination(0)

    def go_on(self, **options: Any) -> None:
        """Run the batch that was left undone again, and stop."""
        ssc = self.start(**options)
        self.clock.advance(0.0)
        ssc.await_termination(0)
        ssc.stop(graceful=False)

    def prepared(self) -> list[BatchPrepared]:
        journal = LogJournal(SegmentLog(LocalStorage(self.path), "journal", read_only=True))
        return [decision for decision in journal.decisions() if isinstance(decision, BatchPrepared)]


def test_a_batch_that_reads_the_same_again_is_finished(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.crash()
    program.go_on()
    assert program.second.rows == {11_000: [1, 2, 3, 4]}
    assert program.heard.what == []


def test_as_many_records_of_other_content_end_the_stream(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.crash()
    # The state is the same: both have the remainder 2.
    program.source.records[1] = 5
    with pytest.raises(DataError, match="read other records") as raised:
        program.go_on()
    assert 'on_input_changed="accept"' in str(raised.value)
    assert program.second.rows == {}


def test_other_content_that_is_accepted_is_reported(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.crash(program.first)
    program.source.records[1] = 5
    program.go_on(on_input_changed="accept")
    # No sink had the batch, so what they get now need not be what they would have had.
    assert program.second.rows == {11_000: [1, 5, 3, 4]}
    assert [what for what in program.heard.what if "read other records" not in what] == []
    assert program.heard.what


def test_an_output_that_differs_from_what_another_sink_committed_ends_the_stream(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.crash()
    program.function = float
    with pytest.raises(DataError, match="gave other records to an output") as raised:
        program.go_on()
    assert "second: 4 records" in str(raised.value)
    assert 'on_divergence="accept"' in str(raised.value)


def test_an_output_that_differs_can_be_accepted(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.crash()
    program.function = str
    program.go_on(on_divergence="accept")
    assert program.second.rows == {11_000: ["1", "2", "3", "4"]}
    assert [what.split(" and ")[1] for what in program.heard.what] == ["gave other records to an output"]


def test_an_output_may_differ_while_no_sink_has_committed(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.crash(program.first)
    program.function = str
    program.go_on()
    assert program.second.rows == {11_000: ["1", "2", "3", "4"]}
    assert program.heard.what == []


def test_the_same_records_in_other_chunks_are_the_same(tmp_path: Path) -> None:
    source = ChunkedLists([1, 2, 3, 4])
    program = Program(tmp_path, source)
    program.crash()
    source.chunk = 3
    program.go_on()
    assert program.second.rows == {11_000: [1, 2, 3, 4]}
    assert program.heard.what == []


def test_columns_of_other_content_end_the_stream(tmp_path: Path) -> None:
    source = ChunkedLists([1, 2, 3, 4])
    program = Program(tmp_path, source)
    program.crash()
    source.records[1] = 5
    with pytest.raises(DataError, match="read other records"):
        program.go_on()


def test_batches_that_run_again_for_their_state_are_compared_too(tmp_path: Path) -> None:
    program = Program(tmp_path)
    options: dict[str, Any] = {"state_log": False, "checkpoint_interval": 3_600.0}
    ssc = program.start(**options)
    program.clock.advance(1.0)
    program.source.records += [7, 8]
    program.second.crashes = True
    program.clock.advance(1.0)
    with pytest.raises(Crash):
        ssc.await_termination(0)
    program.source.records[1] = 5
    with pytest.raises(DataError, match="read other records"):
        program.go_on(**options)


def test_a_journal_without_checksums_is_compared_by_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(tmp_path)
    with monkeypatch.context() as patch:
        for module in (counted_reads, outputs):
            patch.setattr(module, "record_checksum", lambda data: None)
        program.crash()
    [prepared] = program.prepared()
    assert prepared.inputs == {"numbers": (Digest(4),)}
    assert prepared.outputs["second"] == (Digest(4),)
    program.source.records[1] = 5
    program.go_on()
    assert program.second.rows == {11_000: [1, 5, 3, 4]}
    assert program.heard.what == []


def test_checksums_are_the_same_whatever_runs_the_tasks(tmp_path: Path, backend_name: str) -> None:
    program = Program(tmp_path)
    ssc = program.start(backend=backend_name, workers=2 if backend_name != "threads" else None)
    program.clock.advance(1.0)
    ssc.stop(graceful=False)
    prepared = program.prepared()[0]
    expected = (Digest(4, record_checksum([1, 2, 3, 4])),)
    assert prepared.inputs == {"numbers": expected}
    assert prepared.outputs["second"] == expected
    assert sum(digest.count or 0 for digest in prepared.outputs["first"]) == 3


def test_one_sink_alone_is_not_compared(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.crash(program.first, has_second=False)
    [prepared] = program.prepared()
    assert prepared.inputs["numbers"][0].checksum is not None
    assert prepared.outputs == {}


def test_without_a_checkpoint_or_without_state_nothing_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []
    for module in (counted_reads, outputs):
        monkeypatch.setattr(module, "record_checksum", taken.append)
    for path in (None, tmp_path):
        clock, tables = ManualClock(10.0), (Table(), Table())
        ssc = ms.StreamingContext(1.0, name="plain", checkpoint=path, environment=ms.Environment(clock))
        numbers = ssc.stream(ListSource([1, 2]), name="numbers")
        for number, table in enumerate(tables):
            numbers.write_to(table, name=f"out{number}")
        ssc.start()
        clock.advance(1.0)
        ssc.stop(graceful=False)
        assert [table.rows for table in tables] == [{11_000: [1, 2]}, {11_000: [1, 2]}]
    assert taken == []

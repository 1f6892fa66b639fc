"""What streams put out: printed, collected, written exactly once; on every backend."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Queue, SimpleQueue
from typing import Any

import pytest

import millstream as ms
from millstream.errors import ConfigurationError, SinkUnavailableError, UserCodeError
from millstream.testing import ManualClock

RULE = "-" * 43


def test_print_shows_time_records_and_what_is_left_out(
    either: ms.StreamingContext, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = either.queue_stream([[1, 2, 3], [4], []])
    numbers.print(2)
    numbers.print(0, count=True)
    either.start()
    clock.advance(3.0)

    def block(second: int, *lines: str) -> str:
        return "\n".join([RULE, f"Time: 1970-01-01T00:00:0{second}.000Z", RULE, *lines, "", ""])

    expected = [
        block(1, "1", "2", "..."),
        block(1, "...", "Count: 3"),
        block(2, "4"),
        block(2, "...", "Count: 1"),
        block(3),
        block(3, "Count: 0"),
    ]
    assert capsys.readouterr().out == "".join(expected)


def test_every_way_to_collect(either: ms.StreamingContext, clock: ManualClock) -> None:
    numbers = either.queue_stream([[1, 2], []])
    as_list: list[list[int]] = []
    as_deque: deque[list[int]] = deque()
    as_queue: Queue[list[int]] = Queue()
    simple: SimpleQueue[list[int]] = SimpleQueue()
    with_batch: list[tuple[int, list[int]]] = []
    alone: list[list[int]] = []
    numbers.collect_to(as_list)
    numbers.collect_to(as_deque)
    numbers.collect_to(as_queue)
    numbers.collect_to(simple)
    numbers.collect_to(lambda rows, batch: with_batch.append((batch.time_ms, rows)))
    numbers.collect_to(alone.append)
    either.start()
    clock.advance(2.0)
    assert as_list == list(as_deque) == alone == [[1, 2], []]
    assert [as_queue.get_nowait(), as_queue.get_nowait()] == [simple.get_nowait(), simple.get_nowait()] == [[1, 2], []]
    assert with_batch == [(1_000, [1, 2]), (2_000, [])]


def test_a_function_of_foreach_rdd_may_return_anything_and_know_the_batch(
    either: ms.StreamingContext, clock: ManualClock
) -> None:
    class Writer:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def write(self, rdd: ms.RDD[int], batch: ms.Batch) -> object:
            self.seen.append((batch.time_ms, rdd.collect(), ms.batch_time().isoformat()))
            return rdd.count  # Truthy, and no RDD.

    writer = Writer()
    numbers = either.queue_stream([[1], [2]])
    numbers.foreach_rdd(writer.write)
    numbers.foreach_rdd(print)
    either.start()
    clock.advance(2.0)
    assert writer.seen == [
        (1_000, [1], "1970-01-01T00:00:01+00:00"),
        (2_000, [2], "1970-01-01T00:00:02+00:00"),
    ]


def test_the_id_of_a_batch_is_of_one_output_and_one_history(clock: ManualClock) -> None:
    def ids(seed: int) -> list[str]:
        seen = []
        with ms.StreamingContext(1.0, environment=ms.Environment(ManualClock(), seed=seed)) as ssc:
            numbers = ssc.queue_stream([[1], [2]])
            numbers.foreach_rdd(lambda rdd, batch: seen.append(batch.id), name="a")
            numbers.foreach_batch(lambda rows, batch: seen.append(batch.id), name="b")
            numbers.collect_to(lambda rows, batch: seen.append(batch.id), name="c")
            ssc.start()
            ssc_clock = ssc._environment.clock
            assert isinstance(ssc_clock, ManualClock)
            ssc_clock.advance(2.0)
        return seen

    once = ids(1)
    assert len(set(once)) == 6
    assert ids(1) == once
    assert set(ids(2)).isdisjoint(once)


def test_a_batch_is_handed_over_again_only_when_that_failed(clock: ManualClock) -> None:
    tries: list[tuple[str, int, list[int]]] = []
    other: list[list[int]] = []

    def write(rows: list[int], batch: ms.Batch) -> None:
        tries.append((batch.id, batch.attempt, rows))
        if len(tries) == 1:
            raise ConnectionError("not now")

    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    numbers = ssc.queue_stream([[1], []])
    numbers.collect_to(other)
    numbers.foreach_batch(write)
    ssc.start()
    clock.advance(3.0)
    ssc.stop()
    assert [rows for _, _, rows in tries][:3] == [[1], [1], []]
    assert tries[0][0] == tries[1][0] != tries[2][0]
    assert other[:2] == [[1], []]


FORMATS: dict[str, Callable[[Any], list[str]]] = {
    "save_as_text_files": lambda rows: list(rows),
    "save_as_json_files": lambda rows: list(rows),
    "save_as_parquet_files": lambda table: table.column("value").to_pylist() if table else [],
}


def _files(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


@pytest.mark.parametrize("method", FORMATS)
def test_a_batch_that_fails_after_it_was_written_leaves_nothing_and_comes_once(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path, method: str
) -> None:
    path = tmp_path / "out"
    during: list[list[str]] = []
    attempts: list[tuple[int, int]] = []

    def read() -> list[str]:
        return FORMATS[method](ms.read_committed(path))

    def look(rdd: ms.RDD[str], batch: ms.Batch) -> None:
        """Runs when the files of the batch are written and not committed, and fails the first attempt at the second."""
        attempts.append((batch.time_ms, batch.attempt))
        during.append(read())
        if attempts[-1] == (2_000, 0):
            raise ConnectionResetError("a passing fault")

    words = either.queue_stream([["a", "b"], ["c"], [], ["d"]], partitions=2)
    getattr(words, method)(path)
    words.foreach_rdd(look)
    either.start()
    clock.advance(1.0)
    files_before = _files(path)
    clock.advance(4.0)
    assert attempts == [(1_000, 0), (2_000, 0), (2_000, 1), (3_000, 0), (4_000, 0), (5_000, 0)]
    assert during == [[], ["a", "b"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c"], ["a", "b", "c", "d"]]
    assert read() == ["a", "b", "c", "d"]
    # Two files and one manifest of the first batch, and one of each of the two others with records.
    data = [file for file in _files(path) if not file.startswith(("_", "."))]
    assert len(data) == 4
    assert set(files_before) <= set(_files(path))


@pytest.mark.parametrize("method", FORMATS)
def test_a_batch_that_never_succeeds_is_never_visible(
    either: ms.StreamingContext, clock: ManualClock, tmp_path: Path, method: str
) -> None:
    words = either.queue_stream([["a"], ["b"], ["c"]])
    getattr(words, method)(tmp_path)
    words.foreach_rdd(lambda rdd, batch: 1 // (batch.time_ms - 2_000))
    either.start()
    clock.advance(5.0)
    with pytest.raises(UserCodeError, match="ZeroDivisionError"):
        either.await_termination(0)
    assert FORMATS[method](ms.read_committed(tmp_path)) == ["a"]
    assert len([file for file in _files(tmp_path) if not file.startswith(("_", "."))]) == 1


def test_a_directory_that_cannot_be_made_keeps_the_stream_from_starting(
    either: ms.StreamingContext, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    either.queue_stream([["a"]]).save_as_text_files(tmp_path / "file" / "out")
    with pytest.raises((ConfigurationError, SinkUnavailableError)) as caught:
        either.start()
    for words in (str(tmp_path / "file"), "Hint: "):
        assert words in str(caught.value)
    assert either.state == "initialized"


class Recording(ms.Sink[int]):
    """Writes down on the driver what is asked of it, and fails where it is told to."""

    def __init__(self, fail_in: str) -> None:
        self.fail_in = fail_in
        self.calls: list[tuple[str, int, int]] = []
        self.closed = False

    def open(self, lineage: ms.SinkLineage) -> int | None:
        return None

    def stage(self, batch: ms.Batch, partition: int, data: ms.Partition[int]) -> Any:
        if self.fail_in == "stage" and 2 in data.rows():
            raise OSError("disk full")
        return list(data.rows())

    def commit(self, batch: ms.Batch, receipts: Any) -> None:
        self.calls.append(("commit", batch.time_ms, batch.attempt))
        if self.fail_in == "commit" and batch.time_ms == 2_000:
            raise OSError("disk full")

    def discard(self, batch: ms.Batch, receipts: Any) -> None:
        self.calls.append(("discard", batch.time_ms, batch.attempt))
        raise OSError("cannot even discard")

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("fail_in", ["stage", "commit"])
def test_a_sink_that_raises_is_named_and_closed(either: ms.StreamingContext, clock: ManualClock, fail_in: str) -> None:
    sink = Recording(fail_in)
    either.queue_stream([[1], [2]]).write_to(sink, name="ledger")
    either.start()
    clock.advance(4.0)
    with pytest.raises(UserCodeError, match="The output ledger raised OSError: disk full") as caught:
        either.await_termination(0)
    error = caught.value
    assert (error.operator, error.stream, error.batch_time_ms) == ("write_to", "main", 2_000)
    assert "test_outputs.py" in (error.site or "")
    assert sink.closed
    assert sink.calls[0] == ("commit", 1_000, 0)


def test_a_sink_that_cannot_discard_does_not_hide_what_went_wrong(
    either: ms.StreamingContext, clock: ManualClock
) -> None:
    sink = Recording("")
    numbers = either.queue_stream([[1]])
    numbers.write_to(sink)
    numbers.foreach_rdd(lambda rdd: 1 // 0)
    either.start()
    clock.advance(2.0)
    with pytest.raises(UserCodeError, match="ZeroDivisionError"):
        either.await_termination(0)
    assert sink.calls == [("discard", 1_000, 0), ("discard", 1_000, 1)]


def test_outputs_run_in_the_order_in_which_they_were_added(either: ms.StreamingContext, clock: ManualClock) -> None:
    order: list[tuple[str, int]] = []
    numbers = either.queue_stream([[1], [2]])
    numbers.foreach_rdd(lambda rdd, batch: order.append(("first", batch.time_ms)))
    numbers.foreach_rdd(lambda rdd, batch: order.append(("second", batch.time_ms)))
    either.start()
    clock.advance(2.0)
    assert order == [("first", 1_000), ("second", 1_000), ("first", 2_000), ("second", 2_000)]

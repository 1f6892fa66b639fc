"""What happens when a user's function, a sink or the clock misbehaves."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

import millstream as ms
from millstream.errors import ArgumentTypeError, GraphError, SinkUnavailableError, UserCodeError
from millstream.observe.events import BatchTimesMerged
from millstream.testing import ManualClock, run_batches


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ssc(clock: ManualClock) -> Iterator[ms.StreamingContext]:
    context = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    yield context
    context.stop(graceful=False)


def divide(x: int) -> float:
    return 10 / x


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_function_that_raises_names_operator_batch_and_record(backend: str) -> None:
    with pytest.raises(UserCodeError) as caught:
        run_batches(lambda ssc, s: s.map(divide, name="ratio"), [[5], [1, 0, 2]], backend=backend)
    error = caught.value
    assert error.operator == "map"
    assert error.batch_time_ms == 2_000
    assert error.record == "0"
    assert "test_failures.py" in (error.site or "")
    text = "".join(traceback.format_exception(error))
    assert "ZeroDivisionError" in text
    assert "return 10 / x" in text
    assert "Hint:" in str(error) or "Detail:" in str(error)


def test_a_failing_function_is_tried_again_once_then_the_stream_stops(
    ssc: ms.StreamingContext, clock: ManualClock
) -> None:
    calls: list[int] = []

    def fail(x: int) -> int:
        calls.append(x)
        raise RuntimeError("no")

    seen: list[Any] = []
    ssc.queue_stream([[1], [2]]).map(fail).collect_to(seen)
    ssc.start()
    clock.advance(5.0)
    assert calls == [1, 1]
    assert seen == []
    assert ssc.state == "stopped"
    with pytest.raises(UserCodeError, match="no"):
        ssc.await_termination()


def test_a_function_that_recovers_counts_once(
    ssc: ms.StreamingContext, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    failing = [True]

    def once(x: int) -> int:
        if failing.pop() if failing else False:
            raise RuntimeError("a passing fault")
        return x

    seen: list[Any] = []
    totals = ssc.queue_stream([[1, 2], [3]]).map(lambda x: ("k", once(x)))
    totals.update_state_by_key(lambda values, old: (old or 0) + sum(values)).collect_to(seen)
    ssc.start()
    clock.advance(3.0)
    assert seen[:2] == [[("k", 3)], [("k", 6)]]
    (said,) = [record.getMessage() for record in caplog.records if "tried again" in record.getMessage()]
    assert said.startswith("The batch 1000 failed (run) and is tried again in 100 ms: UserCodeError: ")
    assert "a passing fault" in said


def test_a_sink_that_is_away_is_tried_again(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    class Flaky(ms.Sink[int]):
        committed: ClassVar[list[Any]] = []
        failures = 2

        def open(self, lineage: ms.SinkLineage) -> int | None:
            return None

        def stage(self, batch: ms.Batch, partition: int, data: ms.Partition[int]) -> Any:
            return list(data.rows())

        def commit(self, batch: ms.Batch, receipts: Any) -> None:
            if Flaky.failures:
                Flaky.failures -= 1
                raise SinkUnavailableError("The store does not answer.")
            Flaky.committed.append((batch.time_ms, [row for rows in receipts for row in rows]))

        def discard(self, batch: ms.Batch, receipts: Any) -> None: ...

    ssc.queue_stream([[1, 2], [3]]).write_to(Flaky())
    ssc.start()
    clock.advance(3.0)
    assert Flaky.committed[:2] == [(1_000, [1, 2]), (2_000, [3])]


def test_a_coroutine_function_is_refused_where_it_is_written(ssc: ms.StreamingContext) -> None:
    async def look_up(x: int) -> int:
        return x

    with pytest.raises(GraphError, match=r"async|coroutine"):
        ssc.queue_stream([[1]]).map(look_up)


def test_what_is_not_a_function_is_refused(ssc: ms.StreamingContext) -> None:
    with pytest.raises(ArgumentTypeError, match="map needs a function"):
        ssc.queue_stream([[1]]).map(3)  # type: ignore[call-overload]


@pytest.mark.parametrize("record", [5, "ab", [1, 2], (1,), (1, 2, 3), None])
def test_a_record_that_is_not_a_pair_is_named(record: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="pair") as caught:
        run_batches(lambda ssc, s: s.reduce_by_key(lambda a, b: a), [[record]])
    assert repr(record) in str(caught.value)


@pytest.mark.parametrize("key", [[1], {"a": 1}, float("nan")])
@pytest.mark.parametrize("partitions", [1, 2])
def test_a_key_that_cannot_be_one_is_named(key: Any, partitions: int) -> None:
    with pytest.raises(ArgumentTypeError, match="key"):
        run_batches(lambda ssc, s: s.reduce_by_key(lambda a, b: a), [[(key, 1)]], partitions=partitions)


def test_overdue_batches_are_merged_and_nothing_is_lost(ssc: ms.StreamingContext, clock: ManualClock) -> None:
    seen: list[list[int]] = []
    late = [True]
    merged: list[BatchTimesMerged] = []

    class Merged(ms.StreamingListener):
        def on_batch_times_merged(self, event: BatchTimesMerged) -> None:
            merged.append(event)

    ssc.add_listener(Merged())

    def slow(rows: list[int]) -> None:
        seen.append(rows)
        if late:
            late.pop()
            clock.advance(5.3)  # the batch takes so long

    stream = ssc.memory_stream()
    stream.collect_to(slow)
    ssc.start()
    stream.push(1)
    clock.advance(1.0)
    stream.push(2)
    clock.advance(1.0)
    assert seen == [[1], [2], []]
    assert [(event.from_ms, event.to_ms, event.count) for event in merged] == [(2_000, 5_000, 4)]


def test_records_changed_in_place_are_found() -> None:
    from millstream.testing.mutation import MutationError

    def change(row: dict[str, int]) -> dict[str, int]:
        row["seen"] = 1
        return row

    with pytest.raises(MutationError, match="changed in place"):
        run_batches(lambda ssc, s: s.map(change), [[{"a": 1}]], check_mutation=True)

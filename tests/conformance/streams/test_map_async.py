"""`map_async` on both backends: order, bound, policies, and what an error tells."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import millstream as ms
from millstream.errors import ArgumentTypeError, ConfigurationError, GraphError, UserCodeError
from millstream.testing import run_batches
from tests.conformance.streams.runs import Batches, RunBatches

CONTEXT: dict[str, Any] = {}
"""What functions share within one process."""


async def waits_longer_for_less(x: int) -> int:
    for _ in range(10 - x):
        await asyncio.sleep(0)
    return x * 10


async def refuses_zero(x: int) -> float:
    await asyncio.sleep(0)
    return 1 / x


@given(
    batches=st.lists(st.lists(st.integers(0, 10), max_size=8), min_size=1, max_size=3),
    concurrency=st.integers(1, 10),
    partitions=st.integers(1, 3),
)
def test_results_come_in_the_order_of_the_records(
    run: RunBatches, batches: Batches, concurrency: int, partitions: int
) -> None:
    async def later_for_even(x: int) -> int:
        for _ in range(2 - x % 2):
            await asyncio.sleep(0)
        return x * 10

    def plain(ssc: Any, s: ms.DStream[int]) -> ms.DStream[int]:
        return s.repartition(partitions).map(lambda x: x * 10)

    def awaited(ssc: Any, s: ms.DStream[int]) -> ms.DStream[int]:
        return s.repartition(partitions).map_async(later_for_even, concurrency=concurrency)

    assert run(awaited, batches) == run(plain, batches)


def test_results_come_in_the_order_of_completion(run: RunBatches) -> None:
    assert run(lambda ssc, s: s.repartition(1).map_async(waits_longer_for_less, ordered=False), [[1, 9, 5]]) == [
        [90, 50, 10]
    ]
    assert run(lambda ssc, s: s.repartition(1).map_async(waits_longer_for_less), [[1, 9, 5]]) == [[10, 90, 50]]


def test_an_operator_before_and_one_behind(run: RunBatches) -> None:
    def build(ssc: Any, s: ms.DStream[int]) -> ms.DStream[int]:
        return (
            s.repartition(1)
            .map(lambda x: x + 1)
            .map_async(waits_longer_for_less)
            .filter(lambda x: x > 20)
            .map_async(once_more)
        )

    async def once_more(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    assert run(build, [[0, 1, 2, 3], []]) == [[31, 41], []]


@pytest.mark.parametrize("concurrency", [1, 3, 50])
def test_no_more_calls_are_in_flight_than_asked_for(run: RunBatches, concurrency: int) -> None:
    def build(ssc: Any, s: ms.DStream[int]) -> ms.DStream[int]:
        now = 0

        async def in_flight(x: int) -> int:
            nonlocal now
            now += 1
            seen = now
            await asyncio.sleep(0.001 * (x % 3))
            now -= 1
            return seen

        return s.repartition(1).map_async(in_flight, concurrency=concurrency)

    [seen] = run(build, [list(range(40))])
    assert max(seen) == min(concurrency, 40)


def test_a_call_that_never_waits_does_not_starve_the_others(run: RunBatches) -> None:
    def build(ssc: Any, s: ms.DStream[int]) -> ms.DStream[int]:
        done: list[int] = []

        async def cached(x: int) -> int:
            if x == 0:
                await asyncio.sleep(0)
            done.append(x)
            return done.index(x)

        return s.repartition(1).map_async(cached, concurrency=2)

    [places] = run(build, [list(range(1_000))])
    assert places[0] < 100


def test_the_batch_and_its_clock_are_known(run: RunBatches) -> None:
    async def stamped(x: str, batch: ms.Batch) -> Any:
        await asyncio.sleep(0)
        return x, batch.time_ms, ms.batch_time() == batch.time, ms.batch_rng("a").random() == ms.batch_rng("a").random()

    assert run(lambda ssc, s: s.repartition(1).map_async(stamped), [["a"], ["b"]]) == [
        [("a", 1000, True, True)],
        [("b", 2000, True, True)],
    ]


def test_any_awaitable_will_do(run: RunBatches) -> None:
    class Answer:
        def __init__(self, x: int) -> None:
            self.x = x

        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return self.x * 2

    def future(x: int) -> Awaitable[int]:
        return asyncio.ensure_future(asyncio.sleep(0, x * 3))

    assert run(lambda ssc, s: s.repartition(1).map_async(Answer), [[1, 2]]) == [[2, 4]]
    assert run(lambda ssc, s: s.repartition(1).map_async(future), [[1, 2]]) == [[3, 6]]
    assert run(lambda ssc, s: s.repartition(1).map_async(lambda x: asyncio.sleep(0, x)), [[1, 2]]) == [[1, 2]]


async def through_one_queue(x: int) -> int:
    loop = asyncio.get_running_loop()
    queue = CONTEXT.setdefault(f"queue of {id(loop)}", asyncio.Queue())
    asyncio.get_running_loop().call_soon(queue.put_nowait, x)
    await queue.get()
    return id(loop)


def test_one_loop_serves_all_batches(run: RunBatches) -> None:
    [[first], [second], [third]] = run(lambda ssc, s: s.repartition(1).map_async(through_one_queue), [[1], [2], [3]])
    assert first == second == third


def test_an_error_names_operator_batch_and_record(run: RunBatches) -> None:
    with pytest.raises(UserCodeError) as caught:
        run(lambda ssc, s: s.repartition(1).map_async(refuses_zero, name="quotients"), [[1], [1, 0, 2]])
    error = caught.value
    assert (error.operator, error.batch_time_ms, error.record) == ("map_async", 2000, "0")
    assert error.site is not None
    assert error.site.startswith(__file__)
    assert "map_async 'quotients' raised ZeroDivisionError" in str(error)
    assert f"raised at {__file__}" in str(error)
    assert isinstance(error.__cause__, ZeroDivisionError)
    shown = "".join(traceback.format_exception(error.__cause__))
    assert "return 1 / x" in shown
    assert "async_calls.py" not in shown


def test_an_error_of_an_operator_before_is_its_own(run: RunBatches) -> None:
    with pytest.raises(UserCodeError) as caught:
        run(lambda ssc, s: s.map(lambda x: 1 // x).map_async(refuses_zero), [[0]])
    assert caught.value.operator == "map"


def test_a_call_that_takes_too_long_fails(run: RunBatches) -> None:
    async def never(x: int) -> None:
        await asyncio.Event().wait()

    with pytest.raises(UserCodeError) as caught:
        run(lambda ssc, s: s.repartition(1).map_async(never, timeout=0.005), [[7]])
    assert "map_async did not end within its timeout of 0.005 s" in str(caught.value)
    assert (caught.value.record, caught.value.batch_time_ms) == ("7", 1000)
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_a_timeout_of_the_function_itself_is_an_error_like_any(run: RunBatches) -> None:
    async def gives_up(x: int) -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(UserCodeError, match="raised TimeoutError"):
        run(lambda ssc, s: s.repartition(1).map_async(gives_up, timeout=60), [[7]])


def test_a_call_whose_own_task_is_cancelled_has_failed(run: RunBatches) -> None:
    async def cancelled(x: int) -> None:
        waiting = asyncio.ensure_future(asyncio.Event().wait())
        asyncio.get_running_loop().call_soon(waiting.cancel)
        await waiting

    with pytest.raises(UserCodeError, match="raised CancelledError"):
        run(lambda ssc, s: s.repartition(1).map_async(cancelled), [[7]])
    assert run(lambda ssc, s: s.repartition(1).map_async(cancelled, on_error="skip"), [[7, 8]]) == [[]]


@pytest.mark.parametrize("timeout", [None, 0.005])
def test_a_call_that_failed_is_tried_again(run: RunBatches, timeout: float | None) -> None:
    def build(ssc: Any, s: ms.DStream[int]) -> ms.DStream[Any]:
        tries: dict[int, int] = {}

        async def third_time(x: int) -> Any:
            tries[x] = tries.get(x, 0) + 1
            if tries[x] < 3:
                if timeout is not None:
                    await asyncio.Event().wait()
                raise OSError("no answer")
            return x, tries[x]

        return s.repartition(1).map_async(third_time, retries=2, retry_pause=0.001, timeout=timeout)

    assert run(build, [[1, 2]]) == [[(1, 3), (2, 3)]]


def test_the_error_after_the_last_retry_counts_the_tries(run: RunBatches) -> None:
    with pytest.raises(UserCodeError, match="it was tried 3 times"):
        run(lambda ssc, s: s.repartition(1).map_async(refuses_zero, retries=2, retry_pause=0), [[0]])


def test_pauses_double(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float, result: Any = None) -> Any:
        asked.append(seconds)
        return await real(0, result)

    async def fails(x: int) -> None:
        raise OSError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    run_batches(lambda ssc, s: s.repartition(1).map_async(fails, retries=10, retry_pause=0.1, on_error="skip"), [[1]])
    assert asked == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0])


def test_records_are_skipped_and_counted(run: RunBatches) -> None:
    counters: list[Any] = []

    def build(ssc: ms.StreamingContext, s: ms.DStream[int]) -> ms.DStream[float]:
        counters.append(ssc.context.accumulator(0))
        return s.repartition(1).map_async(refuses_zero, on_error="skip", skipped=counters[0])

    assert run(build, [[0, 1, 0, 2], [0], [4]]) == [[1.0, 0.5], [], [0.25]]
    assert counters[0].value == 3


def test_a_batch_that_fails_counts_nothing(run: RunBatches) -> None:
    counters: list[Any] = []

    def build(ssc: ms.StreamingContext, s: ms.DStream[int]) -> ms.DStream[Any]:
        counters.append(ssc.context.accumulator(0))
        return (
            s.repartition(1).map_async(refuses_zero, on_error="skip", skipped=counters[0]).map(lambda x: 1 // (x - 1))
        )

    with pytest.raises(UserCodeError):
        run(build, [[0, 1]])
    assert counters[0].value == 0


def test_what_is_in_flight_has_ended_when_the_error_leaves(run: RunBatches, tmp_path: Path) -> None:
    log = tmp_path / "log"

    async def writes_when_cancelled(x: int) -> None:
        if x == 0:
            await asyncio.sleep(0)
            raise OSError("no answer")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.002)
            with log.open("a") as file:
                file.write(f"{x}\n")
            raise

    with pytest.raises(UserCodeError, match="no answer") as caught:
        run(lambda ssc, s: s.repartition(1).map_async(writes_when_cancelled, concurrency=3), [[1, 2, 0, 4]])
    assert caught.value.record == "0"
    # Record 4 was never begun; the batch is tried twice.
    assert sorted(log.read_text().split()) == ["1", "1", "2", "2"]


def test_an_error_in_being_cancelled_does_not_hide_the_first(run: RunBatches) -> None:
    async def fails_when_cancelled(x: int) -> None:
        if x == 0:
            await asyncio.sleep(0)
            raise OSError("the first")
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("the second")

    with pytest.raises(UserCodeError, match="the first"):
        run(lambda ssc, s: s.repartition(1).map_async(fails_when_cancelled), [[1, 0, 2]])


def test_the_loop_serves_the_batch_that_is_tried_again(run: RunBatches) -> None:
    async def second_attempt(x: int, batch: ms.Batch) -> Any:
        await asyncio.sleep(0)
        if batch.attempt == 0:
            raise OSError("not yet")
        return x, batch.attempt

    assert run(lambda ssc, s: s.repartition(1).map_async(second_attempt), [[1, 2]]) == [[(1, 1), (2, 1)]]


def test_a_plain_function_is_refused_when_it_returns(run: RunBatches) -> None:
    with pytest.raises(ArgumentTypeError, match=r"returned 2 of type int, which cannot be awaited(.|\n)*Use map"):
        run(lambda ssc, s: s.repartition(1).map_async(lambda x: x + 1, on_error="skip", retries=3), [[1]])


async def wants_three(x: int, batch: ms.Batch, more: int) -> int:
    return x


async def yields(x: int) -> AsyncIterator[int]:
    yield x


@pytest.mark.parametrize("f", [3, yields, wants_three])
def test_what_cannot_be_called_and_awaited_is_refused_at_once(f: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="map_async"):
        ms.Context().parallelize([1]).map_async(f)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"concurrency": 0}, ConfigurationError),
        ({"timeout": 0}, ConfigurationError),
        ({"timeout": -1}, ConfigurationError),
        ({"retries": -1}, ConfigurationError),
        ({"retry_pause": -0.1}, ConfigurationError),
        ({"on_error": "stop"}, ConfigurationError),
        ({"skipped": ms.Context().accumulator(0)}, ConfigurationError),
        ({"concurrency": 1.5}, ArgumentTypeError),
        ({"timeout": "1"}, ArgumentTypeError),
        ({"retries": None}, ArgumentTypeError),
        ({"skipped": [], "on_error": "skip"}, ArgumentTypeError),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ms.Context().parallelize([1]).map_async(refuses_zero, **arguments)


def test_an_rdd_has_it_too(context: ms.Context) -> None:
    counter = context.accumulator(0)
    numbers = context.parallelize([4, 0, 2, 1], 2)
    assert numbers.map_async(refuses_zero, on_error="skip", skipped=counter).collect() == [0.25, 0.5, 1.0]
    assert counter.value == 1
    with pytest.raises(UserCodeError) as caught:
        numbers.map_async(refuses_zero).count()
    assert (caught.value.record, caught.value.batch_time_ms) == ("0", None)


def test_a_function_that_wants_the_batch_needs_one(context: ms.Context) -> None:
    async def stamped(x: int, batch: ms.Batch) -> int:
        return batch.time_ms

    with pytest.raises(GraphError, match="map_async asks for the batch"):
        context.parallelize([1]).map_async(stamped).collect()


def test_inside_a_program_whose_own_loop_runs(run: RunBatches) -> None:
    counters: list[Any] = []

    def build(ssc: ms.StreamingContext, s: ms.DStream[int]) -> ms.DStream[Any]:
        counters.append(ssc.context.accumulator(0))

        async def stamped(x: int) -> Any:
            await asyncio.sleep(0)
            counters[0].add(x)
            return x, ms.batch_time().timestamp()

        return s.repartition(1).map_async(stamped)

    async def main() -> Batches:
        return run(build, [[1], [2]])

    assert asyncio.run(main()) == [[(1, 1.0)], [(2, 2.0)]]
    assert counters[0].value == 3


def test_beside_a_loop_in_another_thread() -> None:
    """As in a web service: the main thread runs a loop, the driver has a thread of its own."""

    async def main() -> list[int]:
        seen: asyncio.Queue[int] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        ssc = ms.StreamingContext(0.01, name="beside", process_tuning=False)
        numbers = ssc.memory_stream()
        numbers.map_async(waits_longer_for_less).collect_to(
            lambda rows, batch: [loop.call_soon_threadsafe(seen.put_nowait, row) for row in rows]
        )
        ssc.start()
        numbers.push_many([7, 9, 8])
        got = [await seen.get() for _ in range(3)]
        ssc.stop()
        await ssc.wait()
        return got

    assert asyncio.run(main()) == [70, 90, 80]

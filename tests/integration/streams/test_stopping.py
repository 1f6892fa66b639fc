"""A stream that stops gracefully processes what it received, whatever it is doing at that moment."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.errors import LifecycleError, UserCodeError
from millstream.model.ports.block_feed import Block, BlockFeed, FeedEvent
from millstream.observe.events import StreamingStopped
from millstream.testing import ManualClock


class LastWords(BlockFeed):
    """Stores one more block when it is told to stop, sealed at the clock's time, as receivers do."""

    name = "last words"

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.blocks: list[Block] = []
        self.closed = False

    def start(self, *, interval_ms: int, zero_ms: int, notify: Callable[[FeedEvent], None]) -> None:
        self.interval_ms = interval_ms
        self.notify = notify
        notify(FeedEvent("started"))

    def store(self, *records: str) -> None:
        slot_ms = math.ceil(self.clock.wall_ms() / self.interval_ms) * self.interval_ms
        self.blocks.append(Block(list(records), len(records), slot_ms))

    def take(self, until_ms: int) -> list[Block]:
        taken = [block for block in self.blocks if block.batch_ms <= until_ms]
        self.blocks = [block for block in self.blocks if block.batch_ms > until_ms]
        return taken

    def begin_stop(self) -> None:
        self.store("last")
        self.notify(FeedEvent("stopped"))

    def hold(self) -> None: ...
    def resume(self) -> None: ...
    def set_rate(self, records_per_s: float | None) -> None: ...
    def restart(self) -> None: ...
    def close(self) -> None:
        self.closed = True


class Left(ms.StreamingListener):
    def __init__(self) -> None:
        self.left: dict[str, int] | None = None
        self.error: str | None = None

    def on_streaming_stopped(self, event: StreamingStopped) -> None:
        self.left, self.error = dict(event.left), event.error


def test_blocks_sealed_while_a_batch_was_late_are_in_the_last_batch(
    either: ms.StreamingContext, clock: ManualClock
) -> None:
    """The next due time that the driver knows is long past when the receivers have ended."""
    feed, left = LastWords(clock), Left()
    batches: list[tuple[int, list[str]]] = []
    either.add_listener(left)
    either.stream(feed).collect_to(lambda rows, batch: batches.append((batch.time_ms, rows)))

    def slow(rdd: Any) -> None:
        if len(batches) == 1:
            return
        assert either.stop() is False  # From inside the stream it can only be asked for.
        clock.advance(5.3)
        feed.store("late")

    either.queue_stream([[1]]).foreach_rdd(slow)
    either.start()
    clock.advance(0)
    feed.store("early")
    clock.advance(1.0)
    assert either.await_termination(0) is True
    assert batches == [(1_000, ["early"]), (7_000, ["late", "last"])]
    assert left.left == {}
    assert feed.closed


def test_a_graceful_stop_processes_what_waits_in_every_input(either: ms.StreamingContext, clock: ManualClock) -> None:
    feed = LastWords(clock)
    seen: list[list[Any]] = []
    pushed = either.memory_stream()
    either.stream(feed).union(pushed).collect_to(seen)
    either.start()
    clock.advance(1.4)
    pushed.push_many(["a", "b"])
    feed.store("c")
    assert either.stop() is True
    assert seen == [[], ["c", "last", "a", "b"]]


def test_an_ungraceful_stop_says_what_it_leaves(either: ms.StreamingContext, clock: ManualClock) -> None:
    left, seen = Left(), list[list[Any]]()
    either.add_listener(left)
    pushed = either.memory_stream(name="pushed")
    pushed.collect_to(seen)
    either.start()
    clock.advance(1.0)
    pushed.push_many([1, 2, 3])
    assert either.stop(graceful=False) is True
    assert seen == [[]]
    assert left.left == {"pushed": 3}
    with pytest.raises(LifecycleError, match="takes no more records"):
        pushed.push(4)


class Deaf(LastWords):
    """Does not end when it is told to."""

    name = "deaf"

    def begin_stop(self) -> None: ...


@pytest.mark.parametrize("durable", [True, False])
def test_a_graceful_stop_whose_time_runs_out_says_what_it_leaves_and_what_becomes_of_it(
    context: ms.Context, clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture, durable: bool
) -> None:
    seen, left, place = list[list[str]](), Left(), tmp_path if durable else None

    def started() -> tuple[ms.StreamingContext, Deaf]:
        ssc = ms.StreamingContext(
            1.0, name="deaf", context=context, environment=ms.Environment(clock), checkpoint=place
        )
        feed = Deaf(clock)
        records: ms.DStream[str] = ssc.stream(feed, name="deaf")
        records.collect_to(seen)
        # Asked for from inside, where it cannot be waited for: the test moves the clock.
        ssc.memory_stream().foreach_rdd(lambda rdd: seen and ssc.stop(timeout=0.5) is False)
        ssc.add_listener(left)
        ssc.start()
        return ssc, feed

    ssc, feed = started()
    clock.advance(0.5)
    feed.store("in the last batch")
    with caplog.at_level(logging.INFO, logger="millstream"):
        clock.advance(1.6)
        assert "The stream deaf stops: it waits for its receivers, and the batches of what they received." in (
            caplog.messages
        )
        feed.store("too late", "for it")
        assert ssc.await_termination(0) is False
        clock.advance(0.4)
    assert ssc.await_termination(0) is True
    assert (seen, left.left, left.error) == ([["in the last batch"], []], {"deaf": 2}, None)
    fate = "kept in the checkpoint, and come first at the next start" if durable else "lost with the process"
    assert f"2 records of the input deaf were not processed: they are {fate}." in caplog.messages
    ssc, _ = started()
    clock.advance(1.0)
    ssc.stop(graceful=False)
    assert seen[2:] == ([["too late", "for it"]] if durable else [[]])


def test_a_stop_while_a_batch_waits_for_its_retry_gives_it_up(context: ms.Context, clock: ManualClock) -> None:
    calls: list[int] = []

    def away(rdd: ms.RDD[int], batch: ms.Batch) -> None:
        calls.append(batch.attempt)
        raise ms.MillstreamError("Not now.", detail="It is busy.", hint="Wait.") from None

    with ms.StreamingContext(1.0, context=context, environment=ms.Environment(clock)) as ssc:
        ssc.queue_stream([[1]]).foreach_rdd(away)
        ssc.start()
        clock.advance(1.0)
        with pytest.raises(ms.MillstreamError, match="Not now"):
            ssc.await_termination(0)
    assert calls == [0]


def test_a_stop_waits_no_longer_than_it_was_told_to(context: ms.Context) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def stuck(rdd: Any) -> None:
        entered.set()
        go_on.wait(60)

    ssc = ms.StreamingContext(0.01, context=context, name="stuck")
    ssc.queue_stream([[1]]).foreach_rdd(stuck)
    ssc.start()
    assert entered.wait(60)
    assert ssc.await_termination(0.001) is False
    assert ssc.state == "active"
    go_on.set()
    assert ssc.stop() is True
    assert ms.StreamingContext.active("stuck") is None


def test_leaving_the_block_stops_gracefully_and_an_error_at_once(context: ms.Context, clock: ManualClock) -> None:
    environment = ms.Environment(clock)
    for error, expected in ((None, [[1]]), (KeyError("in the block"), [])):
        seen: list[list[int]] = []
        try:
            with ms.StreamingContext(1.0, context=context, environment=environment) as ssc:
                numbers = ssc.memory_stream()
                numbers.collect_to(seen)
                ssc.start()
                numbers.push(1)
                if error is not None:
                    raise error
        except KeyError:
            assert error is not None
        assert ssc.state == "stopped"
        assert seen == expected


def test_a_context_that_was_given_lives_on_and_one_that_was_made_ends(context: ms.Context, clock: ManualClock) -> None:
    environment = ms.Environment(clock)
    for given in (context, None):
        with ms.StreamingContext(1.0, context=given, environment=environment) as ssc:
            ssc.queue_stream([[1]]).collect_to([])
            ssc.start()
        if given is not None:
            assert ssc.context.range(3).collect() == [0, 1, 2]
        else:
            numbers = ssc.context.range
            with pytest.raises(LifecycleError, match="The context is closed"):
                numbers(3)


def test_waiting_in_an_event_loop_can_be_cancelled_and_the_stream_goes_on(context: ms.Context) -> None:
    first = threading.Event()
    threads: list[int] = []

    async def wait_a_little(ssc: ms.StreamingContext) -> None:
        before = threading.active_count()
        waiting = [asyncio.create_task(ssc.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        threads.append(threading.active_count() - before)
        for each in waiting:
            each.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 3

    with ms.StreamingContext(0.01, context=context) as ssc:
        ssc.queue_stream([], default=[1]).foreach_rdd(lambda rdd: first.set())
        ssc.start()
        asyncio.run(wait_a_little(ssc))
        first.clear()
        assert first.wait(60)
        assert ssc.state == "active"
    assert threads == [0]


def test_waiting_in_an_event_loop_raises_what_stopped_the_stream(context: ms.Context) -> None:
    with ms.StreamingContext(0.01, context=context) as ssc:
        ssc.queue_stream([[0]]).map(lambda x: 1 // x).collect_to([])
        with pytest.raises(LifecycleError, match="not started"):
            asyncio.run(ssc.wait())
        ssc.start()
        for _ in range(2):  # The second time it has ended before.
            with pytest.raises(UserCodeError, match="ZeroDivisionError"):
                asyncio.run(asyncio.wait_for(ssc.wait(), 60))

"""Where the model leaves room for surprises: what streams do with empty batches, order, time, names and memory."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from functools import partial
from operator import add, sub
from typing import Any

import pytest

import millstream as ms
from millstream.errors import ConfigurationError, LifecycleError
from millstream.observe.events import BatchCompleted, StreamingStopped
from millstream.testing import ManualClock, run_batches


def test_an_empty_batch_gives_what_each_operator_gives_for_nothing(context: ms.Context) -> None:
    def build(ssc: Any, s: Any) -> Any:
        pairs = s.map(lambda x: (x, 1))
        parts = {
            "count": s.count(),
            "reduce": s.reduce(add),
            "count_by_value": s.count_by_value(),
            "reduce_by_key": pairs.reduce_by_key(add),
            "join": pairs.join(pairs),
            "map_partitions": s.map_partitions(lambda rows: [sum(rows)]),
            "count_by_window": s.count_by_window(2),
            "reduce_by_window": s.reduce_by_window(add, 2),
            "inverse": s.reduce_by_window(add, 2, inverse=sub),
        }
        named = [part.map(lambda x, name=name: (name, x)) for name, part in parts.items()]
        return ssc.union(*named)

    first, second, third = run_batches(build, [[5], [], []], context=context)
    assert {name for name, _ in first} == {
        "count",
        "reduce",
        "count_by_value",
        "reduce_by_key",
        "join",
        "map_partitions",
        "count_by_window",
        "reduce_by_window",
        "inverse",
    }
    assert sorted({row for row in second if row[0] != "map_partitions"}) == [
        ("count", 0),
        ("count_by_window", 1),
        ("inverse", 5),
        ("reduce_by_window", 5),
    ]
    assert sorted({row for row in third if row[0] != "map_partitions"}) == [("count", 0), ("count_by_window", 0)]


@pytest.mark.parametrize(("window", "slide"), [(2, 1), (5, 1), (12, 2), (3, 3)])
def test_keys_disappear_with_their_window_whatever_its_length(context: ms.Context, window: int, slide: int) -> None:
    batches = [[("a", 1)], [("b", 2)], *([[]] * (window + 2 * slide))]
    for inverse in (None, sub):
        result = run_batches(
            lambda ssc, s, inverse=inverse: s.reduce_by_key_and_window(add, inverse, window=window, slide=slide),
            batches,
            context=context,
        )
        assert result[-1] == []
        assert any(("b", 2) in batch for batch in result)


def test_a_value_of_zero_stays_as_long_as_its_key_is_in_the_window(context: ms.Context) -> None:
    result = run_batches(
        lambda ssc, s: s.reduce_by_key_and_window(add, sub, window=2),
        [[("a", 1)], [("a", -1)], [], []],
        context=context,
    )
    assert result == [[("a", 1)], [("a", 0)], [("a", -1)], []]


def test_windows_start_partial_and_fall_on_the_grid(context: ms.Context) -> None:
    result = run_batches(
        lambda ssc, s: s.window(1.5, 1.0), [[1], [2], [3], [4], [5], [], [], []], context=context, batch_interval=0.5
    )
    assert result == [[], [1, 2], [], [2, 3, 4], [], [4, 5], [], []]


def test_batch_times_fall_on_multiples_of_the_interval_since_the_epoch(context: ms.Context) -> None:
    clock = ManualClock(43.05)
    times: list[int] = []
    with ms.StreamingContext(timedelta(seconds=2), context=context, environment=ms.Environment(clock)) as ssc:
        ssc.queue_stream([]).foreach_rdd(lambda rdd, batch: times.append(batch.time_ms))
        ssc.start()
        clock.advance(5.0)
        assert times == [44_000, 46_000, 48_000]


def test_grouped_windows_keep_the_order_of_arrival_and_their_lists_to_themselves(
    either: ms.StreamingContext, clock: ManualClock
) -> None:
    seen: list[list[Any]] = []
    pairs = either.queue_stream([[("k", 3), ("k", 1)], [("k", 2)], []])
    pairs.group_by_key_and_window(2).collect_to(seen)
    either.start()
    clock.advance(1.0)
    kept = seen[0]
    clock.advance(2.0)
    assert kept == [("k", [3, 1])]
    assert seen == [[("k", [3, 1])], [("k", [3, 1, 2])], [("k", [2])]]


def test_a_union_keeps_the_order_of_its_streams(context: ms.Context) -> None:
    def build(ssc: Any, a: Any, b: Any, c: Any) -> Any:
        return ssc.union(c, a).union(b, a)

    assert run_batches(build, [[1, 2]], [[3]], [[4]], context=context) == [[4, 1, 2, 3, 1, 2]]


def test_transform_of_several_streams_gets_their_rdds_and_the_batch(context: ms.Context) -> None:
    def both(rdds: list[ms.RDD[int]], batch: ms.Batch) -> ms.RDD[Any]:
        return rdds[0].union(rdds[1]).map(lambda x: (batch.time_ms, x))

    result = run_batches(lambda ssc, a, b: ssc.transform([a, b], both), [[1], [2]], [[10]], context=context)
    assert result == [[(1_000, 1), (1_000, 10)], [(2_000, 2)]]


def test_transform_may_give_nothing(context: ms.Context) -> None:
    result = run_batches(
        lambda ssc, s: s.transform(lambda rdd, batch: rdd if batch.time_ms > 1_000 else None).count(),
        [[1], [2, 3]],
        context=context,
    )
    assert result[1] == [2]
    assert result[0] in ([], [0])


class Adder:
    def __init__(self, n: int) -> None:
        self.n = n

    def plus(self, x: int) -> int:
        return x + self.n

    def at(self, x: int, batch: ms.Batch) -> tuple[int, int]:
        return batch.time_ms, x + self.n

    def __call__(self, x: int, factor: int = 1) -> int:
        return (x + self.n) * factor


def test_any_callable_works_as_a_function(context: ms.Context) -> None:
    def build(ssc: Any, s: Any) -> Any:
        return (
            s.map(Adder(1).plus)
            .map(partial(pow, 2))
            .map(Adder(1))
            .map(float)
            .map(int)
            .map(Adder(0).at)
            .transform(partial(lambda factor, rdd: rdd.map_values(lambda v: v * factor), 10))
        )

    assert run_batches(build, [[1, 2]], context=context) == [[(1_000, 50), (1_000, 90)]]


def test_time_and_chance_are_those_of_the_batch_in_every_attempt(
    either: ms.StreamingContext, clock: ManualClock
) -> None:
    failing = [True]
    seen: list[list[Any]] = []
    drawn = either.queue_stream([[1], [2]]).map(lambda x: (ms.batch_time().second, ms.batch_rng("dice").random()))
    attempts: list[list[Any]] = []

    def look(rdd: ms.RDD[Any], batch: ms.Batch) -> None:
        attempts.append([batch.attempt, rdd.collect()])
        if failing:
            failing.pop()
            raise ConnectionError("again")

    drawn.foreach_rdd(look)
    drawn.collect_to(seen)
    either.start()
    clock.advance(3.0)
    assert [attempt for attempt, _ in attempts[:3]] == [0, 1, 0]
    assert attempts[0][1] == attempts[1][1] == seen[0]
    assert seen[0][0][0] == 1
    assert seen[0][0][1] != seen[1][0][1]


def test_a_batch_says_what_its_inputs_gave(either: ms.StreamingContext, clock: ManualClock) -> None:
    inputs: list[Any] = []
    numbers = either.queue_stream([[1, 2], []], name="numbers")
    numbers.foreach_rdd(lambda rdd, batch: inputs.append(batch.inputs["numbers"].records))
    either.start()
    clock.advance(2.0)
    assert inputs == [2, 0]


def test_a_queue_gives_what_is_put_in_later_and_its_default(either: ms.StreamingContext, clock: ManualClock) -> None:
    waiting: deque[Any] = deque()
    seen: list[list[int]] = []
    either.queue_stream(waiting, default=[0]).collect_to(seen)
    either.start()
    clock.advance(1.0)
    waiting.append([1, 2])
    waiting.append(either.context.parallelize([3, 4]).map(lambda x: x * 10))
    clock.advance(3.0)
    assert seen == [[0], [1, 2], [30, 40], [0]]
    assert not waiting


def test_a_queue_gives_all_that_is_there_at_once(either: ms.StreamingContext, clock: ManualClock) -> None:
    waiting: list[Any] = [[1], either.context.range(2, 4), [4]]
    seen: list[list[int]] = []
    either.queue_stream(waiting, one_at_a_time=False).collect_to(seen)
    either.start()
    clock.advance(1.0)
    waiting.append([5])
    clock.advance(2.0)
    assert seen == [[1, 2, 3, 4], [5], []]


def test_records_of_a_queue_are_counted(either: ms.StreamingContext, clock: ManualClock) -> None:
    counted: list[int] = []

    class Records(ms.StreamingListener):
        def on_batch_completed(self, event: BatchCompleted) -> None:
            counted.append(event.records_total)

    either.add_listener(Records())
    either.queue_stream([[1, 2], [], [3]]).collect_to([])
    either.start()
    clock.advance(3.0)
    either.stop()
    assert counted == [2, 0, 1]


def test_an_element_that_is_no_batch_stops_the_stream(either: ms.StreamingContext, clock: ManualClock) -> None:
    wrong: list[Any] = [[1], 2]
    either.queue_stream(wrong).collect_to([])
    either.start()
    clock.advance(3.0)
    with pytest.raises(ms.MillstreamError, match="no batch") as caught:
        either.await_termination(0)
    for words in ("2 is of type int", "(2000 ms) of the stream 'main'", "Hint: "):
        assert words in str(caught.value)


def test_listeners_are_added_and_removed(either: ms.StreamingContext, clock: ManualClock) -> None:
    class Times(ms.StreamingListener):
        def __init__(self) -> None:
            self.times: list[int] = []

        def on_batch_completed(self, event: BatchCompleted) -> None:
            self.times.append(event.batch_time_ms)

    class Raises(ms.StreamingListener):
        def on_batch_completed(self, event: BatchCompleted) -> None:
            raise RuntimeError("a listener that fails")

        def on_streaming_stopped(self, event: StreamingStopped) -> None:
            raise SystemExit

    always, early, late = Times(), Times(), Times()
    either.add_listener(Raises())
    either.add_listener(always)
    either.add_listener(early)
    either.queue_stream([[1]]).collect_to([])
    either.start()
    clock.advance(1.0)
    clock.advance(0)
    either.remove_listener(early)
    either.add_listener(late)
    clock.advance(1.0)
    assert either.stop() is True
    assert (always.times, early.times, late.times) == ([1_000, 2_000], [1_000], [2_000])


def test_a_slice_looks_back_on_every_kind_of_stream(either: ms.StreamingContext, clock: ManualClock) -> None:
    numbers = either.queue_stream([[1], [2], [3], [4]])
    pairs = numbers.map(lambda x: (x % 2, x))
    with_batch = numbers.map(lambda x, batch: (batch.time_ms, x))
    running: Any = pairs.map_with_state(lambda key, value, state: state.update(state.get(0) + value))
    streams: dict[str, Any] = {
        "batch": with_batch,
        "state": pairs.update_state_by_key(lambda values, old: (old or 0) + sum(values)),
        "window": numbers.window(2, 2),
        "inverse": pairs.reduce_by_key_and_window(add, sub, window=2),
        "transform": numbers.transform(lambda rdd: rdd.map(lambda x: -x)),
        "snapshots": running.state_snapshots(),
        "shuffled": pairs.group_by_key(),
    }
    with_batch.collect_to([])  # All the others are read by nobody.
    either.remember(10)
    either.remember(2)  # Does not shorten it.
    either.start()
    clock.advance(4.0)
    slices = {name: [sorted(rdd.collect()) for rdd in stream.slice(2, 4)] for name, stream in streams.items()}
    assert slices == {
        "batch": [[(2_000, 2)], [(3_000, 3)], [(4_000, 4)]],
        "state": [[(0, 2), (1, 1)], [(0, 2), (1, 4)], [(0, 6), (1, 4)]],
        "window": [[1, 2], [3, 4]],
        "inverse": [[(0, 2), (1, 1)], [(0, 2), (1, 3)], [(0, 4), (1, 3)]],
        "transform": [[-2], [-3], [-4]],
        "snapshots": [[(0, 2), (1, 1)], [(0, 2), (1, 4)], [(0, 6), (1, 4)]],
        "shuffled": [[(0, [2])], [(1, [3])], [(0, [4])]],
    }


def test_a_slice_of_what_is_forgotten_is_refused(either: ms.StreamingContext, clock: ManualClock) -> None:
    numbers = either.queue_stream([[1], [2], [3]])
    numbers.collect_to([])
    either.start()
    clock.advance(3.0)
    with pytest.raises(ConfigurationError, match="further than batches are remembered") as caught:
        numbers.slice(1, 3)
    assert "Hint: Call ssc.remember" in str(caught.value)
    assert numbers.slice(4, 9) == []


def test_what_two_streams_read_is_computed_once_in_every_attempt(
    either: ms.StreamingContext, clock: ManualClock
) -> None:
    calls = either.context.accumulator(0)
    seen: list[list[int]] = []

    def called(x: int) -> int:
        calls.add(1)
        return x

    shared = either.queue_stream([[1, 2], [3]]).map(called)
    shared.map(lambda x: x + 1).collect_to(seen)
    shared.filter(lambda x: x > 1).union(shared).collect_to(seen)
    either.start()
    clock.advance(2.0)
    assert seen == [[2, 3], [2, 1, 2], [4], [3, 3]]
    assert calls.value == 3


def test_persist_keeps_a_batch_for_the_actions_of_one_function(either: ms.StreamingContext, clock: ManualClock) -> None:
    calls = either.context.accumulator(0)

    def called(x: int) -> int:
        calls.add(1)
        return x

    slow = either.queue_stream([[1, 2]]).map(called)
    assert slow.persist() is slow
    assert slow.cache() is slow
    slow.foreach_rdd(lambda rdd: [rdd.count(), rdd.collect(), rdd.map(str).collect()])
    either.start()
    clock.advance(1.0)
    assert calls.value == 2
    with pytest.raises(LifecycleError):
        slow.persist()


def test_two_contexts_run_side_by_side(clock: ManualClock) -> None:
    seen: list[list[int]] = []
    contexts = [ms.StreamingContext(1.0, name=name, environment=ms.Environment(clock)) for name in ("one", "two")]
    for n, ssc in enumerate(contexts):
        ssc.queue_stream([[n]]).collect_to(seen)
        ssc.start()
    clock.advance(1.0)
    assert [ms.StreamingContext.active(name) for name in ("one", "two", "main")] == [*contexts, None]
    for ssc in contexts:
        ssc.stop()
    assert sorted(seen) == [[0], [1]]


def test_one_context_runs_one_stream_at_a_time(context: ms.Context, clock: ManualClock) -> None:
    environment = ms.Environment(clock)
    one, two = (ms.StreamingContext(1.0, context=context, name=name, environment=environment) for name in "ab")
    for ssc in (one, two):
        ssc.queue_stream([[1]]).collect_to([])
    one.start()
    with pytest.raises(LifecycleError, match="runs another stream already") as caught:
        two.start()
    assert "Hint: " in str(caught.value)
    one.stop()
    two.start()
    two.stop()

"""Bad input gets an error that says what happened, the facts, and what to do: on every backend, through streams."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from operator import add, sub
from typing import Any

import pytest

import millstream as ms
from millstream.errors import (
    ArgumentTypeError,
    ConfigurationError,
    GraphError,
    InvalidError,
    LifecycleError,
    MillstreamError,
    ShippingError,
    UserCodeError,
)
from millstream.testing import ManualClock, run_batches

Build = Callable[[Any, Any], Any]


def helpful(error: BaseException) -> str:
    """Check that an error has all its parts, and give its text."""
    assert isinstance(error, MillstreamError)
    assert error.message.endswith((".", "!", "?")) or ": " in error.message
    assert error.detail, "no detail"
    assert error.hint, "no hint"
    text = str(error)
    assert text.count("\nDetail: ") == text.count("\nHint: ") == 1
    return text


async def awaited(x: Any) -> Any:
    return x


REFUSED_AT_THE_CALL: dict[str, tuple[Callable[[Any, Any], object], type[InvalidError], str]] = {
    "window of 0": (lambda ssc, s: s.window(0, 1), ConfigurationError, "window must be positive"),
    "negative slide": (lambda ssc, s: s.window(2, -1), ConfigurationError, "slide must be positive"),
    "window that is no multiple": (lambda ssc, s: s.window(1.5), ConfigurationError, "not a multiple of the batch"),
    "slide that is no multiple": (lambda ssc, s: s.count_by_window(3, 1.5), ConfigurationError, "slide is not a mult"),
    "window of a window": (lambda ssc, s: s.window(4, 2).window(3), ConfigurationError, "the slide of the stream"),
    "window that is no duration": (lambda ssc, s: s.window("2"), ArgumentTypeError, "not a duration"),
    "inverse window without a window": (
        lambda ssc, s: s.reduce_by_key_and_window(add, sub),
        ArgumentTypeError,
        "needs a window",
    ),
    "window where the inverse belongs": (
        lambda ssc, s: s.reduce_by_key_and_window(add, 10, 2),
        ArgumentTypeError,
        "window=600",
    ),
    "streams that slide differently": (lambda ssc, s: s.union(s.window(2, 2)), GraphError, "slide alike"),
    "no stream": (lambda ssc, s: s.join([("a", 1)]), ArgumentTypeError, "join needs a stream"),
    "no streams to unite": (lambda ssc, s: ssc.union(), ConfigurationError, "at least one stream"),
    "no function": (lambda ssc, s: s.map(None), ArgumentTypeError, "map needs a function"),
    "a number as function": (lambda ssc, s: s.reduce_by_key(3), ArgumentTypeError, "reduce_by_key needs a function"),
    "too many arguments": (lambda ssc, s: s.map(lambda a, b, c: a), ArgumentTypeError, "(a, b, c) is called with 1"),
    "too few arguments": (lambda ssc, s: s.reduce(lambda a: a), ArgumentTypeError, "(a) is called with 2"),
    "coroutine in map": (lambda ssc, s: s.map(awaited), GraphError, "coroutine"),
    "coroutine in foreach_rdd": (lambda ssc, s: s.foreach_rdd(awaited), GraphError, "coroutine"),
    "coroutine in collect_to": (lambda ssc, s: s.collect_to(awaited), GraphError, "coroutine"),
    "coroutine in transform": (lambda ssc, s: s.transform(awaited), GraphError, "coroutine"),
    "coroutine in state": (lambda ssc, s: s.map_with_state(awaited), GraphError, "coroutine"),
    "coroutine as inverse": (
        lambda ssc, s: s.reduce_by_key_and_window(add, awaited, window=2),
        GraphError,
        "coroutine",
    ),
    "one name twice": (
        lambda ssc, s: s.map(len, name="a").map(len, name="a"),
        GraphError,
        "Two operators have the name 'a'",
    ),
    "a name that is no text": (lambda ssc, s: s.map(len, name=3), ArgumentTypeError, "name of map"),
    "no partitions": (lambda ssc, s: s.repartition(0), ConfigurationError, "partitions"),
    "too many partitions": (lambda ssc, s: s.reduce_by_key(add, 1_025), ConfigurationError, "1 to 1024"),
    "no form of state": (lambda ssc, s: s.update_state_by_key(len, form="time"), ConfigurationError, "'iterator'"),
    "no timeout": (
        lambda ssc, s: ms.StateSpec(lambda key, value, state: None, timeout=0),
        ConfigurationError,
        "timeout must be positive",
    ),
    "no pairs to start with": (
        lambda ssc, s: s.update_state_by_key(lambda values, old: old, initial_state=[1]),
        ArgumentTypeError,
        "(key, state) pairs",
    ),
    "no sink": (lambda ssc, s: s.write_to(print), ArgumentTypeError, "needs a Sink"),
    "no path": (lambda ssc, s: s.save_as_text_files(3), ArgumentTypeError, "directory"),
    "a path that is a URL": (lambda ssc, s: s.save_as_json_files("ftp://b/c"), ConfigurationError, "a URL of neither"),
    "fewer rows than none": (lambda ssc, s: s.print(-1), ConfigurationError, "num=-1"),
    "nothing to collect into": (lambda ssc, s: s.collect_to({}), ArgumentTypeError, "collect_to"),
    "slice before the start": (lambda ssc, s: s.slice(0, 1), LifecycleError, "slice"),
    "nothing to remember": (lambda ssc, s: ssc.remember(0), ConfigurationError, "duration must be positive"),
    "no listener": (lambda ssc, s: ssc.add_listener(print), ArgumentTypeError, "StreamingListener"),
    "waiting before the start": (lambda ssc, s: ssc.await_termination(), LifecycleError, "not started"),
    "text as a queue": (lambda ssc, s: ssc.queue_stream("ab"), ArgumentTypeError, "queue of batches"),
    "no port": (lambda ssc, s: ssc.socket_text_stream("localhost", 0), ConfigurationError, "needs a port"),
    "no host": (lambda ssc, s: ssc.socket_text_stream("", 99), ConfigurationError, "host"),
    "no policy": (
        lambda ssc, s: ssc.socket_text_stream("localhost", 99, on_invalid="drop"),
        ConfigurationError,
        "on_invalid",
    ),
    "a rate of 0": (
        lambda ssc, s: ssc.socket_text_stream("localhost", 99, max_records_per_s=0),
        ConfigurationError,
        "rate limit must be positive",
    ),
    "a rate of what is not pushed": (lambda ssc, s: ssc.set_rate(s, 5), ConfigurationError, "have a rate"),
    "no receiver": (lambda ssc, s: ssc.receiver_stream(print), ArgumentTypeError, "needs a Receiver"),
    "no source": (lambda ssc, s: ssc.stream([1, 2]), ArgumentTypeError, "needs a source"),
    "no room": (lambda ssc, s: ssc.memory_stream(max_records=0), ConfigurationError, "max_records"),
    "no directory": (lambda ssc, s: ssc.text_file_stream(3), ArgumentTypeError, "directory"),
    "no files": (
        lambda ssc, s: ssc.text_file_stream("/tmp", max_files_per_batch=0),
        ConfigurationError,
        "max_files_per_batch=0",
    ),
}


@pytest.fixture
def ssc(clock: ManualClock) -> ms.StreamingContext:
    return ms.StreamingContext(1.0, environment=ms.Environment(clock))


@pytest.mark.parametrize("case", REFUSED_AT_THE_CALL)
def test_what_cannot_work_is_refused_where_it_is_written(ssc: ms.StreamingContext, case: str) -> None:
    call, kind, words = REFUSED_AT_THE_CALL[case]
    with pytest.raises(kind) as caught:
        call(ssc, ssc.queue_stream([[("a", 1)]]))
    assert words in helpful(caught.value)


BAD_CONTEXTS: dict[str, tuple[dict[str, Any], str]] = {
    "interval of 0": ({"batch_interval": 0}, "batch_interval must be positive"),
    "negative interval": ({"batch_interval": -1.0}, "batch_interval must be positive"),
    "interval below the grid": ({"batch_interval": 0.0001}, "shorter than a millisecond"),
    "interval that is no number": ({"batch_interval": "2s"}, "not a duration"),
    "interval that is no time": ({"batch_interval": float("nan")}, "batch_interval must be positive"),
    "no such backend": ({"batch_interval": 1, "backend": "spark"}, "'threads', 'processes'"),
    "workers of threads": ({"batch_interval": 1, "workers": 2}, "only for backend='processes'"),
    "no queue": ({"batch_interval": 1, "max_queued_batches": 0}, "max_queued_batches"),
    "negative retries": ({"batch_interval": 1, "batch_retries": -1}, "batch_retries"),
    "no partitions": ({"batch_interval": 1, "partitions": 0}, "partitions"),
    "clock for environment": ({"batch_interval": 1, "environment": ManualClock()}, "Environment(ManualClock())"),
    "no context": ({"batch_interval": 1, "context": "local[2]"}, "context is no Context"),
}


@pytest.mark.parametrize("case", BAD_CONTEXTS)
def test_a_context_that_cannot_work_is_refused(case: str) -> None:
    arguments, words = BAD_CONTEXTS[case]
    with pytest.raises(InvalidError) as caught:
        ms.StreamingContext(**arguments)
    assert words in helpful(caught.value)


def test_a_context_brings_its_backend() -> None:
    with ms.Context() as given, pytest.raises(ConfigurationError) as caught:
        ms.StreamingContext(1, context=given, backend="processes")
    assert "has its backend already" in helpful(caught.value)
    with pytest.raises(LifecycleError) as closed:
        ms.StreamingContext(1, context=given)
    assert "closed" in helpful(closed.value)


def test_streams_of_two_contexts_do_not_meet(ssc: ms.StreamingContext) -> None:
    other = ms.StreamingContext(1.0).queue_stream([[1]])
    mine = ssc.queue_stream([[1]])
    calls: list[Callable[[], object]] = [
        lambda: mine.union(other),
        lambda: ssc.union(other),
        lambda: ssc.transform([mine, other], lambda rdds: rdds[0]),
    ]
    for call in calls:
        with pytest.raises(GraphError) as caught:
            call()
        assert "another context" in helpful(caught.value)
        assert "test_bad_input.py" in str(caught.value)


def test_the_ways_through_life(ssc: ms.StreamingContext) -> None:
    stream = ssc.queue_stream([[1]])

    def expect(call: Callable[[], object], kind: type[MillstreamError], words: str) -> None:
        with pytest.raises(kind) as caught:
            call()
        assert words in helpful(caught.value)

    expect(ssc.start, GraphError, "no output operation")
    stream.collect_to([])  # What was missing can be added after a start that failed.
    ssc.start()
    expect(ssc.start, LifecycleError, "active already")
    expect(lambda: stream.map(str), LifecycleError, "map was called after the context had been started")
    expect(lambda: stream.print(), LifecycleError, "print was called after")
    expect(lambda: ssc.queue_stream([]), LifecycleError, "queue_stream was called after")
    expect(stream.persist, LifecycleError, "persist was called after")
    ssc.stop()
    expect(ssc.start, LifecycleError, "stopped one cannot start again")


def test_a_stopped_context_that_never_ran_does_not_start(ssc: ms.StreamingContext) -> None:
    ssc.stop()
    with pytest.raises(LifecycleError) as caught:
        ssc.start()
    assert "stopped" in helpful(caught.value)


def fail(*given: Any) -> Any:
    raise RuntimeError("no such thing")


RAISING: dict[str, tuple[Build, str | None]] = {
    "map": (lambda ssc, s: s.map(fail), "('a', 1)"),
    "flat_map": (lambda ssc, s: s.flat_map(fail), "('a', 1)"),
    "filter": (lambda ssc, s: s.filter(fail), "('a', 1)"),
    "map_values": (lambda ssc, s: s.map_values(fail), "('a', 1)"),
    "flat_map_values": (lambda ssc, s: s.flat_map_values(fail), "('a', 1)"),
    "map_partitions": (lambda ssc, s: s.map_partitions(fail), None),
    "map_partitions_with_index": (lambda ssc, s: s.map_partitions_with_index(fail), None),
    "reduce": (lambda ssc, s: s.reduce(fail), None),
    "reduce_by_key": (lambda ssc, s: s.reduce_by_key(fail), "'a'"),
    "combine_by_key": (lambda ssc, s: s.combine_by_key(fail, fail, fail), "('a', 1)"),
    "partition_by": (lambda ssc, s: s.partition_by(2, fail), "'a'"),
    "transform": (lambda ssc, s: s.transform(fail), None),
    "transform_with": (lambda ssc, s: s.transform_with(s, fail), None),
    "reduce_by_window": (lambda ssc, s: s.reduce_by_window(fail, 2), None),
    "reduce_by_key_and_window": (lambda ssc, s: s.reduce_by_key_and_window(fail, window=2), "'a'"),
    "update_state_by_key": (lambda ssc, s: s.update_state_by_key(fail), "('a', [1, 2])"),
    "map_with_state": (lambda ssc, s: s.map_with_state(fail), "('a', 1)"),
}


@pytest.mark.parametrize("operator", RAISING)
def test_a_function_that_raises_is_named_with_all_that_is_known(
    either: ms.StreamingContext, clock: ManualClock, operator: str
) -> None:
    build, record = RAISING[operator]
    build(either, either.queue_stream([[("a", 1), ("a", 2)]], partitions=2)).collect_to([])
    either.start()
    clock.advance(3.0)
    with pytest.raises(UserCodeError, match="RuntimeError: no such thing") as caught:
        either.await_termination(0)
    error, text = caught.value, helpful(caught.value)
    assert error.operator == operator
    assert error.stream == "main"
    assert error.batch_time_ms == 1_000
    assert error.site is not None
    assert "test_bad_input.py" in error.site
    assert "batch 1970-01-01T00:00:01+00:00 (1000 ms) of the stream 'main'" in text
    assert error.site in text
    assert isinstance(error.__cause__, RuntimeError)
    if record is not None:
        assert record in (error.record or "")
        assert record in text


@pytest.mark.parametrize("output", ["foreach_rdd", "collect_to"])
def test_an_output_that_raises_is_named(either: ms.StreamingContext, clock: ManualClock, output: str) -> None:
    getattr(either.queue_stream([[1]]), output)(lambda given: fail())
    either.start()
    clock.advance(3.0)
    with pytest.raises(UserCodeError, match="RuntimeError: no such thing") as caught:
        either.await_termination(0)
    assert (caught.value.operator, caught.value.batch_time_ms) == (output, 1_000)
    assert "of the stream 'main'" in helpful(caught.value)


def test_a_long_record_is_cut(context: ms.Context) -> None:
    with pytest.raises(UserCodeError) as caught:
        run_batches(lambda ssc, s: s.map(fail), [["x" * 100_000]], context=context)
    assert len(caught.value.record or "") == 200
    assert len(helpful(caught.value)) < 1_000


def test_a_record_whose_repr_raises_does_not_hide_the_error(context: ms.Context) -> None:
    with pytest.raises(UserCodeError, match="no such thing") as caught:
        run_batches(lambda ssc, s: s.map(lambda x: Unspeakable()).map(fail), [[1]], context=context)
    assert "Unspeakable whose repr raised" in helpful(caught.value)


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no words")


class DemandingError(Exception):
    """Cannot be made again from what pickle keeps of it, as errors of many libraries."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.connection = threading.Lock()


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def demand(x: Any) -> Any:
    raise DemandingError(503, "come back later")


def say_nothing(x: Any) -> Any:
    raise SpeechlessError


@pytest.mark.parametrize(
    ("f", "words"), [(demand, "raised DemandingError: 503: come back later"), (say_nothing, "raised SpeechlessError")]
)
def test_an_error_that_cannot_travel_or_speak_is_told_all_the_same(
    context: ms.Context, f: Callable[[Any], Any], words: str
) -> None:
    with pytest.raises(UserCodeError) as caught:
        run_batches(lambda ssc, s: s.map(f), [[1]], context=context)
    assert words in helpful(caught.value)
    assert (caught.value.operator, caught.value.record, caught.value.batch_time_ms) == ("map", "1", 1_000)


def test_a_function_that_exits_ends_the_stream_with_its_words(clock: ManualClock) -> None:
    with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
        ssc.queue_stream([[1]]).foreach_rdd(lambda rdd: sys.exit("enough"))
        ssc.start()
        clock.advance(2.0)
        with pytest.raises(SystemExit, match="enough"):
            ssc.await_termination(0)


KEYED: dict[str, Build] = {
    "reduce_by_key": lambda ssc, s: s.reduce_by_key(add),
    "combine_by_key": lambda ssc, s: s.combine_by_key(lambda v: v, add, add),
    "group_by_key": lambda ssc, s: s.group_by_key(),
    "partition_by": lambda ssc, s: s.partition_by(2),
    "join": lambda ssc, s: s.join(s),
    "cogroup": lambda ssc, s: s.cogroup(s),
    "left_outer_join": lambda ssc, s: s.left_outer_join(s),
    "update_state_by_key": lambda ssc, s: s.update_state_by_key(lambda values, old: 1),
    "map_with_state": lambda ssc, s: s.map_with_state(lambda key, value, state: state.update(value)),
    "group_by_key_and_window": lambda ssc, s: s.group_by_key_and_window(2),
    "reduce_by_key_and_window": lambda ssc, s: s.reduce_by_key_and_window(add, window=2),
    "inverse reduce_by_key_and_window": lambda ssc, s: s.reduce_by_key_and_window(add, sub, window=2),
}

ON_PAIRS = KEYED | {
    "map_values": lambda ssc, s: s.map_values(str),
    "flat_map_values": lambda ssc, s: s.flat_map_values(lambda v: [v]),
    "keys": lambda ssc, s: s.keys(),
    "values": lambda ssc, s: s.values(),
}


@pytest.mark.parametrize("record", [5, "ab", [1, 2], (1, 2, 3)], ids=repr)
@pytest.mark.parametrize("operator", ON_PAIRS)
def test_a_record_that_is_no_pair_is_shown(context: ms.Context, operator: str, record: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="was given a record that is not a pair") as caught:
        run_batches(ON_PAIRS[operator], [[(1, 2), record]], context=context)
    text = helpful(caught.value)
    assert repr(record) in text
    assert "test_bad_input.py" in text
    assert "(1000 ms) of the stream" in text


@pytest.mark.parametrize("key", [[1], {"a": 1}, (1, [2]), float("nan"), (1, float("nan"))], ids=repr)
@pytest.mark.parametrize("partitions", [1, 2])
@pytest.mark.parametrize("operator", KEYED)
def test_a_key_that_cannot_be_one_is_shown(context: ms.Context, operator: str, key: Any, partitions: int) -> None:
    with pytest.raises(ArgumentTypeError, match="key") as caught:
        run_batches(KEYED[operator], [[(1, 2), (key, 1)]], context=context, partitions=partitions)
    text = helpful(caught.value)
    assert repr(key) in text
    assert "test_bad_input.py" in text
    assert "(1000 ms) of the stream" in text


@pytest.mark.parametrize("record", [[1], float("nan")], ids=repr)
@pytest.mark.parametrize("operator", ["count_by_value", "count_by_value_and_window"])
def test_a_value_that_cannot_be_counted_is_shown(context: ms.Context, operator: str, record: Any) -> None:
    arguments = (2,) if operator == "count_by_value_and_window" else ()
    with pytest.raises(ArgumentTypeError, match="key") as caught:
        run_batches(lambda ssc, s: getattr(s, operator)(*arguments), [[1, record]], context=context)
    assert repr(record) in helpful(caught.value)


lock = threading.Lock()


class Client:
    def __init__(self) -> None:
        self.session = {"lock": threading.Lock()}


client = Client()
table = ms.Context().parallelize([1])


def with_a_cell() -> Callable[[Any], Any]:
    connection = threading.Lock()
    return lambda x: (connection, x)[1]


UNSHIPPABLE: dict[str, tuple[Build, str]] = {
    "a global": (lambda ssc, s: s.map(lambda x: (lock, x)[1]), "the global variable `lock` (a _thread.lock)"),
    "inside a global": (lambda ssc, s: s.map(lambda x: (client, x)[1]), "`client.session['lock']`"),
    "a variable": (lambda ssc, s: s.filter(with_a_cell()), "the variable `connection` (a _thread.lock)"),
    "in a reduction": (lambda ssc, s: s.reduce_by_key(lambda a, b: (lock, a)[1]), "`lock`"),
    "in state": (lambda ssc, s: s.update_state_by_key(lambda values, old: (lock, 1)[1]), "`lock`"),
    "the context": (lambda ssc, s: s.map(lambda x: (ssc, x)[1]), "`ssc` (a millstream.StreamingContext)"),
    "a stream": (lambda ssc, s: s.map(lambda x: (s, x)[1]), "`s` (a millstream.DStream)"),
    "an RDD": (lambda ssc, s: s.map(lambda x: (table, x)[1]), "`table` (a millstream.RDD)"),
}


@pytest.mark.parametrize("case", UNSHIPPABLE)
def test_a_function_that_cannot_go_to_a_worker_names_the_variable(case: str) -> None:
    build, words = UNSHIPPABLE[case]
    with pytest.raises(ShippingError, match="cannot be sent to a worker process") as caught:
        run_batches(build, [[("a", 1), ("a", 2)]], backend="processes", workers=1)
    text = helpful(caught.value)
    assert words in text
    assert "test_bad_input.py" in text


def test_a_state_that_cannot_go_to_the_driver_names_its_key() -> None:
    with pytest.raises(ShippingError) as caught:
        run_batches(
            lambda ssc, s: s.update_state_by_key(lambda values, old: threading.Lock()),
            [[("k", 1)]],
            backend="processes",
            workers=1,
        )
    assert "the key 'k'" in helpful(caught.value)


def test_an_action_inside_a_task_is_refused() -> None:
    with ms.Context() as batch_program:
        numbers = batch_program.parallelize([1, 2])
        with pytest.raises(UserCodeError) as caught:
            numbers.map(lambda x: numbers.count()).collect()
    text = helpful(caught.value)
    assert "inside a task" in text
    assert "Hint: Join the two" in text

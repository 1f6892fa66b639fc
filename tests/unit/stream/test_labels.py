"""Every operator knows the line of the user's program that added it, however the user reached it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from operator import add, sub
from typing import Any

import pytest

import millstream as ms
from millstream.testing import ManualClock

Call = Callable[[Any, Any], object]

STREAMS: dict[str, Call] = {
    "map": lambda ssc, s: s.map(len),
    "flat_map": lambda ssc, s: s.flat_map(list),
    "filter": lambda ssc, s: s.filter(bool),
    "glom": lambda ssc, s: s.glom(),
    "map_partitions": lambda ssc, s: s.map_partitions(list),
    "map_partitions_with_index": lambda ssc, s: s.map_partitions_with_index(lambda index, rows: rows),
    "map_async": lambda ssc, s: s.map_async(awaited),
    "try_map": lambda ssc, s: s.try_map(len)[0],
    "try_flat_map": lambda ssc, s: s.try_flat_map(list)[1],
    "repartition": lambda ssc, s: s.repartition(2),
    "partition_by": lambda ssc, s: s.partition_by(2),
    "union": lambda ssc, s: s.union(s),
    "reduce": lambda ssc, s: s.reduce(add),
    "count": lambda ssc, s: s.count(),
    "count_by_value": lambda ssc, s: s.count_by_value(),
    "reduce_by_key": lambda ssc, s: s.reduce_by_key(add),
    "combine_by_key": lambda ssc, s: s.combine_by_key(str, add, add),
    "group_by_key": lambda ssc, s: s.group_by_key(),
    "map_values": lambda ssc, s: s.map_values(str),
    "flat_map_values": lambda ssc, s: s.flat_map_values(list),
    "keys": lambda ssc, s: s.keys(),
    "values": lambda ssc, s: s.values(),
    "join": lambda ssc, s: s.join(s),
    "left_outer_join": lambda ssc, s: s.left_outer_join(s),
    "right_outer_join": lambda ssc, s: s.right_outer_join(s),
    "full_outer_join": lambda ssc, s: s.full_outer_join(s),
    "cogroup": lambda ssc, s: s.cogroup(s),
    "join_table": lambda ssc, s: s.join_table([{"key": 1}], on="key"),
    "to_frames": lambda ssc, s: s.to_frames(),
    "from_frames": lambda ssc, s: s.from_frames(),
    "transform": lambda ssc, s: s.transform(lambda rdd: rdd),
    "transform_with": lambda ssc, s: s.transform_with(s, lambda one, other: one),
    "window": lambda ssc, s: s.window(2),
    "reduce_by_window": lambda ssc, s: s.reduce_by_window(add, 2),
    "count_by_window": lambda ssc, s: s.count_by_window(2),
    "count_by_value_and_window": lambda ssc, s: s.count_by_value_and_window(2),
    "group_by_key_and_window": lambda ssc, s: s.group_by_key_and_window(2),
    "reduce_by_key_and_window": lambda ssc, s: s.reduce_by_key_and_window(add, sub, window=2),
    "update_state_by_key": lambda ssc, s: s.update_state_by_key(lambda values, old: old),
    "map_with_state": lambda ssc, s: s.map_with_state(lambda key, value, state: None),
    "state_snapshots": lambda ssc, s: s.map_with_state(lambda key, value, state: None).state_snapshots(),
}

OF_CONTEXT: dict[str, Call] = {
    "union": lambda ssc, s: ssc.union(s, s),
    "transform": lambda ssc, s: ssc.transform([s, s], lambda rdds: rdds[0]),
    "queue_stream": lambda ssc, s: ssc.queue_stream([]),
    "memory_stream": lambda ssc, s: ssc.memory_stream(),
    "socket_text_stream": lambda ssc, s: ssc.socket_text_stream("localhost", 1),
    "text_file_stream": lambda ssc, s: ssc.text_file_stream("/tmp"),
    "receiver_stream": lambda ssc, s: ssc.receiver_stream(Silent()),
}

OUTPUTS: dict[str, Call] = {
    "print": lambda ssc, s: s.print(),
    "collect_to": lambda ssc, s: s.collect_to([]),
    "foreach_rdd": lambda ssc, s: s.foreach_rdd(print),
    "foreach_batch": lambda ssc, s: s.foreach_batch(print),
    "save_to_sql": lambda ssc, s: s.save_to_sql("sqlite:////tmp/out.db", "rows"),
    "save_to_http": lambda ssc, s: s.save_to_http("http://localhost:1/"),
    "save_to_kafka": lambda ssc, s: s.save_to_kafka("localhost:1", topic="t"),
    "save_as_csv_files": lambda ssc, s: s.save_as_csv_files("/tmp/out"),
    "save_as_pickle_files": lambda ssc, s: s.save_as_pickle_files("/tmp/out"),
    "save_as_text_files": lambda ssc, s: s.save_as_text_files("/tmp/out"),
    "save_as_json_files": lambda ssc, s: s.save_as_json_files("/tmp/out"),
    "save_as_parquet_files": lambda ssc, s: s.save_as_parquet_files("/tmp/out"),
}


async def awaited(x: Any) -> Any:
    return x


class Silent(ms.Receiver[int]):
    def on_start(self) -> None: ...
    def on_stop(self) -> None: ...


@pytest.fixture
def ssc() -> ms.StreamingContext:
    return ms.StreamingContext(1.0, environment=ms.Environment(ManualClock()))


def line_of(call: Call) -> str:
    return f"{__file__}:{call.__code__.co_firstlineno}"


@pytest.mark.parametrize("method", STREAMS)
def test_an_operator_of_a_stream_is_at_the_line_of_its_call(ssc: ms.StreamingContext, method: str) -> None:
    call = STREAMS[method]
    stream = call(ssc, ssc.queue_stream([]))
    assert isinstance(stream, ms.DStream)
    assert (stream.node.label.operator, stream.node.label.site) == (method, line_of(call))
    # What it is made of inside tells the same, so that errors and pictures show nothing that the user never wrote.
    assert {node.label.site for node in ssc.program.graph.nodes[1:]} == {line_of(call)}
    assert {node.label.operator for node in ssc.program.graph.nodes[1:]} <= {method, "map_with_state"}
    assert repr(stream) == f"<DStream {stream.node.id} of {line_of(call)}>"


@pytest.mark.parametrize("method", OF_CONTEXT)
def test_a_stream_of_a_context_is_at_the_line_of_its_call(ssc: ms.StreamingContext, method: str) -> None:
    call = OF_CONTEXT[method]
    stream = call(ssc, ssc.queue_stream([]))
    assert isinstance(stream, ms.DStream)
    assert (stream.node.label.operator, stream.node.label.site) == (method, line_of(call))


@pytest.mark.parametrize("method", OUTPUTS)
def test_an_output_is_at_the_line_of_its_call(ssc: ms.StreamingContext, method: str) -> None:
    call = OUTPUTS[method]
    call(ssc, ssc.queue_stream([]))
    label = ssc.program.graph.outputs[0].label
    assert (label.operator, label.site) == (method, line_of(call))


def test_no_method_that_adds_something_is_forgotten_here() -> None:
    plain = {"add", "narrow", "key_groups", "of_this_program", "shuffled", "window_ms", "deliver_to"}
    others = {"slice", "persist", "cache", "write_to"}
    methods = {name for name, _ in inspect.getmembers(ms.DStream, inspect.isfunction) if name[0] != "_"}
    listed = {*STREAMS, *OUTPUTS, *plain, *others}
    saves = {name for name in methods if name.startswith("save_as_")}
    assert methods - listed - saves == set()


def test_a_name_is_part_of_the_label_of_its_operator_alone(ssc: ms.StreamingContext) -> None:
    ssc.queue_stream([]).map(lambda x: (x, 1)).reduce_by_window(add, 2, name="total")
    assert [node.id for node in ssc.program.graph.nodes if node.label.name] == ["total"]


def test_a_method_reached_by_getattr_or_a_helper_is_at_the_line_of_the_user(ssc: ms.StreamingContext) -> None:
    def helper(stream: Any) -> Any:
        return getattr(stream, "map")(len)  # noqa: B009 - the line that is meant

    stream = helper(ssc.queue_stream([]))
    assert stream.node.label.site == f"{__file__}:{helper.__code__.co_firstlineno + 1}"


def test_a_program_that_has_no_file_is_named_all_the_same() -> None:
    program = "import millstream as ms\nprint(ms.StreamingContext(1.0).queue_stream([]).map(len).node.label.site)\n"
    ended = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, check=True)
    assert ended.stdout == "<stdin>:2\n"

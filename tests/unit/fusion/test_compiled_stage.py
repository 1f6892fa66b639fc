"""What a compiled stage gives, operation by operation, and how it is found again."""

from __future__ import annotations

import gc
import itertools
import linecache
import operator
import sys
import threading
import weakref
from collections import UserDict, namedtuple
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from tests.unit.fusion.stages import label, module_of, opaque, plain_run, run

from millstream.errors import ArgumentTypeError, GraphError, UserCodeError
from millstream.execution.fusion import CompiledStage, compile_stage
from millstream.model.batch import Batch
from millstream.rdd.operations import (
    Apply,
    ApplyPartition,
    Collect,
    Combine,
    Count,
    CountValues,
    End,
    Filter,
    FlatMap,
    FlatMapValues,
    Glom,
    KeyBy,
    Keys,
    Map,
    MapPartitions,
    MapValues,
    Operation,
    Values,
)

L = label("op")
SPLIT = FlatMap(lambda line: line.split(), L)
PAIR = Map(lambda word: (word, 1), L)
ADD = Combine(None, operator.add, L)
SWAP = Map(lambda pair: (pair[1], pair[0]), L)
NUMBERS = [3, 1, 2, 3]
PAIRS = [("a", 1), ("b", 2), ("a", 3)]


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize(
    ("rows", "operations"),
    [
        (NUMBERS, ()),
        (NUMBERS, (Map(lambda x: x * 2, L),)),
        (NUMBERS, (FlatMap(lambda x: range(x), L), Filter(lambda x: x, L))),
        (["to be", "or"], (SPLIT, PAIR)),
        (["to be", "or"], (SPLIT, PAIR, SWAP, Keys(L))),
        (PAIRS, (MapValues(lambda v: v + 1, L), Filter(lambda kv: kv[1] > 2, L))),
        (PAIRS, (FlatMapValues(lambda v: [v] * v, L), Values(L))),
        (PAIRS, (KeyBy(lambda kv: kv[0], L), Map(lambda x: (x, x[0]), L))),
        (PAIRS, (Keys(L), KeyBy(len, L), Map(operator.itemgetter(1), L))),
        (NUMBERS, (Map(lambda x: (x, x) if x > 1 else (0, x), L), MapValues(operator.neg, L), SWAP)),
        (NUMBERS, (Glom(L),)),
        (NUMBERS, (Filter(lambda x: x > 1, L), Glom(L), FlatMap(lambda rows: rows + rows, L))),
        (NUMBERS, (MapPartitions(lambda rows: [sum(rows)], False, L),)),
        (NUMBERS, (MapPartitions(lambda i, rows: ((i, x) for x in rows), True, L), Values(L))),
        (NUMBERS, (Map(lambda x: x + 1, L), MapPartitions(iter, False, L), MapPartitions(list, False, L), Glom(L))),
        ([], (Glom(L),)),
        ([], (MapPartitions(lambda rows: [len(list(rows))], False, L),)),
    ],
)
@pytest.mark.parametrize(
    "end",
    [Collect(), Collect(0), Collect(2), Count(), CountValues(L), Apply(len), ApplyPartition(lambda b, i, x: (i, x))],
)
def test_operations_and_ends(rows: list[Any], operations: tuple[Operation, ...], end: End, loose: bool) -> None:
    try:
        expected = plain_run(rows, operations, end, 5)
    except Exception:
        with pytest.raises(ArgumentTypeError, match="cannot be hashed"):
            run(rows, *operations, end, index=5)
        return
    given = iter(rows) if loose else rows
    assert repr(run(given, *operations, end, index=5)) == repr(expected)


@pytest.mark.parametrize("merge", [operator.add, lambda a, b: a + b, opaque("lambda a, b: a + b")])
@pytest.mark.parametrize("pair", [PAIR, Map(opaque("lambda word: (word, 1)"), L), Map(lambda word: (word, 1.0), L)])
@pytest.mark.parametrize("create", [None, lambda v: [v]])
def test_word_count(merge: Any, pair: Any, create: Any) -> None:
    lines = ["to be or", "not to be", ""]
    end = Combine(create, merge if create is None else lambda held, v: [*held, v], L)
    expected = plain_run(lines, (SPLIT, pair), end)
    got = run(lines, SPLIT, pair, end)
    assert (repr(got), list(got)) == (repr(expected), list(expected))  # The order of first appearance, too.


@pytest.mark.parametrize("merge", [max, min, operator.mul, lambda a, b: None, lambda a, b: (a, b)])
def test_values_that_are_none_or_nan_combine_like_others(merge: Any) -> None:
    nan = float("nan")
    rows = [("a", nan), ("a", 1.0), ("a", nan), ("b", 2), ("b", 2.0), ("c", 0), ("c", 5), ("c", True)]
    assert repr(run(rows, Combine(None, merge, L))) == repr(plain_run(rows, (), Combine(None, merge, L)))
    nones = [("a", None), ("a", None), ("b", None)]
    assert run(nones, Combine(None, lambda a, b: (a, b), L)) == {"a": (None, None), "b": None}


def test_true_as_value_is_not_taken_for_a_number() -> None:
    got = run(["a", "b", "a"], Map(lambda x: (x, True), L), Combine(None, operator.add, L))
    assert repr(got) == "{'a': 2, 'b': True}"


class Point(NamedTuple):
    x: int
    y: int


Untyped = namedtuple("Untyped", ["a", "b"])


class Liar(tuple[int, ...]):
    def __iter__(self) -> Iterator[int]:
        return iter([7, 8, 9])

    def __getitem__(self, index: Any) -> Any:
        return 7

    def __len__(self) -> int:
        return 3


def test_tuples_of_two_are_pairs_whatever_their_class() -> None:
    rows = [Point(1, 2), Liar((3, 4)), Untyped(5, 6)]
    assert run(rows, Values(L), Collect()) == [2, 4, 6]
    assert run(rows, Filter(lambda p: p[0] == 7, L), MapValues(lambda v: v, L), Collect()) == [(3, 4)]
    kept = run(rows, Filter(lambda p: True, L), Collect())
    assert [type(row) for row in kept] == [Point, Liar, Untyped]
    assert type(run(rows, MapValues(lambda v: v, L), Collect())[0]) is tuple


@pytest.mark.parametrize("row", ["ab", ["a", 1], (), (1,), (1, 2, 3), None, {"a": 1, "b": 2}, range(2)])
@pytest.mark.parametrize(
    "operation",
    [Keys(L), Values(L), MapValues(lambda v: v, L), FlatMapValues(lambda v: [v], L), Map(opaque("lambda x: x"), L)],
)
def test_nothing_else_is_a_pair(row: Any, operation: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="op was given a record that is not a pair"):
        run([row], operation, Combine(None, max, L))


def test_no_tuple_is_built_where_only_halves_are_used() -> None:
    stage = compile_stage((SPLIT, PAIR, SWAP, MapValues(lambda v: v, L), Filter(lambda kv: kv[0] == kv[-1], L)), ADD)
    assert "(x" not in stage.source.partition("\n")[2].replace("get(x", "")
    assert compile_stage((PAIR, Filter(lambda kv: kv, L)), Collect()).source.count("x2 = (x, 1)") == 1


@pytest.mark.parametrize("end", [Collect(2), Apply(len)])
def test_a_stage_stops_at_its_limit(end: End) -> None:
    seen = []

    def note(x: int) -> list[int]:
        seen.append(x)
        return [x, x]

    endless = itertools.count() if isinstance(end, Collect) else range(3)
    run(endless, FlatMap(note, L), Map(lambda x: x, L), Map(lambda x: (x, x), L), end)
    assert seen == ([0] if isinstance(end, Collect) else [0, 1, 2])


def test_a_limit_stops_what_map_partitions_yields() -> None:
    closed = []

    def count(rows: Iterator[int]) -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    assert run([1], MapPartitions(count, False, L), Map(lambda x: x, L), Collect(3)) == [0, 1, 2]
    assert run([1], MapPartitions(count, False, L), Collect(3)) == [0, 1, 2]
    assert closed == [True, True]


def test_results_are_new_objects() -> None:
    rows = [1, 2]
    for parts in [(Collect(),), (Collect(9),), (Apply(lambda x: x),), (Glom(L), Map(lambda x: x, L), Collect(1))]:
        assert run(rows, *parts) is not rows
    assert run(rows, Glom(L), Collect())[0] is not rows


def test_records_are_handed_on_as_they_are() -> None:
    pair, row = ("a", 1), [1]
    assert run([pair], Map(lambda x: x, L), Filter(lambda x: x[0], L), Collect())[0] is pair
    assert run([pair], MapValues(lambda v: v, L), Collect())[0] == pair
    assert run([row], KeyBy(id, L), Values(L), Collect())[0] is row


@pytest.mark.parametrize("depth", [1, 12, 13, 30])
def test_any_number_of_flat_maps(depth: int) -> None:
    flat_maps = [FlatMap(lambda x: [x + 1], L), FlatMapValues(lambda v: [v], L)]
    operations = [part for _ in range(depth) for part in (flat_maps[0], PAIR, flat_maps[1], Keys(L))]
    assert run([0, 5], *operations, Collect()) == [depth, depth + 5]


def test_hundreds_of_operations() -> None:
    assert run([0], *[Map(lambda x: x + 1, L)] * 700, Collect()) == [700]


# Functions


def test_names_are_looked_up_at_each_use_in_their_own_module() -> None:
    names = module_of("rate = 2\ndef f(x): return x * rate\ng = lambda x: len(str(x)) + rate\n")
    other = module_of("rate = 100\nh = lambda x: x + rate\n")
    parts = (Map(names["f"], L), Map(other["h"], L), Map(names["g"], L))
    stage = compile_stage(parts, Collect())
    assert stage.run([1, 10], 0, None) == [5, 5]
    names["rate"] = 1
    other["rate"] = 9999
    names["len"] = lambda text: 1000
    assert stage.run([1], 0, None) == [1001]
    del names["rate"]
    with pytest.raises(UserCodeError, match="NameError: name 'rate' is not defined"):
        stage.run([1], 0, None)


def test_functions_of_the_module_with_most_readers_are_inlined() -> None:
    names = module_of("n = 1\nf = lambda x: x + n\ng = lambda x: x - n\n")
    other = module_of("n = 5\nf = lambda x: x * n\ng = lambda x: (x, x)\n")
    stage = compile_stage(tuple(Map(f, L) for f in (other["f"], names["f"], names["g"], other["g"])), Collect())
    assert "x * n" not in stage.source
    assert "+ n" in stage.source
    assert stage.run([2], 0, None) == [(10, 10)]


def test_a_function_with_builtins_of_its_own_sees_them() -> None:
    text = "f = lambda x: len(x)\n"
    filename = "<own builtins>"
    linecache.cache[filename] = (len(text), None, [text], filename)
    names: dict[str, Any] = {"__builtins__": {"len": lambda x: "mine"}}
    exec(compile(text, filename, "exec"), names)
    assert run(["abc"], Map(names["f"], L), Map(lambda x: (x, len(x)), L), Collect()) == [("mine", 4)]


def test_closures_are_read_at_each_use() -> None:
    def counter() -> Any:
        n = 0

        def grow(x: int) -> int:
            nonlocal n
            n += 1
            return n

        def forget() -> None:
            nonlocal n
            del n

        return (lambda x: (x, n)), grow, forget

    read, grow, forget = counter()
    stage = compile_stage((Map(grow, L), Map(read, L)), Collect())
    assert "(x2, n" not in stage.source
    assert stage.run("ab", 0, None) == [(1, 1), (2, 2)]
    assert stage.run("a", 0, None) == [(3, 3)]
    alone = compile_stage((Map(read, L), Map(lambda x: [x[0] for _ in x], L)), Collect())
    forget()
    with pytest.raises(UserCodeError) as caught:
        alone.run("a", 0, None)
    cause = caught.value.__cause__
    with pytest.raises(NameError) as called:
        read("a")
    assert (type(cause), str(cause)) == (called.type, str(called.value))


def test_defaults_are_arguments_like_others() -> None:
    seen: list[int] = []
    functions = [lambda x, i=i, seen=seen: (seen.append(i), x + i)[1] for i in range(3)]
    stage = compile_stage(tuple(Map(f, L) for f in functions), Collect())
    assert stage.run([10], 0, None) == [13]
    assert seen == [0, 1, 2]
    functions[1].__defaults__ = (100, seen)
    assert stage.run([10], 0, None) == [112]


def test_a_function_whose_code_is_replaced_is_noticed() -> None:
    names = module_of("f = lambda x: x + 1\ng = lambda x: (x, x)\nh = lambda x, batch: batch\n")
    stage = compile_stage((Map(names["f"], L),), Collect())
    assert stage.run([1], 0, None) == [2]
    names["f"].__code__ = names["g"].__code__
    assert stage.run([1], 0, None) == [(1, 1)]
    names["f"].__code__ = names["h"].__code__
    with pytest.raises(GraphError, match="asks for the batch"):
        stage.run([1], 0, None)
    assert stage.run([1], 0, Batch(5)) == [Batch(5)]


@pytest.mark.parametrize("make", [lambda text: module_of(f"f = {text}\n")["f"], opaque])
def test_functions_that_require_one_argument_more_get_the_batch(make: Any) -> None:
    batch = Batch(1_500)
    assert run([1], Map(make("lambda x, b: (x, b.time_ms)"), L), Collect(), batch=batch) == [(1, 1500)]
    assert run([1], FlatMap(make("lambda x, b: [x, b.time_ms]"), L), Collect(), batch=batch) == [1, 1500]
    assert run([1, 1500], Filter(make("lambda x, b: x == b.time_ms"), L), Collect(), batch=batch) == [1500]
    assert run([1], KeyBy(make("lambda x, b: b.time_ms"), L), Collect(), batch=batch) == [(1500, 1)]
    assert run([(1, 2)], MapValues(make("lambda v, b: b.time_ms"), L), Collect(), batch=batch) == [(1, 1500)]
    assert run([(1, 2)], FlatMapValues(make("lambda v, b: [b.id]"), L), Collect(), batch=batch) == [(1, "1500")]
    one = MapPartitions(make("lambda rows, b: [list(rows), b.id]"), False, L)
    assert run([1], one, Collect(), batch=batch) == [[1], "1500"]
    two = MapPartitions(make("lambda i, rows, b: [i, list(rows), b.id]"), True, L)
    assert run([1], two, Collect(), index=4, batch=batch) == [4, [1], "1500"]


def test_a_function_that_asks_for_the_batch_of_none_is_refused() -> None:
    asking = Map(lambda x, batch: x, label("map"))
    with pytest.raises(GraphError, match=r"The function of map asks for the batch(.|\n)*program.py:7(.|\n)*default"):
        run([], Filter(lambda x: x, L), asking, Count())


@pytest.mark.parametrize("part", [Map, FlatMap, Filter, MapValues, FlatMapValues, KeyBy])
def test_a_coroutine_function_is_refused_before_it_runs(part: Any) -> None:
    async def waits(x: int) -> int:
        return x

    with pytest.raises(GraphError, match=r"op was given a coroutine function(.|\n)*map_async"):
        compile_stage((part(waits, L),), Count())
    with pytest.raises(GraphError):
        compile_stage((), Combine(waits, max, L))


class Truth:
    asked = 0

    def __init__(self, value: bool) -> None:
        self.value = value

    def __bool__(self) -> bool:
        Truth.asked += 1
        return self.value


@pytest.mark.parametrize(
    "f",
    [
        lambda t: t,
        lambda t: t and t,
        lambda t: not (t and t),
        lambda t: t or t,
        lambda t: 0 if t else t,
        lambda t: not t,
        opaque("lambda t: t and t"),
    ],
)
def test_truth_is_asked_as_often_as_a_call_would(f: Any) -> None:
    rows = [Truth(True), Truth(False)]
    Truth.asked = 0
    expected = plain_run(rows, (Filter(f, L),), Collect())
    before, Truth.asked = Truth.asked, 0
    assert run(rows, Filter(f, L), Collect()) == expected
    assert Truth.asked == before


def test_keys_may_be_of_any_class_that_hashes() -> None:
    class Key:
        def __init__(self, name: str) -> None:
            self.name = name

        def __hash__(self) -> int:
            return hash(self.name)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Key) and self.name == other.name

    got = run("abab", Map(lambda x: (Key(x), 1), L), ADD)
    assert {key.name: count for key, count in got.items()} == {"a": 2, "b": 2}
    assert run([1, 1.0, True, "1"], CountValues(L)) == {1: 3, "1": 1}


def test_a_debugger_sees_the_users_own_lines() -> None:
    lines: list[int] = []
    names = module_of("f = lambda x: x + 1\n")

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code is names["f"].__code__ and event == "line":
            lines.append(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert run([1, 2], Map(names["f"], L), Collect()) == [2, 3]
    finally:
        sys.settrace(before)
    assert lines == [1, 1]


# Finding a stage again


def test_the_same_operations_are_the_same_stage_while_they_live() -> None:
    operations: tuple[Operation, ...] = (Map(lambda x: x, L), Filter(lambda x: x, L))
    end = Count()
    stage = compile_stage(operations, end)
    assert compile_stage((*operations,), end) is stage
    assert compile_stage(operations, Count()) is not stage
    assert compile_stage(operations[:1], end) is not stage


def test_a_stage_keeps_neither_its_operations_nor_after_them_their_functions() -> None:
    class Data:
        pass

    data = Data()
    alive = weakref.ref(data)
    operation = Map(lambda x, data=data: data, L)
    stage = compile_stage((operation,), Count())
    operation_alive = weakref.ref(operation)
    del operation, data
    assert operation_alive() is None
    assert stage.run([1], 0, None) == 1  # Whoever holds the stage can go on with it.
    del stage
    gc.collect()
    assert alive() is None


def test_stages_of_the_same_code_share_one_loop() -> None:
    def stage(n: int) -> CompiledStage:
        return compile_stage((Map(lambda x: x + n, L), Filter(opaque("lambda x: x"), L)), Collect(5))

    first, second = stage(1), stage(2)
    assert first.source is second.source
    assert (first.run([1], 0, None), second.run([1], 0, None)) == ([2], [3])


def test_the_source_is_shown_and_known_to_linecache() -> None:
    stage = compile_stage((SPLIT, PAIR), ADD)
    assert "for x in rows:" in stage.source
    assert f"# {__file__}:" in stage.source
    compile(stage.source, "shown", "exec")
    known = ["".join(linecache.getlines(name)) for name in linecache.cache if name.startswith("<millstream stage")]
    assert stage.source in known


def test_threads_run_one_stage_at_once() -> None:
    stage = compile_stage((SPLIT, PAIR), ADD)
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.extend(stage.run(["a b a"] * 50, 0, None) for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"a": 100, "b": 50}] * 200


def test_callables_of_every_kind_are_called() -> None:
    class Scale:
        def __call__(self, x: int) -> int:
            return x * 2

        def method(self, x: int) -> int:
            return x + 1

    rows = [1, 2]
    parts = [
        Map(Scale(), L),
        Map(Scale().method, L),
        Map(str, L),
        Map("{}!".format, L),
        Map(UserDict({"3!": 0}).get, L),
    ]
    assert run(rows, *parts, Collect()) == [0, None]

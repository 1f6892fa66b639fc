"""How a stage fails: which error, with what in it, and a traceback of the user's own lines."""

from __future__ import annotations

import gc
import pickle
import traceback
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fusion.stages import label, module_of, opaque, run

from millstream.errors import ArgumentTypeError, MillstreamError, SourceUnavailableError, UserCodeError
from millstream.execution.fusion import compile_stage
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.rdd.operations import (
    Apply,
    Collect,
    Combine,
    Count,
    CountValues,
    Filter,
    FlatMap,
    FlatMapValues,
    Glom,
    KeyBy,
    Map,
    MapPartitions,
    MapValues,
)

L = label("op")


def failed(rows: Any, *parts: Any, batch: Batch | None = None) -> UserCodeError:
    with pytest.raises(UserCodeError) as caught:
        run(rows, *parts, batch=batch)
    return caught.value


def shown_lines(error: UserCodeError) -> list[tuple[str, str]]:
    """Function and text of each line in the traceback of the cause."""
    assert error.__cause__ is not None
    return [(frame.name, frame.line or "") for frame in traceback.extract_tb(error.__cause__.__traceback__)]


PROGRAM = """
def parse(text):
    return int(text)

inline = lambda x: int(x) + 1
two = lambda x: x, lambda x: x / 0
spread = lambda x: (
    x,
    [int(part)
     for part in x.split()],
)
outside = lambda x: parse(x)

def plain(x):
    "doc"
    return x.missing

def generate(x):
    yield 1
    yield int(x)

def merge(a, b):
    return a + b
lookup = lambda x: {}[x]
twice = lambda x: (x, int(x))
"""


@pytest.mark.parametrize(
    ("function", "row", "lines"),
    [
        ("inline", "one", [("<lambda>", "inline = lambda x: int(x) + 1")]),
        ("parse", "one", [("parse", "return int(text)")]),
        ("plain", 1, [("plain", "return x.missing")]),
        ("outside", "x", [("<lambda>", "outside = lambda x: parse(x)"), ("parse", "return int(text)")]),
        ("lookup", 5, [("<lambda>", "lookup = lambda x: {}[x]")]),
        ("twice", "b", [("<lambda>", "twice = lambda x: (x, int(x))")]),
    ],
)
@pytest.mark.parametrize("part", [Map, FlatMap, Filter, KeyBy])
def test_the_traceback_is_that_of_a_call(part: Any, function: str, row: Any, lines: list[Any], tmp_path: Path) -> None:
    f = module_of(PROGRAM, tmp_path)[function]
    with pytest.raises(Exception) as called:  # noqa: PT011 - whatever it raises
        f(row)
    error = failed([row], part(f, L), Collect())
    assert shown_lines(error) == lines
    cause = error.__cause__
    assert cause is not None
    assert (type(cause), str(cause)) == (type(called.value), str(called.value))
    ours = traceback.extract_tb(cause.__traceback__)[0]
    theirs = traceback.extract_tb(called.value.__traceback__)[1]
    for where in ("filename", "lineno", "end_lineno", "colno", "end_colno", "name"):
        assert getattr(ours, where) == getattr(theirs, where)


def test_the_line_within_a_lambda_of_many_lines_is_shown(tmp_path: Path) -> None:
    names = module_of(PROGRAM, tmp_path)
    error = failed(["1 x"], Map(names["spread"], L), Collect())
    assert shown_lines(error)[-1][1] == "[int(part)"
    second = failed([1], Map(names["two"][0], L), Map(names["two"][1], L), Collect())
    assert second.__cause__ is not None
    assert traceback.extract_tb(second.__cause__.__traceback__)[0].colno == len("two = lambda x: x, lambda x: ")


def test_a_failing_generator_is_shown_where_it_stood(tmp_path: Path) -> None:
    generate = module_of(PROGRAM, tmp_path)["generate"]
    error = failed([("k", "x")], FlatMapValues(generate, L), Collect())
    assert shown_lines(error) == [("generate", "yield int(x)")]
    assert error.record == "('k', 'x')"
    assert "Iterating over what the function of op returned raised ValueError" in error.message


def test_the_frame_of_an_inlined_function_has_its_names(tmp_path: Path) -> None:
    names = module_of(PROGRAM, tmp_path)
    error = failed(["b"], Map(names["twice"], L), Collect())
    assert error.__cause__ is not None
    assert error.__cause__.__traceback__ is not None
    frame = error.__cause__.__traceback__.tb_frame
    assert frame.f_locals == {"x": "b"}
    assert frame.f_globals is names
    assert "__builtins__" in names


@pytest.mark.parametrize("f", [lambda x: 1 // x, opaque("lambda x: 1 // x")])
def test_the_error_names_operator_site_batch_and_record(f: Any) -> None:
    batch = Batch(1_500)
    error = failed([1, 0], Filter(lambda x: True, L), Map(f, Label("map", "invert", "app.py:12")), Count(), batch=batch)
    assert (error.operator, error.site, error.batch_time_ms, error.record) == ("map", "app.py:12", 1500, "0")
    assert error.message.startswith("The function of map 'invert' raised ZeroDivisionError: ")
    text = str(error)
    for fact in ("record 0", "1970-01-01T00:00:01.500000+00:00 (1500 ms)", "was added at app.py:12", "raised at"):
        assert fact in text
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.record, copy.batch_time_ms) == (text, "0", 1500)


@pytest.mark.parametrize(
    ("parts", "rows", "record"),
    [
        ((Map(lambda x: (x, x), L), Map(lambda kv: kv[0] / 0, L), Count()), [2], "(2, 2)"),
        ((Map(lambda x: (x, 1), L), MapValues(lambda v: v / 0, L), Count()), [2], "(2, 1)"),
        ((MapValues(lambda v: v / 0, L), Count()), [("a", 3)], "('a', 3)"),
        ((KeyBy(lambda x: x % 2, L), FlatMapValues(lambda v: v / 0, L), Count()), [3], "(1, 3)"),
        ((Map(lambda x: x + 1, L), FlatMap(lambda x: [x / 0], L), Count()), [3], "4"),
        ((Map(lambda x: x + 1, L), Filter(lambda x: x and x / 0, L), Count()), [3], "4"),
        ((Combine(None, lambda a, b: a / b, L),), [("a", 3), ("a", 0)], "('a', 0)"),
        ((Combine(lambda v: 1 / v, lambda a, b: a, L),), [("a", 3), ("b", 0)], "('b', 0)"),
        ((Glom(L), Map(lambda rows: rows[9], L), Count()), [3, 4], "[3, 4]"),
        ((Map(lambda x: None, L), Map(lambda x: x.y, L), Count()), [3], "None"),
    ],
)
def test_the_record_is_what_the_operator_was_given(parts: Any, rows: list[Any], record: str) -> None:
    assert failed(rows, *parts).record == record


def test_map_partitions_has_no_single_record() -> None:
    error = failed([1, 2], MapPartitions(lambda rows: [next(rows) / 0], False, label("map_partitions")), Collect())
    assert (error.operator, error.record) == ("map_partitions", None)
    late = failed([1, 0], MapPartitions(lambda rows: (1 / x for x in rows), False, L), Map(lambda x: x, L), Collect())
    assert isinstance(late.__cause__, ZeroDivisionError)
    assert late.record is None


@pytest.mark.parametrize("returned", [None, 5, object()])
@pytest.mark.parametrize("part", [FlatMap, FlatMapValues, lambda f, at: MapPartitions(f, False, at)])
def test_what_cannot_be_iterated_is_told(part: Any, returned: object) -> None:
    error = failed([("a", 1)], part(lambda x: returned, L), Collect())
    assert "The function of op returned " in error.message
    assert "which is not iterable" in error.message
    assert "Return an iterable" in str(error)
    assert shown_lines(error)[0][0] == "<lambda>"  # Where the function is.


def test_a_type_error_while_iterating_is_not_taken_for_that() -> None:
    error = failed([None], FlatMap(lambda x: map(int, [x]), L), Collect())
    assert "raised TypeError: int() argument" in error.message
    assert "not iterable" not in error.message


def test_an_error_of_a_builtin_shows_where_the_operator_was_added(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("\n\nlines.flat_map(str.split)\n")
    error = failed([3], FlatMap(str.split, Label("flat_map", None, f"{path}:3")), Collect())
    assert shown_lines(error) == [("<module>", "lines.flat_map(str.split)")]
    nowhere = failed([3], FlatMap(str.split, Label("flat_map")), Collect())
    assert nowhere.__cause__ is not None
    assert nowhere.__cause__.__traceback__ is None


def test_no_generated_frame_is_shown() -> None:
    error = failed([0], Map(lambda x: [y / x for y in (1,)], L), Collect())
    text = "".join(traceback.format_exception(error))
    assert "<millstream stage" not in text
    assert "Map(lambda x: [y / x for y in (1,)], L)" in text


@pytest.mark.parametrize("row", [([1], 2), ({}, 2), (([],), 2)])
@pytest.mark.parametrize("end", [Combine(None, max, label("reduce_by_key")), CountValues(label("count_by_value"))])
def test_a_key_that_cannot_be_hashed(row: Any, end: Any) -> None:
    with pytest.raises(
        ArgumentTypeError, match=r"cannot be hashed(.|\n)*unhashable type(.|\n)*Use a tuple or a str"
    ) as caught:
        run([row], end, batch=Batch(9))
    assert "9 ms" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


class Key:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __hash__(self) -> int:
        return 5

    def __eq__(self, other: object) -> bool:
        raise self.error


class Unhashable:
    def __hash__(self) -> int:
        raise TypeError("no hash today")


def test_errors_of_a_keys_own_class_are_the_users() -> None:
    for raised in (ValueError("no"), KeyError("no"), TypeError("no")):
        rows = [(Key(raised), 1), (Key(raised), 1)]
        error = failed(rows, Combine(None, max, L))
        assert error.__cause__ is raised
        assert "__eq__" in str(error)
        assert [name for name, _ in shown_lines(error)] == ["__eq__"]
    with pytest.raises(ArgumentTypeError, match="no hash today") as caught:
        run([(Unhashable(), 1)], Combine(None, max, L))
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("raised", [KeyError("a"), StopIteration(), RuntimeError(), MillstreamError("ours")])
def test_a_merge_that_raises_is_told_as_it_is(raised: Exception) -> None:
    def merge(a: int, b: int) -> int:
        raise raised

    error = failed([("a", 1), ("a", 2)], Combine(None, merge, L))
    assert error.__cause__ is raised
    assert raised.__context__ is None


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_error_passes(raised: type[BaseException]) -> None:
    def stop(x: object) -> object:
        raise raised

    with pytest.raises(raised):
        run([1], Map(stop, L), Collect())


@pytest.mark.parametrize("parts", [(), (Map(lambda x: x, L),), (Glom(L),), (MapPartitions(list, False, L),)])
@pytest.mark.parametrize("end", [Collect(), Collect(5), Count(), CountValues(L)])
def test_an_error_of_the_rows_passes_unchanged(parts: Any, end: Any) -> None:
    error = SourceUnavailableError("gone")

    def rows() -> Iterator[int]:
        yield 1
        raise error

    with pytest.raises(SourceUnavailableError) as caught:
        run(rows(), *parts, end)
    assert caught.value is error


def test_an_error_of_the_librarys_action_passes_unchanged() -> None:
    with pytest.raises(ZeroDivisionError):
        run([1], Map(lambda x: x, L), Apply(lambda rows: rows[0] / 0))


def test_a_record_that_cannot_be_shown_does_not_hide_the_error() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def f(x: object) -> object:
        raise MuteError

    error = failed([Shy()], Map(f, L), Collect())
    assert error.record == "<Shy whose repr raised RuntimeError>"
    assert "raised MuteError" in error.message


def test_a_stage_within_a_stage_fails_as_itself() -> None:
    inner = compile_stage((Map(lambda x: 1 / x, label("inner")),), Collect())
    error = failed([0], Map(lambda x: inner.run([x], 0, None), label("outer")), Collect())
    assert error.operator == "outer"
    within = error.__cause__
    assert isinstance(within, UserCodeError)
    assert within.operator == "inner"
    assert shown_lines(error)[0][1].startswith("error = failed([0], Map(lambda x: inner.run")


def test_an_error_keeps_nothing_of_the_loop_alive() -> None:
    class Data:
        pass

    alive: list[weakref.ref[Any]] = []

    def rows() -> Iterator[Any]:
        data = Data()
        alive.append(weakref.ref(data))
        yield data
        del data
        yield 0

    error = failed(rows(), Filter(lambda x: x != 0 or 1 / 0, L), Collect())
    gc.collect()
    assert error.record == "0"
    assert alive[0]() is None

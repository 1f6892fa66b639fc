"""A stage gives what calling its functions gives: results, effects, errors and tracebacks."""

from __future__ import annotations

import ast
import re
import traceback
from typing import Any

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from tests.unit.fusion.stages import NO_RECORD, NotAPairError, StepError, UnhashableError, label, module_of, plain_run

from millstream.errors import ArgumentTypeError, UserCodeError, shown
from millstream.execution.fusion import compile_stage
from millstream.rdd.operations import (
    Collect,
    Combine,
    Count,
    CountValues,
    Filter,
    FlatMap,
    FlatMapValues,
    Glom,
    KeyBy,
    Keys,
    Map,
    MapPartitions,
    MapValues,
    Values,
)

ADDRESS = re.compile(r" at 0x[0-9a-f]+|<cell \d+>")

PREAMBLE = '''
G = 5
rows = [1, 2]
stage = batch = d = get = "a name that a loop might use"
LOG = []


def bump(value):
    global G
    G = G + 1 if isinstance(G, int) and G < 40 else "grown"
    LOG.append(repr(value))
    return value


def fail(value):
    raise KeyError(value)


class Odd:
    """Its truth depends on how often anybody's was asked."""

    asked = 0

    def __init__(self, value):
        self.value = value

    def __bool__(self):
        Odd.asked += 1
        LOG.append("bool")
        return Odd.asked % 3 != 0

    def __repr__(self):
        return f"Odd({self.value!r})"

    def __lt__(self, other):
        LOG.append("lt")
        return Odd(other)


def functions(n):
    def grow():
        nonlocal n
        n = n + 1 if isinstance(n, int) else 0
        return n
'''

LEAVES = ["x", "x", "x", "1", "2", "'ab'", "n", "m", "G", "None", "rows", "d", "x[0]", "x[1]", "x[-1]", "missing"]
FORMS = [
    "({a} +\n        {b})", "({a} + {b})", "({a} - {b})", "({a} * 2)", "({a} < {b})", "({a} < {b} < 3)", "(not {a})",
    "({a} and {b})", "({a} or\n    {b})", "({a} if {b} else {c})", "({a}, {b})", "({a}, {b})", "[{a}, {b}]", "[{a}]",
    "[{a} for y in ({b}, 1)]", "[{a} for x in [{b}, x]]", "{{y: {a} for y in\n [1, {b}]}}", "{{{a} for y in [1]}}",
    "[y for y in [1, 2, 3] if {a}]", "[x for y in [[x]] for x in y]", "[(x, n) for n in [n, {a}]]",
    "f'''{{{a}!r:>4}}'''", "bump({a})", "Odd({a})", "str({a})", "len({a})", "{a}[0]", "{a}.real", "fail({a})", "grow()",
    "[lambda: x, {a}][1]", "sum(y for y in [1, {a}])", "[*{a}, {b}]", "(lambda y: {a})(1)", "({a} is {b})",
    "isinstance({a}, (int, str))", "dict(k={a})",
]  # fmt: skip


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> str:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(LEAVES))
    form = draw(st.sampled_from(FORMS))
    parts = {part: draw(expressions(depth - 1)) for part in "abc" if f"{{{part}" in form}
    return form.format(**parts)


FUNCTIONS = [
    "f{i} = lambda x, m=3: {e}",
    "f{i} = lambda x: {e}",
    "f{i}, _ = lambda x, m='d': {e}, lambda x: {e}",
    'def f{i}(x, m=n):\n        "doc"\n        return {e}',
    "def f{i}(x, /):\n        return {e}",
    "def f{i}(x):\n        y = {e}\n        return y",
]
MERGES = ["lambda a, b: a + b", "lambda a, b: (a, b)", "lambda b, a: [b,\n a][0]", "max", "lambda a, b: bump(a)"]
KINDS = [Map, FlatMap, Filter, MapValues, FlatMapValues, KeyBy, Keys, Values, Glom, MapPartitions]
plain_values = st.sampled_from([0, 1, 2, True, "ab", "c d", None, 1.5, [1, 2]])
records = st.one_of(plain_values, st.tuples(plain_values, plain_values), st.tuples(plain_values, st.just((1, "z"))))


def program(bodies: list[str], forms: list[str], merge: str, create: str) -> str:
    text = PREAMBLE
    for i, (body, form) in enumerate(zip(bodies, forms, strict=True)):
        text += f"    {form.format(i=i, e=body)}\n"
    text += f"    create = lambda x, m=3: {create}\n    merge = {merge}\n"
    names = ", ".join(f"f{i}" for i in range(len(bodies)))
    return text + f"    return [{names}], create, merge\n"


def is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def stage_parts(names: dict[str, Any], kinds: list[Any], end: str, n: Any) -> tuple[Any, ...]:
    functions, create, merge = names["functions"](n)
    parts: list[Any] = []
    for kind, f in zip(kinds, functions, strict=True):
        if kind in (Keys, Values, Glom):
            parts.append(kind(label(kind.__name__)))
        elif kind is MapPartitions:
            # Why through a list: an iterator shows its address, which may get into the results.
            parts.append(MapPartitions(lambda rows, f=f: f(list(rows)), False, label("MapPartitions")))
        else:
            parts.append(kind(f, label(kind.__name__)))
    ends = {
        "collect": Collect(),
        "take": Collect(2),
        "count": Count(),
        "combine": Combine(None, merge, label("Combine")),
        "create": Combine(create, merge, label("Combine")),
        "values": CountValues(label("CountValues")),
    }
    return tuple(parts), ends[end]


def outcome(names: dict[str, Any], call: Any) -> tuple[Any, ...]:
    """What a run gave, and what it left behind."""
    try:
        result: tuple[Any, ...] = ("result", repr(call()))
    except StepError as error:
        cause = error.__cause__
        assert cause is not None
        result = ("raised", repr(cause), None if error.record is NO_RECORD else shown(error.record), frames(cause))
    except UserCodeError as error:
        cause = error.__cause__
        assert cause is not None
        result = ("raised", repr(cause), error.record, frames(cause))
    except NotAPairError:
        result = ("not a pair",)
    except UnhashableError:
        result = ("unhashable",)
    except ArgumentTypeError as error:
        result = ("not a pair" if "not a pair" in error.message else "unhashable",)
    return (*result, repr(names["G"]), names["LOG"], names["Odd"].asked)


def frames(error: BaseException) -> list[tuple[int | None, str, int | None]]:
    """The program's own frames of a traceback: line, function, columns."""
    stack = traceback.extract_tb(error.__traceback__)
    return [(frame.lineno, frame.name, frame.colno) for frame in stack if frame.filename.startswith("<cell")]


@settings(max_examples=200, deadline=None)
@given(
    bodies=st.lists(expressions(), min_size=1, max_size=4),
    data=st.data(),
    rows=st.lists(records, max_size=4),
    n=st.sampled_from([4, "n"]),
    merge=st.sampled_from(MERGES),
    create=expressions(1),
    end=st.sampled_from(["collect", "take", "count", "combine", "create", "values"]),
)
def test_a_stage_does_what_calling_its_functions_does(
    bodies: list[str], data: st.DataObject, rows: list[Any], n: Any, merge: str, create: str, end: str
) -> None:
    size = len(bodies)
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=size, max_size=size))
    forms = data.draw(st.lists(st.sampled_from(FUNCTIONS), min_size=size, max_size=size))
    text = program(bodies, forms, merge, create)
    assume(is_python(text))  # Before 3.12 an f-string may not stand in an f-string of the same quotes.
    ours, plain = module_of(text), module_of(text)
    stage = compile_stage(*stage_parts(ours, kinds, end, n))
    operations, plain_end = stage_parts(plain, kinds, end, n)
    event("inlined" if "<cell" in stage.source else "called")
    for _ in range(2):  # The second run sees what the first one changed.
        got = outcome(ours, lambda: stage.run(rows, 3, None))
        expected = outcome(plain, lambda: plain_run(rows, operations, plain_end, 3))
        event(expected[0])
        if expected[0] == "raised" and not expected[3]:
            # No line of the program raised, such as where None was to be iterated: ours shows where the function is.
            got = (*got[:3], got[3][1:], *got[4:])
        assert ADDRESS.sub("", repr(got)) == ADDRESS.sub("", repr(expected))

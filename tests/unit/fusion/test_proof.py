"""Which functions are proven, and that nothing else is."""

from __future__ import annotations

import ast
import linecache
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from tests.unit.fusion.stages import module_of, opaque

from millstream.execution.fusion.module_source import same_code
from millstream.execution.fusion.proof import prove


def proven(f: FunctionType) -> str | None:
    proof = prove(f)
    return None if proof is None else ast.unparse(proof.expression)


def functions_of(text: str, directory: Path | None = None) -> dict[str, Any]:
    return {name: value for name, value in module_of(text, directory).items() if isinstance(value, FunctionType)}


def test_several_lambdas_on_one_line_are_told_apart() -> None:
    names = functions_of("a = lambda x: x + 1; b = lambda x: x + 2; c, d = lambda x: x + 1, lambda y: (y,\n  y)\n")
    assert {name: proven(f) for name, f in names.items()} == {"a": "x + 1", "b": "x + 2", "c": "x + 1", "d": "(y, y)"}


def test_lambdas_of_equal_text_are_proven_at_their_own_place() -> None:
    names = functions_of("a = lambda x: x; b = lambda x: x\n")
    first, second = prove(names["a"]), prove(names["b"])
    assert first is not None
    assert second is not None
    assert (first.expression.col_offset, second.expression.col_offset) == (14, 31)


def test_a_lambda_within_a_lambda_is_itself() -> None:
    names = module_of("make = lambda n: lambda x: x + n\ninner = make(3)\n")
    assert proven(names["inner"]) == "x + n"
    assert proven(names["make"]) is None  # It makes a function, which could outlive the record.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(x):\n    return x * 2\n", "x * 2"),
        ("def f(x): return x * 2\n", "x * 2"),
        ('def f(x):\n    "doc"\n    return (x,\n        1)\n', "(x, 1)"),
        ("def f(x: int, /, y: int = 3) -> int:\n    return x + y\n", "x + y"),
        ("class C:\n    def f(x):\n        return x\nf = C.f\n", "x"),
        ("from __future__ import annotations\ndef f(x: int) -> int:\n    return x\n", "x"),
        ("f = lambda x: f'{x!r:>{x}} {x}'\n", "f'{x!r:>{x}} {x}'"),
        ("f = lambda x: [y for y in x if y]\n", "[y for y in x if y]"),
        ("f = lambda x: 1\n", "1"),
        ("f = lambda x: 'é' + x; g = lambda x: 'ö' + x\n", "'é' + x"),
        ("f = (lambda x:\n    x\n    .real)\n", "x.real"),
        ("f = lambda x: x if x else -0.0\n", "x if x else -0.0"),
    ],
)
def test_a_function_of_one_returned_expression_is_proven(text: str, expected: str, tmp_path: Path) -> None:
    assert proven(functions_of(text)["f"]) == expected
    assert proven(functions_of(text, tmp_path)["f"]) == expected


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    y = x\n    return y\n",
        "def f(x):\n    return\n",
        "def f(x):\n    'only a remark'\n",
        "def f(x):\n    global g\n    return x\n",
        "def same(f): return f\n@same\ndef f(x):\n    return x\n",
        "def f(*x):\n    return x\n",
        "def f(x, **y):\n    return x\n",
        "def f(x, *, y=1):\n    return x\n",
        "def f(x):\n    yield x\n",
        "f = lambda x: (yield x)\n",
        "async def f(x):\n    return x\n",
        "f = lambda x: lambda: x\n",
        "f = lambda x: (y for y in x)\n",
        "f = lambda x: (y := x)\n",
        "f = lambda x: locals()\n",
        "f = lambda x: eval('x')\n",
        "import sys\nf = lambda x: sys._getframe()\n",
        "import logging\nf = lambda x: logging.warning(x)\n",
        "class C:\n    f = lambda x: x.__private\nf = C.f\n",
        "class C:\n    def f(self): return __class__\nf = C.f\n",
        "class C:\n    def f(self): return super().__init__\nf = C.f\n",
        "f = lambda x: [0 for x.a in x]\n",
        "f = lambda x: " + "(" * 60 + "x" + "+1)" * 60 + "\n",
    ],
)
def test_what_could_differ_in_a_loop_is_not_proven(text: str) -> None:
    assert proven(functions_of(text)["f"]) is None


def test_a_function_without_source_is_not_proven() -> None:
    assert proven(opaque("lambda x: x")) is None
    names: dict[str, Any] = {}
    exec(compile("f = lambda x: x", str(Path(__file__)), "exec"), names)
    assert proven(names["f"]) is None  # It claims to be of this file, which has another first line.


def test_a_file_that_changed_proves_nothing(tmp_path: Path) -> None:
    names = functions_of("f = lambda x: x + 1\ng = lambda x: x + 2\nh = lambda x: 0\n", tmp_path)
    path = Path(names["f"].__code__.co_filename)
    path.write_text("f = lambda x: x + 7\ng = lambda x: x + 2\n   h = broken\n")
    linecache.checkcache(str(path))
    assert [proven(names[name]) for name in "fgh"] == [None, None, None]


def test_a_file_that_changed_elsewhere_still_proves_what_stayed(tmp_path: Path) -> None:
    names = functions_of("f = lambda x: x + 1\ng = lambda x: x + 2\n", tmp_path)
    Path(names["f"].__code__.co_filename).write_text("f = lambda x: x + 99\ng = lambda x: x + 2\n")
    assert [proven(names[name]) for name in "fg"] == [None, "x + 2"]


@pytest.mark.parametrize(
    ("ran", "found"),
    [
        ("x + 1", "x + 1.0"),
        ("x + 1", "x + True"),
        ("(x, 0.0)", "(x, -0.0)"),
        ("x.a", "x.b"),
        ("y", "z"),
        ("x+1", "x + 1"),
    ],
)
def test_a_look_alike_is_not_a_proof(ran: str, found: str, tmp_path: Path) -> None:
    names = functions_of(f"f = lambda x: {ran}\n", tmp_path)
    Path(names["f"].__code__.co_filename).write_text(f"f = lambda x: {found}\n")
    assert proven(names["f"]) is None


def test_a_function_that_ran_often_is_still_proven() -> None:
    # Python rewrites the instructions of a function that runs often.
    f = functions_of("f = lambda x: (x.real + 1, [y for y in (x,)], len('a'))\n")["f"]
    for _ in range(5000):
        f(1)
    assert proven(f) == "(x.real + 1, [y for y in (x,)], len('a'))"


def test_a_cell_that_awaits_at_its_top_level_proves_its_functions() -> None:
    text = "f = lambda x: x * 3\nawait nothing()\n"
    filename = "<awaiting cell>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    code = compile(text, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    lambda_code = next(constant for constant in code.co_consts if hasattr(constant, "co_code"))
    assert proven(FunctionType(lambda_code, {})) == "x * 3"


def test_a_file_that_is_not_python_proves_nothing(tmp_path: Path) -> None:
    names = functions_of("f = lambda x: x\n", tmp_path)
    Path(names["f"].__code__.co_filename).write_text("this is (not Python\n")
    assert proven(names["f"]) is None


def test_warnings_of_the_users_file_are_not_given_again(recwarn: pytest.WarningsRecorder) -> None:
    assert proven(functions_of("f = lambda x: x is 1\n")["f"]) == "x is 1"
    assert not recwarn.list


def test_parameters_used_by_constant_index_only_are_known() -> None:
    names = functions_of(
        "f = lambda p, q: (p[0] + p[-1], q[0], q)\ng = lambda p: [p for p in p[1]]\nh = lambda p: p[2]\n"
    )
    indexed = {name: proof.indexed for name, f in names.items() if (proof := prove(f)) is not None}
    assert indexed == {"f": {"p"}, "g": {"p"}, "h": frozenset()}


def test_same_code_looks_into_inner_code() -> None:
    one = compile("f = lambda x: [y + 1 for y in x]", "a", "exec")
    other = compile("f = lambda x: [y + 2 for y in x]", "b", "exec")
    assert same_code(one, compile("f = lambda x: [y + 1 for y in x]", "c", "exec"))
    assert not same_code(one, other)

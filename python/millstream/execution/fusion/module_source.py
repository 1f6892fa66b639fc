"""The source of one file, parsed and compiled again to be compared with the code that runs."""

from __future__ import annotations
import __future__

import ast
import functools
import linecache
import operator
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, TypeAlias

from millstream.execution.fusion.quiet import without_warnings

_Point: TypeAlias = tuple[int, int]
"""A line from 1 and a byte column from 0."""

_FUTURE_FLAGS = functools.reduce(
    operator.or_,
    (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names if name != "nested_scopes"),
)  # Why not nested_scopes: its flag marks every nested function and asks nothing of the compiler.

_SOURCES_KEPT = 8


@dataclass(frozen=True, slots=True)
class _Body:
    """A function that does nothing but return an expression, with the span of all that it contains."""

    start: _Point
    end: _Point
    expression: ast.expr


class ModuleSource:
    """The functions of one file that do nothing but return an expression, as syntax and as freshly compiled code.

    Args:
        text: the whole text of the file, or of the notebook cell.
        filename: the name that the running code carries.
        flags: compiler flags of the `__future__` features that the running code was compiled with.

    Raises:
        SyntaxError: the text is not a Python module.
    """

    def __init__(self, text: str, filename: str, flags: int) -> None:
        self._bodies: dict[tuple[str, int], list[_Body]] = defaultdict(list)
        self._codes: dict[tuple[str, int], list[CodeType]] = defaultdict(list)
        with without_warnings():  # The user has seen the warnings of this text when it was imported.
            module, tree = _compiled(text, filename, flags)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.Lambda) and (body := _body(node)) is not None:
                name = node.name if isinstance(node, ast.FunctionDef) else "<lambda>"
                self._bodies[name, node.lineno].append(body)
        for code in _codes_within(module):
            if (code.co_name, code.co_firstlineno) in self._bodies:
                self._codes[code.co_name, code.co_firstlineno].append(code)

    def returned_by(self, code: CodeType) -> ast.expr | None:
        """Find the expression that one running code object returns, or None where that is not proven.

        It is proven when this text compiles to an equal code object (instructions, constants, names, positions),
        and the positions of its instructions lie within exactly this function.
        """
        key = code.co_name, code.co_firstlineno
        span = _span(code)
        if span is None or not any(same_code(code, fresh) for fresh in self._codes.get(key, [])):
            return None
        around = [body for body in self._bodies[key] if body.start <= span[0] and span[1] <= body.end]
        # Of nested lambdas the innermost around all instructions: the code of an outer one holds the instruction
        # that makes the inner one, which spans the word `lambda` and so does not lie within the inner one's body.
        return max(around, key=lambda body: body.start).expression if around else None


@functools.lru_cache(maxsize=_SOURCES_KEPT)
def _module_source(text: str, filename: str, flags: int) -> ModuleSource | None:
    try:
        return ModuleSource(text, filename, flags)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # Not Python any more, or too deep to follow.
        return None


def module_source(code: CodeType, module_globals: dict[str, Any]) -> ModuleSource | None:
    """Give the source of the file that a code object says it comes from, or None where there is none.

    Files are read through `linecache`, which also knows the cells of notebooks and what doctest registers.
    """
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, module_globals)
    return _module_source("".join(lines), code.co_filename, code.co_flags & _FUTURE_FLAGS) if lines else None


_COMPARED = operator.attrgetter(
    "co_name", "co_qualname", "co_firstlineno", "co_flags", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount",
    "co_code", "co_exceptiontable", "co_names", "co_varnames", "co_freevars", "co_cellvars",
)  # fmt: skip


def same_code(one: CodeType, other: CodeType) -> bool:
    """Compare two code objects in everything but the name of the file, and what they contain likewise.

    Why not `==`: it leaves out the positions on some versions of Python, and on some sees how often a code ran.

    Example:
        >>> same_code((lambda x: x + 1).__code__, (lambda x: x + 1.0).__code__)
        False
    """
    return (
        _COMPARED(one) == _COMPARED(other)
        and list(one.co_positions()) == list(other.co_positions())
        and _same_constant(one.co_consts, other.co_consts)
    )


def _same_constant(one: object, other: object) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return same_code(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same_constant, one, other))
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return {(type(x), x) for x in one} == {(type(x), x) for x in other}
    if isinstance(one, float | complex):
        return repr(one) == repr(other)  # 0.0 is not -0.0 here, and a NaN is itself.
    return one == other


def _compiled(text: str, filename: str, flags: int) -> tuple[CodeType, ast.Module]:
    for more in (0, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT):  # Cells of a notebook may await at their top level.
        try:
            tree = compile(text, filename, "exec", flags | more | ast.PyCF_ONLY_AST, dont_inherit=True)
            return compile(tree, filename, "exec", flags | more, dont_inherit=True), tree
        except SyntaxError:
            if more:
                raise
    raise AssertionError  # Invariant: the last round returns or raises.


def _codes_within(code: CodeType) -> Iterator[CodeType]:
    waiting = [code]
    while waiting:
        for constant in waiting.pop().co_consts:
            if isinstance(constant, CodeType):
                yield constant
                waiting.append(constant)


def _span(code: CodeType) -> tuple[_Point, _Point] | None:
    """Where the text of the first instruction begins, and that of the last one ends."""
    points = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if line is not None and end_line is not None and column is not None and end_column is not None
    ]
    real = [(start, end) for start, end in points if start != end]  # What stands for no text has no width.
    return (min(start for start, _ in real), max(end for _, end in real)) if real else None


def _body(node: ast.FunctionDef | ast.Lambda) -> _Body | None:
    match node:
        case ast.Lambda(body=expression):
            first: ast.stmt | ast.expr = expression
        case ast.FunctionDef(body=[ast.Return(value=ast.expr() as expression)], decorator_list=[]):
            first = node.body[0]
        case ast.FunctionDef(
            body=[ast.Expr(value=ast.Constant(value=str())) as first, ast.Return(value=ast.expr() as expression)],
            decorator_list=[],
        ):
            pass
        case _:
            return None
    if getattr(node, "type_params", None):  # Python >= 3.12; what makes the function stands in a scope of its own.
        return None
    end = expression.end_lineno or 0, expression.end_col_offset or 0
    return _Body((first.lineno, first.col_offset), end, expression)

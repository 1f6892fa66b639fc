"""Tracebacks that show the user's files where a generated loop ran the user's expressions."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import CodeType, FunctionType, MappingProxyType, TracebackType
from typing import Any

from millstream.execution.fusion.place import Place


@dataclass(frozen=True, slots=True)
class _Spot:
    """A piece of a file: lines from 1, byte columns from 0."""

    line: int
    end_line: int
    column: int
    end_column: int


def user_traceback(
    raised: TracebackType, place: Place, functions: Sequence[Callable[..., Any]]
) -> TracebackType | None:
    """Give the traceback of an error as if every function had been called, or None where none of the user's ran.

    Frames of the generated loop are left out. Where an expression of the user ran in them, an entry that shows its
    function, file, line and columns stands instead.

    Args:
        raised: the traceback from the frame of the loop on.
        place: what the loop did there.
        functions: the functions of the stage.
    """
    of_loop: list[TracebackType] = []
    entry: TracebackType | None = raised
    while entry is not None and entry.tb_frame.f_code.co_filename == raised.tb_frame.f_code.co_filename:
        of_loop.append(entry)
        entry = entry.tb_next
    if place.user_line is None or place.function is None:
        return entry
    f = functions[place.function]
    assert isinstance(f, FunctionType)  # Invariant: nothing else is inlined.
    for inlined in reversed(of_loop):
        entry = _inlined_entry(inlined, inlined is raised, place, f, entry)
    return entry


def nearest_line(f: Callable[..., Any] | None, site: str | None) -> TracebackType | None:
    """Give a traceback that shows where a function begins, or else where its operator was added, if that is known.

    Args:
        f: the function that was at fault, or None.
        site: `file:line` of the operator, or None.
    """
    if isinstance(f, FunctionType):
        code = f.__code__
        return _entry(
            code.co_filename, code.co_name, code.co_qualname, _whole_line(code.co_filename, code.co_firstlineno)
        )
    file, _, line = (site or "").rpartition(":")
    return _entry(file, "<module>", "<module>", _whole_line(file, int(line))) if file and line.isdigit() else None


def _inlined_entry(
    entry: TracebackType, outermost: bool, place: Place, f: FunctionType, following: TracebackType | None
) -> TracebackType:
    variables = entry.tb_frame.f_locals
    if outermost:
        name, qualname = f.__code__.co_name, f.__code__.co_qualname
        read = ((parameter, record.seen(variables)) for parameter, record in place.arguments.items())
        variables = {parameter: value for parameter, (known, value) in read if known}
    else:  # A comprehension, which has a frame of its own on some versions of Python.
        name = entry.tb_frame.f_code.co_name
        qualname = f"{f.__code__.co_qualname}.<locals>.{name}"
    spot = _spot(entry, (place.user_line or 0) - place.line)
    made = _entry(f.__code__.co_filename, name, qualname, spot, f.__globals__, variables)
    return TracebackType(following, made.tb_frame, made.tb_lasti, made.tb_lineno)


def _whole_line(file: str, line: int) -> _Spot:
    return _Spot(line, line, 0, len(linecache.getline(file, line).encode()))


def _spot(entry: TracebackType, down: int) -> _Spot:
    """Where in the user's file an instruction of the loop comes from, so many lines further down."""
    positions = entry.tb_frame.f_code.co_positions()
    line, end_line, column, end_column = next(islice(positions, entry.tb_lasti // 2, None), (None, None, None, None))
    line = entry.tb_lineno if line is None else line
    if end_line is None or column is None or end_column is None:  # Python runs without columns.
        return _Spot(line + down, line + down, 0, 0)
    return _Spot(line + down, end_line + down, column, end_column)


def _entry(
    file: str,
    name: str,
    qualname: str,
    spot: _Spot,
    names: dict[str, Any] | None = None,
    variables: Mapping[str, Any] = MappingProxyType({}),
) -> TracebackType:
    """Make a traceback entry that shows a spot of a file, by failing in code that claims to stand there.

    Why a generator: its frame refers to no caller once it failed, so that an error that is kept does not keep the
    frames, and with them the records, of whatever was running when it was made.
    """
    given = {variable: value for variable, value in variables.items() if variable.isidentifier()}
    module = ast.parse(f"def shown({', '.join(given)}):\n 1 / 0\n yield")
    for node in ast.walk(module):
        if isinstance(node, ast.stmt | ast.expr | ast.arg):
            node.lineno, node.end_lineno = spot.line, spot.end_line
            node.col_offset, node.end_col_offset = spot.column, spot.end_column
    compiled: CodeType = compile(module, file, "exec", dont_inherit=True)
    code = next(constant for constant in compiled.co_consts if isinstance(constant, CodeType))
    shown = FunctionType(code.replace(co_name=name, co_qualname=qualname), {} if names is None else names)
    try:
        next(shown(**given))
    except ZeroDivisionError as error:
        here = error.__traceback__
    made = None if here is None else here.tb_next
    assert made is not None  # Invariant: the error came through two frames, this one and the one made.
    return made

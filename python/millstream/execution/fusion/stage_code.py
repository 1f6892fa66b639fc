"""From written lines to the code object of a loop."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Mapping, Sequence
from types import CodeType

from millstream.execution.fusion.lines import Lines, move
from millstream.execution.fusion.loop import Loop
from millstream.execution.fusion.names import Names
from millstream.execution.fusion.quiet import without_warnings
from millstream.execution.fusion.shape import Step

STAGE = "<millstream stage>"
"""The name of generated functions wherever one is shown."""


def stage_code(steps: tuple[Step, ...], lines: Lines, names: Names, parameters: Sequence[str], filename: str) -> Loop:
    """Compile a written function.

    The function is compiled within another one whose parameters are the variables of closures, so that it reads
    them as the user's functions did: from the cell, at each use.

    Args:
        steps: what it was written from.
        lines: the statements.
        names: what the function needs besides its parameters.
        parameters: the names of its parameters.
        filename: the name of the file that the code claims to be from.
    """
    name = names.new("stage")
    lines.text[0] = f"def {name}({', '.join((*parameters, *names.arguments))}):"
    cells = names.cells
    module = ast.parse(f"def outside({', '.join(cells)}):\n {lines.text[0]} pass")
    move(module, 1)
    outside = module.body[0]
    assert isinstance(outside, ast.FunctionDef)
    inside = outside.body[0]
    assert isinstance(inside, ast.FunctionDef)
    inside.body = lines.body
    with without_warnings():  # Such as the one about `1 is x`: the user has seen those of the functions themselves.
        compiled: CodeType = compile(module, filename, "exec", dont_inherit=True)
    code = _code_within(_code_within(compiled, "outside"), name)
    originals = {mine: cell.name for mine, cell in cells.items()}
    return Loop(
        steps=steps,
        code=_with_cell_names(code, originals).replace(co_name=STAGE, co_qualname=STAGE),
        arguments=tuple(names.arguments.values()),
        cells=tuple(cells[mine] for mine in code.co_freevars),
        places=lines.places,
        source="\n".join(lines.text) + "\n",
    )


def register(loop: Loop) -> None:
    """Let `linecache`, and so tracebacks and debuggers, know the source of a loop."""
    # A time of None keeps the entry when linecache looks for changed files.
    linecache.cache[loop.filename] = (len(loop.source), None, loop.source.splitlines(keepends=True), loop.filename)


def forget(filename: str) -> None:
    """Take the source of a loop out of `linecache` again."""
    linecache.cache.pop(filename, None)


def _code_within(code: CodeType, name: str) -> CodeType:
    return next(inner for inner in code.co_consts if isinstance(inner, CodeType) and inner.co_name == name)


def _with_cell_names(code: CodeType, originals: Mapping[str, str]) -> CodeType:
    """Call the variables of closures as the user does: an error about one that is not set names it."""
    return code.replace(
        co_freevars=tuple(originals.get(name, name) for name in code.co_freevars),
        co_consts=tuple(
            _with_cell_names(inner, originals) if isinstance(inner, CodeType) else inner for inner in code.co_consts
        ),
    )

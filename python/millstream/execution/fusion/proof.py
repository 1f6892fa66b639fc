"""Proven bodies of functions: the one expression that a function returns, known to be what its code does."""

from __future__ import annotations

import ast
import inspect
from collections import OrderedDict
from dataclasses import dataclass
from types import CodeType, FunctionType

from millstream.execution.fusion.admission import may_be_inlined
from millstream.execution.fusion.module_source import module_source
from millstream.execution.fusion.scoped import Scoped

_PROOFS_KEPT = 1024
_NOT_INLINED = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
    | inspect.CO_ITERABLE_COROUTINE
)


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """What one code object computes, as syntax; one object for one code object.

    Attributes:
        code: the code that was proven.
        expression: what it returns, with the lines and columns of the user's file. Copy before changing it.
        parameters: the positional parameters in order, those with a default included.
        uses_globals: whether the expression reads names of its module or builtins.
        identifiers: every name in the expression; names that a loop makes up must differ from these.
        indexed: parameters that are used in no other way than `p[0]` and `p[1]`, so that a pair need not be built.
    """

    code: CodeType
    expression: ast.expr
    parameters: tuple[str, ...]
    uses_globals: bool
    identifiers: frozenset[str]
    indexed: frozenset[str]


_proofs: OrderedDict[int, tuple[CodeType, Proof | None]] = OrderedDict()
"""By the identity of the code, the most recently used last; holds the code so that an identity stays its own."""


def prove(f: FunctionType) -> Proof | None:
    """Give the proven body of a function, or None where there is no proof or it must not be inlined.

    The source is read through `linecache`, compiled again and compared with the code of the function, see
    `ModuleSource.returned_by`. A file that was changed since gives None unless this function stayed what it was.

    Args:
        f: a plain function.

    Example:
        >>> prove(eval("lambda x: x + 1"))  # no source
    """
    code = f.__code__
    kept = _proofs.pop(id(code), None)
    if kept is None:
        kept = code, _proven(f)
        while len(_proofs) >= _PROOFS_KEPT:
            _proofs.popitem(last=False)
    _proofs[id(code)] = kept
    return kept[1]


def _proven(f: FunctionType) -> Proof | None:
    code = f.__code__
    if code.co_flags & _NOT_INLINED or code.co_kwonlyargcount or "__class__" in code.co_freevars:
        return None
    source = module_source(code, f.__globals__)
    expression = source.returned_by(code) if source is not None else None
    if expression is None or not may_be_inlined(expression):
        return None
    parameters = code.co_varnames[: code.co_argcount]
    uses = _Uses(frozenset(parameters), frozenset(code.co_freevars))
    uses.visit(expression)
    return Proof(
        code=code,
        expression=expression,
        parameters=parameters,
        uses_globals=uses.globals,
        identifiers=frozenset(part.id for part in ast.walk(expression) if isinstance(part, ast.Name)),
        indexed=frozenset(parameters) - uses.whole,
    )


class _Uses(Scoped):
    """Reads how an expression uses its names; leaves it as it is."""

    def __init__(self, parameters: frozenset[str], cells: frozenset[str]) -> None:
        super().__init__()
        self._parameters = parameters
        self._cells = cells
        self.globals = False
        self.whole: set[str] = set()

    def free(self, node: ast.Name) -> ast.expr:
        if node.id in self._parameters:
            self.whole.add(node.id)
        elif node.id not in self._cells:
            self.globals = True
        return node

    def subscript(self, node: ast.Subscript) -> ast.expr:
        match node.value:
            case ast.Name(id=name) if (
                name in self._parameters and self.is_free(node.value) and pair_index(node) is not None
            ):
                return node
            case _:
                return super().subscript(node)


def pair_index(node: ast.Subscript) -> int | None:
    """Give 0 or 1 where a subscript reads one half of a pair by a constant index, else None.

    Example:
        >>> [pair_index(ast.parse(text, mode="eval").body) for text in ("p[0]", "p[-1]", "p[2]", "p[i]")]
        [0, 1, None, None]
    """
    match node.slice:
        case ast.Constant(value=int(index)):
            found = index
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(index))):
            found = -index + 2
        case _:
            return None
    return int(found) if found in (0, 1) and isinstance(node.ctx, ast.Load) else None

"""How a loop uses one function: its proven expression, an operator in its place, or a call."""

from __future__ import annotations

import dis
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, TypeAlias, TypeGuard

from millstream.execution.fusion.native_operator import native_template
from millstream.execution.fusion.proof import Proof, prove
from millstream.model.arity import required_positionals

_FUNCTION_ALIKE_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Inline:
    """The expression of the function stands in the loop.

    Attributes:
        proof: what the function computes.
        batch: whether the function is given the batch after its other arguments.
    """

    proof: Proof
    batch: bool


@dataclass(frozen=True, slots=True)
class Native:
    """An operator of the language stands in the loop; see `native_operator`."""

    template: str


@dataclass(frozen=True, slots=True)
class Call:
    """The function is called.

    Attributes:
        batch: whether the function is given the batch after its other arguments.
        pair: whether it is known to return a plain tuple of two.
    """

    batch: bool = False
    pair: bool = False


Callee: TypeAlias = Inline | Native | Call


def callee_of(f: Callable[..., Any], arguments: int, *, may_want_batch: bool = True) -> Callee:
    """Decide how a loop uses a function.

    Args:
        f: any callable.
        arguments: how many arguments the loop has for it, the batch not counted.
        may_want_batch: whether the operation offers the batch.
    """
    template = native_template(f, arguments)
    if template is not None:
        return Native(template)
    required = required_positionals(f)
    batch = may_want_batch and required == arguments + 1
    if not isinstance(f, FunctionType):
        return Call(batch)
    given = arguments + batch
    if required is not None and required <= given <= f.__code__.co_argcount and not _is_traced():
        proof = prove(f)
        if proof is not None:
            return Inline(proof, batch)
    return called(f, batch)


def called(f: FunctionType, batch: bool) -> Call:
    """Use a plain function by calling it."""
    return Call(batch, _returns_pair(f.__code__))


def shared_globals(functions: Sequence[Callable[..., Any]], callees: Sequence[Callee]) -> dict[str, Any] | None:
    """Choose the module whose names the loop sees: that of most functions that could be inlined and read such names.

    A loop runs as a function of that module, so names are looked up as the functions themselves would do, at
    each use. Functions of other modules that read names have to be called.
    """
    readers = [f for f, callee in zip(functions, callees, strict=True) if _reads_globals(f, callee)]
    if not readers:
        return None
    often = Counter(id(f.__globals__) for f in readers)
    return max((f.__globals__ for f in readers), key=lambda names: often[id(names)])


def sees_same_names(f: Callable[..., Any], callee: Callee, names: dict[str, Any], builtins: object) -> bool:
    """Say whether a function may be used as its callee says in a loop that sees these names and builtins."""
    if not _reads_globals(f, callee):
        return True
    return f.__globals__ is names and builtins_of(f) is builtins


def builtins_of(f: FunctionType) -> object:
    """Give the builtins that a function sees."""
    return getattr(f, "__builtins__", None)  # The stubs do not know it.


def _reads_globals(f: Callable[..., Any], callee: Callee) -> TypeGuard[FunctionType]:
    return isinstance(callee, Inline) and callee.proof.uses_globals


def _is_traced() -> bool:
    """Say whether a debugger or a coverage tool watches: it has to see the lines of the functions themselves."""
    if sys.gettrace() is not None:
        return True
    monitoring = getattr(sys, "monitoring", None)  # Python >= 3.12
    return monitoring is not None and any(
        monitoring.get_tool(tool) for tool in (monitoring.DEBUGGER_ID, monitoring.COVERAGE_ID)
    )


@lru_cache(maxsize=_FUNCTION_ALIKE_KEPT)
def _returns_pair(code: CodeType) -> bool:
    """Say whether every way out of a function builds a tuple of two right before it returns.

    Instructions that this does not know, on whatever version of Python, mean no.
    """
    before: dis.Instruction | None = None
    returns = 0
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith(("RETURN_", "YIELD_", "SEND")):
            built = before is not None and before.opname == "BUILD_TUPLE" and before.arg == 2
            if instruction.opname != "RETURN_VALUE" or instruction.is_jump_target or not built:
                return False
            returns += 1
        before = instruction
    return returns > 0

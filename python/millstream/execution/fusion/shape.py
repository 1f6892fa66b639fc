"""What a loop is written from: the kinds of its operations and how each of their functions is used."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeAlias, assert_never

from millstream.execution.fusion.callee import (
    Call,
    Callee,
    builtins_of,
    called,
    callee_of,
    sees_same_names,
    shared_globals,
)
from millstream.model.arity import refuse_coroutine
from millstream.model.label import Label
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

Function: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One operation, or the end, as a stage sees it; the operation itself is not kept.

    Attributes:
        kind: its class.
        functions: its functions, each with how many arguments it is given and whether it may ask for the batch too.
        label: where it comes from; None for an end that runs no function of the user.
        option: `with_index` of MapPartitions; whether Collect has a limit; whether Combine has `create`.
    """

    kind: type[Operation] | type[End]
    functions: tuple[tuple[Function, int, bool], ...] = ()
    label: Label | None = None
    option: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A part without its functions and its label: stages whose steps are equal share one generated loop.

    Attributes:
        kind: the class of the operation or end.
        callees: how each of its functions is used.
        option: as of the part.
    """

    kind: type[Operation] | type[End]
    callees: tuple[Callee, ...]
    option: bool


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What a stage's loop is written from, and what the loop is then bound to.

    Attributes:
        steps: the operations and the end.
        functions: the functions of all steps, in order.
        names: the module whose names the loop sees.
    """

    steps: tuple[Step, ...]
    functions: tuple[Function, ...]
    names: dict[str, Any]


def part_of(operation: Operation | End) -> Part:
    """Take an operation or an end apart."""
    match operation:
        case Map() | FlatMap() | Filter() | MapValues() | FlatMapValues() | KeyBy():
            return Part(type(operation), ((operation.f, 1, True),), operation.label)
        case MapPartitions():
            arguments = 2 if operation.with_index else 1
            return Part(MapPartitions, ((operation.f, arguments, True),), operation.label, operation.with_index)
        case Combine():
            create: tuple[Any, ...] = () if operation.create is None else ((operation.create, 1, False),)
            return Part(Combine, (*create, (operation.merge, 2, False)), operation.label, bool(create))
        case Apply():
            return Part(Apply, ((operation.f, 1, False),))
        case ApplyPartition():
            return Part(ApplyPartition, ((operation.f, 3, False),))
        case Collect():
            return Part(Collect, option=operation.limit is not None)
        case Count():
            return Part(Count)
        case Keys() | Values() | Glom() | CountValues():
            return Part(type(operation), label=operation.label)
        case _:
            assert_never(operation)


def shape_of(parts: tuple[Part, ...]) -> Shape:
    """Decide how each function of a stage is used.

    Raises:
        GraphError: a coroutine function where nothing awaits it.
    """
    functions = tuple(f for part in parts for f, _, _ in part.functions)
    callees = [callee for part in parts for callee in _callees(part)]
    names = shared_globals(functions, callees)
    if names is None:
        names = {"__builtins__": builtins}
    seen = _builtins_seen(names)
    settled = iter([_settled(f, callee, names, seen) for f, callee in zip(functions, callees, strict=True)])
    steps = tuple(Step(part.kind, tuple(next(settled) for _ in part.functions), part.option) for part in parts)
    return Shape(steps, functions, names)


def _callees(part: Part) -> list[Callee]:
    if part.label is None:  # The library's own function, which may do anything but is not the user's.
        return [Call() for _ in part.functions]
    for f, _, _ in part.functions:
        refuse_coroutine(f, part.label.operator)
    return [callee_of(f, arguments, may_want_batch=may_want) for f, arguments, may_want in part.functions]


def _settled(f: Function, callee: Callee, names: dict[str, Any], seen: object) -> Callee:
    if sees_same_names(f, callee, names, seen):
        return callee
    assert isinstance(f, FunctionType)  # Invariant: only what could be inlined depends on names.
    return called(f, asks_batch(callee))


def _builtins_seen(names: dict[str, Any]) -> object:
    """Give the builtins that a function of this module would see."""
    return builtins_of(FunctionType((lambda: None).__code__, names))


def asks_batch(callee: Callee) -> bool:
    """Say whether a function is given the batch."""
    return getattr(callee, "batch", False)

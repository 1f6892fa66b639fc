"""Generated loops: one Python function that runs a whole stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, TypeAlias

from millstream.execution.fusion.place import Place
from millstream.execution.fusion.shape import Step


@dataclass(frozen=True, slots=True)
class FunctionArgument:
    """A function of the user, by its number in the stage."""

    function: int


@dataclass(frozen=True, slots=True)
class DefaultArgument:
    """What an inlined function has as default of a parameter, by the numbers of both."""

    function: int
    parameter: int


@dataclass(frozen=True, slots=True)
class LimitArgument:
    """The limit of Collect."""


@dataclass(frozen=True, slots=True)
class FixedArgument:
    """Something that the loop itself needs."""

    value: Any


Argument: TypeAlias = FunctionArgument | DefaultArgument | LimitArgument | FixedArgument


@dataclass(frozen=True, slots=True)
class CellVariable:
    """A variable of the closure of an inlined function."""

    function: int
    name: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Loop:
    """The code of a generated function `(rows, index, batch)`, not yet bound to the functions of one stage.

    Attributes:
        steps: what it was written from.
        code: the code; what it needs follows its three parameters as defaults, and in its closure.
        arguments: what the defaults are.
        cells: what the variables of its closure are.
        places: what its lines do.
        source: its text, for reading.
    """

    steps: tuple[Step, ...]
    code: CodeType
    arguments: tuple[Argument, ...]
    cells: tuple[CellVariable, ...]
    places: Mapping[int, Place]
    source: str

    @property
    def filename(self) -> str:
        """The name under which `linecache` knows the source."""
        return self.code.co_filename

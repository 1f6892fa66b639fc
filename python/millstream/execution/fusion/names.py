"""The names of a generated function: made up so that none is a name that an inlined expression means."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from millstream.execution.fusion.loop import Argument, CellVariable, FixedArgument


class Names:
    """Gives out names, and remembers what those stand for that are bound when the function is made.

    Args:
        taken: the names that inlined expressions use.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._steady: set[str] = set()
        self._arguments: dict[str, Argument] = {}
        self._bound: dict[Argument, str] = {}
        self._cells: dict[CellVariable, str] = {}

    def new(self, prefix: str) -> str:
        """Make up a name."""
        name, n = prefix, 1
        while name in self._taken:
            n += 1
            name = f"{prefix}{n}"
        self._taken.add(name)
        return name

    def variable(self, prefix: str) -> ast.Name:
        """Make up a variable that keeps its value until the next record."""
        name = self.new(prefix)
        self._steady.add(name)
        return ast.Name(name, ast.Load())

    def is_variable(self, expression: ast.expr) -> bool:
        """Say whether an expression is nothing but such a variable."""
        return isinstance(expression, ast.Name) and expression.id in self._steady

    def argument(self, prefix: str, argument: Argument) -> ast.Name:
        """Give the variable that holds something from outside, the same each time."""
        if argument not in self._bound:
            name = self.variable(prefix).id
            self._bound[argument] = name
            self._arguments[name] = argument
        return ast.Name(self._bound[argument], ast.Load())

    def fixed(self, prefix: str, value: object) -> str:
        """Give the name under which the loop holds something of its own; its module's names are the user's."""
        return self.argument(prefix, FixedArgument(value)).id

    def cell(self, cell: CellVariable) -> str:
        """Give the name of a variable of a closure, which may change at any time."""
        if cell not in self._cells:
            self._cells[cell] = self.new(cell.name)
        return self._cells[cell]

    @property
    def arguments(self) -> dict[str, Argument]:
        """What is bound as default of a parameter, in order."""
        return self._arguments

    @property
    def cells(self) -> dict[str, CellVariable]:
        """What is bound as closure."""
        return {name: cell for cell, name in self._cells.items()}

"""The record of the moment while a loop is written: whole, or as the two halves of a pair."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Atom: TypeAlias = ast.Name | ast.Constant
"""A name of the loop or a constant: may be repeated, has no effect, keeps its value until the next record."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the loop's variables hold of one record; at least `whole`, or both `key` and `value`.

    Attributes:
        whole: the record itself, or None while it was not needed as one object.
        key: the first half, or None while the record was not taken apart.
        value: the second half, likewise.
        pair: whether the record is known to be a plain tuple of two.
    """

    whole: Atom | None = None
    key: Atom | None = None
    value: Atom | None = None
    pair: bool = False

    def seen(self, variables: Mapping[str, Any]) -> tuple[bool, Any]:
        """Read the record back from the variables of a loop that failed: whether it is there, and it."""
        for atoms in ((self.whole,), (self.key, self.value)):
            if all(atom is not None and (isinstance(atom, ast.Constant) or atom.id in variables) for atom in atoms):
                values = tuple(value_of(atom, variables) for atom in atoms if atom is not None)
                return True, values[0] if len(values) == 1 else values
        return False, None


def value_of(atom: Atom, variables: Mapping[str, Any]) -> Any:
    """Give what an atom holds.

    Example:
        >>> value_of(ast.Name("x1"), {"x1": 3}), value_of(ast.Constant("a"), {})
        (3, 'a')
    """
    return variables[atom.id] if isinstance(atom, ast.Name) else atom.value

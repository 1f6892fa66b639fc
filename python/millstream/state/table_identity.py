"""What a checkpoint knows of a table beside its content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

TableKind: TypeAlias = Literal["state", "window", "running"]
"""What the values are: states by key; the parts of a window by batch time; the running values of a window by key."""


@dataclass(frozen=True, slots=True)
class TableIdentity:
    """One table of a program, as it is matched with what a checkpoint holds after the program was changed.

    Attributes:
        table: its id in the program: the user's name, or the operator with its place; unique.
        operator: the method that made it, such as `map_with_state`.
        name: the name that the user gave the operator, or None.
        kind: what its values are.
        partitions: over how many partitions it is spread; 1 for the parts of a window.
        codec: how its values are encoded: "plain" or "pickle".
        renamed_from: the name that the operator had before, or None.
        site: `file:line` of the user's call, for messages; empty where it is not known.
        version: the version of its values, counted by the user, at least 1.
    """

    table: str
    operator: str
    name: str | None
    kind: TableKind
    partitions: int
    codec: str
    renamed_from: str | None
    site: str
    version: int = 1

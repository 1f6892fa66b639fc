"""Where an operation of a program comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """Where an operation comes from, for errors and the UI.

    Attributes:
        operator: the method that added it, such as `flat_map`.
        name: the name that the user gave, or None.
        site: `file:line` of the user's call, or None.
    """

    operator: str
    name: str | None = None
    site: str | None = None

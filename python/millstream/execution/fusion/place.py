"""What a line of a generated loop does, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from millstream.execution.fusion.record import Atom, Record


class Role(Enum):
    """What went wrong when a line of this kind raises."""

    CALL = "a function of the user raised"
    ITERATE = "what a function of the user returned could not be iterated, or raised while it was"
    PAIR = "a record was not a pair"
    KEY = "a key could not be looked up"


@dataclass(frozen=True, slots=True)
class Place:
    """One statement of a generated loop.

    Attributes:
        step: index of the operation that the statement serves; the end of the stage counts as the last one.
        role: what an error here means.
        function: index of the function that runs here, or None.
        record: the record that the operation was given; empty where it is given no single one.
        subject: what is iterated, taken apart or looked up here, or None.
        user_line: first line of the inlined expression in the user's file, or None where nothing is inlined.
        arguments: what the parameters of the inlined function are.
        line: first line of the statement in the generated source; set when it is written.
    """

    step: int
    role: Role
    function: int | None
    record: Record
    subject: Atom | None = None
    user_line: int | None = None
    arguments: Mapping[str, Record] = field(default_factory=dict)
    line: int = 0

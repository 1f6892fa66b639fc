"""What a simulation finds."""

from __future__ import annotations

from typing import Literal, TypeAlias

Rule: TypeAlias = Literal[
    "exactly_once",
    "at_least_once",
    "at_most_once",
    "inputs_fixed",
    "skip",
    "batch_order",
    "staged",
    "output",
    "state_version",
    "retention",
    "bounded",
    "bounded memory",
    "liveness",
    "error",
    "check",
]
"""What was broken; see `millstream.testing.simulate`."""


class ViolationError(AssertionError):
    """A rule was broken.

    Attributes:
        rule: which.
        what: one line or more.
    """

    def __init__(self, rule: Rule, what: str) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule
        self.what = what

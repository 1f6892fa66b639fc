"""Answers of the server, and the exception that ends a request early with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, with a small JSON object as its body.

    Attributes:
        status: of HTTP.
        fields: the body.
        headers: beside those that every answer has.
    """

    status: int
    fields: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """A request cannot be taken; the sender is told why.

    Args:
        status: of HTTP.
        error: what is wrong, one sentence for the sender.
        report: what happened as the program's listeners hear it, the same words for all requests of a kind; None:
            nothing that they should hear of.
        headers: of the answer.
        fields: what the answer says beside the error, such as a position.
    """

    def __init__(
        self,
        status: int,
        error: str,
        *,
        report: str | None = None,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(error)
        self.report = report
        self.answer = Answer(status, {"error": error, **(fields or {})}, headers or {})

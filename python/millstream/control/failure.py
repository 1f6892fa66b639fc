"""What went wrong, and whether trying again can help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from millstream.errors import MillstreamError, UnavailableError, UserCodeError

FailureKind: TypeAlias = Literal["user", "transient", "final"]
"""`user`: code of the user raised, retried once. `transient`: something outside did not answer, retried up to
`batch_retries` times. `final`: trying again cannot help."""


def failure_kind(error: BaseException) -> FailureKind:
    """Tell whether trying again can help against an error.

    Errors that are not millstream's own come from code that users or connectors wrote, so they count as the
    user's. What is not an `Exception` (an interrupt, an exit) asks the process to end and is final.

    Example:
        >>> from millstream.errors import DataError, SinkUnavailableError
        >>> failure_kind(SinkUnavailableError("No answer.")), failure_kind(KeyError("k")), failure_kind(DataError("?"))
        ('transient', 'user', 'final')
    """
    if isinstance(error, UnavailableError):
        return "transient"
    if isinstance(error, UserCodeError):
        return "user"
    if isinstance(error, MillstreamError) or not isinstance(error, Exception):
        return "final"
    return "user"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error together with what it means for control.

    Attributes:
        error: the exception as it was raised, with its cause.
        kind: whether trying again can help.
    """

    error: BaseException
    kind: FailureKind

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Classify an exception by `failure_kind`."""
        return cls(error, failure_kind(error))

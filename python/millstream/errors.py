"""Every error that millstream raises, grouped by what the reader does next.

The text of an error is what happened, then `Detail:`, then `Hint:`. Every error pickles, so that it
travels unchanged from a worker process to the driver.
"""

from __future__ import annotations

from typing import Any

RECORD_REPR_MAX = 200
"""Characters of a record that an error shows."""


class MillstreamError(Exception):
    """The root of all errors of millstream.

    Args:
        message: what happened, one sentence.
        detail: the facts of this case.
        hint: what the reader can do.

    Example:
        >>> print(MillstreamError("It broke.", detail="The disk is full.", hint="Free some space."))
        It broke.
        Detail: The disk is full.
        Hint: Free some space.
    """

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message]
        if self.detail:
            lines.append(f"Detail: {self.detail}")
        if self.hint:
            lines.append(f"Hint: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[MillstreamError], args: tuple[Any, ...], fields: dict[str, Any]) -> MillstreamError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class InvalidError(MillstreamError):
    """The program or its configuration is wrong: fix it."""


class ConfigurationError(InvalidError, ValueError):
    """An argument has a value that cannot work."""


class ArgumentTypeError(InvalidError, TypeError):
    """An argument, a record or a key has a type that cannot work."""


class GraphError(InvalidError):
    """The stream graph cannot run as it was put together."""


class LifecycleError(InvalidError, RuntimeError):
    """A call came at a time when it is not possible, such as a second start."""


class ShippingError(InvalidError):
    """A function or a value cannot be sent to a worker process."""


class EncodingError(InvalidError):
    """A value cannot be kept in a checkpoint as it is."""


class UserCodeError(MillstreamError):
    """A user's function raised; the cause is chained.

    Attributes:
        stream: the name of the streaming context, or None in a batch program.
        operator: the operator that called the function, such as `map`.
        site: where the operator was added to the program, `file:line`, or None.
        batch_time_ms: the batch, milliseconds since the epoch, or None in a batch program.
        record: `repr` of the record, cut to 200 characters, or None where no record is known.
    """

    def __init__(
        self,
        message: str,
        *,
        operator: str,
        site: str | None = None,
        batch_time_ms: int | None = None,
        record: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.stream: str | None = None
        self.operator = operator
        self.site = site
        self.batch_time_ms = batch_time_ms
        self.record = record


class UnavailableError(MillstreamError):
    """Something outside did not answer; it was retried up to the named limit and may pass."""


class SourceUnavailableError(UnavailableError):
    """A source could not be reached or read."""


class InputFullError(UnavailableError):
    """An input has no room for a record, or is over its rate limit; the record was not taken."""


class SinkUnavailableError(UnavailableError):
    """A sink could not be reached or written."""


class StorageUnavailableError(UnavailableError):
    """Storage refused to write or read."""


class BackendUnavailableError(UnavailableError):
    """Executors could not be started or were lost too often."""


class DataError(MillstreamError):
    """Stored or received bytes are wrong."""


class CorruptSegmentError(DataError):
    """A log file is damaged below its durable length."""


class IncompatibleCheckpointError(DataError):
    """A checkpoint belongs to another program or a newer format."""


class FencedError(MillstreamError):
    """Another driver owns this checkpoint: this one must stop."""


class InternalError(MillstreamError):
    """An invariant of millstream broke: please report it."""


def shown(record: object) -> str:
    """Give the `repr` of a record for an error, cut to 200 characters; never raises.

    Example:
        >>> shown("x" * 1000)[-1], len(shown("x" * 1000))
        ('…', 200)
    """
    try:
        text = repr(record)
    except Exception as error:  # Why not let it pass: the record's repr must not hide the user's error.
        text = f"<{type(record).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= RECORD_REPR_MAX else text[: RECORD_REPR_MAX - 1] + "…"

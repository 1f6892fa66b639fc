"""From an error within a generated loop to the error that the user sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from millstream.errors import ArgumentTypeError, MillstreamError, UserCodeError, shown
from millstream.execution.fusion.loop import Loop
from millstream.execution.fusion.place import Place, Role
from millstream.execution.fusion.record import value_of
from millstream.execution.fusion.user_traceback import nearest_line, user_traceback
from millstream.model.batch import Batch
from millstream.model.label import Label
from millstream.rdd.async_call_error import AsyncCallError

_TEXT_MAX = 1_000
"""Characters of the user's own error that ours repeats; the cause has all of them."""

_OWN = "millstream.rdd."
"""Where callable objects of the library's are defined that stand in the place of a user's function."""

_AWAITING = "millstream.rdd.async_calls"
"""The module whose frames stand between the loop and a function that is awaited. Why by name: it is imported late."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is raised in the end, and the cause that it is chained to; None where the cause says no more."""

    error: MillstreamError
    cause: BaseException | None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known where a loop failed.

    Attributes:
        label: the operator.
        batch: the batch that ran, or None.
        record: whether a record is known, and which.
        raised_at: `file:line in function` of the innermost line of the user's, or None.
    """

    label: Label
    batch: Batch | None
    record: tuple[bool, Any]
    raised_at: str | None = None

    @property
    def operator(self) -> str:
        """The operator, with the name that the user gave it."""
        return self.label.operator if self.label.name is None else f"{self.label.operator} {self.label.name!r}"

    def detail(self, first: str = "") -> str:
        """List what is known, after something to begin with."""
        known, record = self.record
        facts = [
            first,
            f"record {shown(record)}" if known else "",
            f"batch {self.batch.time.isoformat()} ({self.batch.time_ms} ms)" if self.batch is not None else "",
            f"raised at {self.raised_at}" if self.raised_at is not None else "",
            f"{self.operator} was added at {self.label.site}" if self.label.site is not None else "",
        ]
        return "; ".join(filter(None, facts)) + "."


def failure_of(
    error: Exception,
    loop: Loop,
    labels: Sequence[Label | None],
    functions: Sequence[Callable[..., Any]],
    batch: Batch | None,
) -> Failure | None:
    """Say what to raise for an error that came out of a loop.

    Args:
        error: as it came; its traceback is changed to show the user's lines only.
        loop: the loop.
        labels: of each step of the loop.
        functions: the functions of the loop.
        batch: the batch that ran, or None.

    Returns:
        What to raise, or None where the error is not one of the user's functions: it passes as it is.
    """
    raised = _in_loop(error.__traceback__, loop)
    place = None if raised is None else loop.places.get(raised.tb_lineno)
    label = None if place is None else labels[place.step]
    if raised is None or place is None or label is None:
        return None
    if isinstance(error, AsyncCallError):
        return _call_failed(error, label, batch)
    if isinstance(error, UserCodeError) and place.function is not None:
        kind = type(functions[place.function])
        if kind.__module__.startswith(_OWN):
            return None  # The library's own functions, such as that of pipe, say already what failed where.
    variables = raised.tb_frame.f_locals
    known = Circumstances(label, batch, place.record.seen(variables))
    if place.role is Role.PAIR:
        return Failure(_not_a_pair(known), None)
    unhashable = _unhashable(known, _subject(place, variables)) if place.role is Role.KEY else None
    if unhashable is not None and raised.tb_next is None:
        return Failure(unhashable, None)
    traceback = user_traceback(raised, place, functions)
    known = Circumstances(label, batch, known.record, _innermost(traceback))
    f = None if place.function is None else functions[place.function]
    error.__traceback__ = traceback or nearest_line(f, label.site)
    return Failure(unhashable or _user_code(error, known, place, variables, called=raised.tb_next is not None), error)


def _in_loop(traceback: TracebackType | None, loop: Loop) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_code is not loop.code:
        traceback = traceback.tb_next
    return traceback


def _subject(place: Place, variables: Mapping[str, Any]) -> Any:
    return None if place.subject is None else value_of(place.subject, variables)


def _innermost(traceback: TracebackType | None) -> str | None:
    if traceback is None:
        return None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    return f"{code.co_filename}:{traceback.tb_lineno} in {code.co_name}"


def _not_a_pair(known: Circumstances) -> ArgumentTypeError:
    _, record = known.record
    return ArgumentTypeError(
        f"{known.operator} was given a record that is not a pair.",
        detail=known.detail(f"the record is of type {type(record).__name__}"),
        hint="A pair is a tuple of two, (key, value); a list or a str of length two is not. "
        "Make pairs first, for instance with map(lambda x: (x, 1)) or key_by.",
    )


def _unhashable(known: Circumstances, key: object) -> ArgumentTypeError | None:
    try:
        hash(key)
    except TypeError as error:
        return ArgumentTypeError(
            f"{known.operator} was given a key that cannot be hashed.",
            detail=known.detail(f"key {shown(key)} of type {type(key).__name__}: {error}"),
            hint="Use a tuple or a str as key: a list, a dict or a set can change, so it cannot be one.",
        )
    except Exception:
        return None  # Its own __hash__ raised: told with the error that came.
    return None


def _user_code(
    error: Exception, known: Circumstances, place: Place, variables: Mapping[str, Any], *, called: bool
) -> UserCodeError:
    hint = "The traceback of the cause shows the line."
    message = f"The function of {known.operator} raised {_said(error)}"
    if place.role is Role.KEY:
        message = f"Looking up a key for {known.operator} raised {_said(error)}"
        hint = "The __hash__ or __eq__ of the key's class raised; the traceback of the cause shows the line."
    elif place.role is Role.ITERATE:
        returned = _subject(place, variables)
        message = f"Iterating over what the function of {known.operator} returned raised {_said(error)}"
        if isinstance(error, TypeError) and not called and not _is_iterable(returned):
            message = f"The function of {known.operator} returned {shown(returned)}, which is not iterable."
            hint = "Return an iterable of records, such as a list; return [] for none."
    # What the function met may be an error of ours: its parts go where a reader looks for them.
    ours = error if isinstance(error, MillstreamError) else None
    first = ours.detail.removesuffix(".") if ours is not None and ours.detail else ""
    _, record = known.record
    return UserCodeError(
        message,
        operator=known.label.operator,
        site=known.label.site,
        batch_time_ms=None if known.batch is None else known.batch.time_ms,
        record=shown(record) if known.record[0] else None,
        detail=known.detail(first),
        hint=ours.hint if ours is not None and ours.hint else hint,
    )


def _call_failed(failure: AsyncCallError, label: Label, batch: Batch | None) -> Failure:
    """Say what to raise for a call that was awaited."""
    cause, raised, raised_at = failure.__cause__, "", None
    if cause is not None:
        traceback = cause.__traceback__
        while traceback is not None and traceback.tb_frame.f_globals.get("__name__") == _AWAITING:
            traceback = traceback.tb_next
        cause.__traceback__ = traceback or nearest_line(None, label.site)
        raised, raised_at = f"raised {_said(cause)}", _innermost(traceback)
    # Where a call was cancelled for being overdue is asyncio's own line.
    known = Circumstances(label, batch, (True, failure.record), raised_at if failure.problem is None else None)
    message = f"The function of {known.operator} {raised if failure.problem is None else f'{failure.problem}.'}"
    detail = known.detail(f"it was tried {failure.retries + 1} times" if failure.retries else "")
    if failure.is_type:
        return Failure(ArgumentTypeError(message, detail=detail, hint=failure.hint), None)
    error = UserCodeError(
        message,
        operator=label.operator,
        site=label.site,
        batch_time_ms=None if batch is None else batch.time_ms,
        record=shown(failure.record),
        detail=detail,
        hint=failure.hint or "The traceback of the cause shows the line.",
    )
    return Failure(error, cause)


def _said(error: BaseException) -> str:
    """The type and the text of an error, in one sentence."""
    try:
        text = error.message if isinstance(error, MillstreamError) else str(error)
    except Exception:
        text = "<its __str__ raised>"
    if len(text) > _TEXT_MAX:
        text = text[: _TEXT_MAX - 1] + "…"
    return f"{type(error).__name__}: {text}" if text else f"{type(error).__name__}."


def _is_iterable(value: object) -> bool:
    kind = type(value)
    return getattr(kind, "__iter__", None) is not None or hasattr(kind, "__getitem__")

"""Errors of users' functions that the library itself calls, beside the generated loops of stages."""

from __future__ import annotations

from collections.abc import Iterable

from millstream.errors import ArgumentTypeError, MillstreamError, UserCodeError, shown
from millstream.model.label import Label


def function_failed(label: Label, error: Exception, doing: str, record: object) -> UserCodeError:
    """Give the error to raise when a user's function raised.

    Args:
        label: the operator that the function was given to.
        error: what the function raised.
        doing: what the function was doing, for the detail: "combining", "comparing", ...
        record: what it was given.
    """
    return UserCodeError(
        f"The function of {label.operator} raised {type(error).__name__}: {error}",
        operator=label.operator,
        site=label.site,
        record=shown(record),
        detail=f"It was {doing} {shown(record)}{_added(label)}.",
        hint="The traceback of the cause shows the line.",
    )


def key_refused(label: Label, error: Exception, key: object = None) -> MillstreamError:
    """Give the error for a key that cannot be hashed, or not the same way in every process."""
    if isinstance(error, MillstreamError):
        return error
    about = f"The key is {shown(key)} of type {type(key).__name__}: {error}" if key is not None else str(error)
    if key is None:
        about = about[:1].upper() + about[1:]
    return ArgumentTypeError(
        f"{label.operator} met a key that cannot be used as one.",
        detail=f"{about}{_added(label)}.",
        hint="Use keys such as strings, numbers and tuples of these; NaN and things that can change are none.",
    )


def pairs_refused(label: Label, error: Exception, records: Iterable[object]) -> MillstreamError:
    """Give the error for records that cannot be spread by key: one is no pair, or its key can be none.

    Args:
        label: the operator.
        error: what spreading them raised.
        records: all of them, one of which is to blame.
    """
    for record in records:
        if not isinstance(record, tuple) or len(record) != 2:
            return ArgumentTypeError(
                f"{label.operator} was given a record that is not a pair.",
                detail=f"The record is {shown(record)} of type {type(record).__name__}{_added(label)}.",
                hint="A pair is a tuple of two, (key, value); a list or a str of length two is not. "
                "Make pairs first, for instance with map(lambda x: (x, 1)) or key_by.",
            )
    return key_refused(label, error)


def not_comparable(label: Label, error: Exception) -> MillstreamError:
    """Give the error for records or keys that have no order."""
    if isinstance(error, MillstreamError):
        return error
    return ArgumentTypeError(
        f"{label.operator} met values that cannot be compared.",
        detail=f"{type(error).__name__}: {error}{_added(label)}.",
        hint="Order by a key that all records have in one type, such as key=lambda x: (x is None, str(x)).",
    )


def _added(label: Label) -> str:
    return "" if label.site is None else f"; {label.operator} was added at {label.site}"

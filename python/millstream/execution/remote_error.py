"""Errors that travel from a worker to the driver with their causes and their tracebacks."""

from __future__ import annotations

import traceback
from typing import Any

from millstream.encoding.rows import pack, unpack
from millstream.errors import MillstreamError, UserCodeError


class RemoteTraceback(Exception):  # noqa: N818 - it is shown as the title of a traceback, and never raised
    """The traceback of an exception in a worker, as text; the end of a chain of causes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'in a worker process:\n"""\n{self.text.rstrip()}\n"""'


def pack_error(error: Exception) -> bytes:
    """Encode an exception of a worker; never raises.

    What cannot be encoded, or not be made again from its bytes, is left to the text of its traceback.
    """
    cause = error.__cause__ or error.__context__
    text = "".join(traceback.format_exception(error if cause is None else cause))
    sent_cause = cause if cause is not None and _travels(cause) else None
    sent = error if _travels(error) else _described(error)
    return pack((sent, sent_cause, text))


def unpack_error(data: Any) -> Exception:
    """Decode what `pack_error` gave, causes chained."""
    error: Exception
    error, cause, text = unpack(data)
    remote = RemoteTraceback(text)
    if cause is None:
        error.__cause__ = remote
    else:
        error.__cause__ = cause
        cause.__cause__ = remote
    return error


def _travels(error: BaseException) -> bool:
    try:
        again = unpack(pack(error))
    except Exception:  # An exception may raise anything when it is taken apart or put together.
        return False
    return type(again) is type(error)


def _described(error: Exception) -> MillstreamError:
    kind = type(error).__name__
    if isinstance(error, UserCodeError):
        return UserCodeError(
            error.message,
            operator=error.operator,
            site=error.site,
            batch_time_ms=error.batch_time_ms,
            record=error.record,
            detail=error.detail,
            hint=error.hint,
        )
    if isinstance(error, MillstreamError):
        return MillstreamError(error.message, detail=error.detail, hint=error.hint)
    return UserCodeError(
        f"A function raised {kind} in a worker process: {_text(error)}",
        operator="unknown",
        detail=f"The {kind} cannot be sent to the driver, so it is described here.",
        hint="The traceback below shows the line.",
    )


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception as failure:  # Why not let it pass: its text must not hide that it was raised.
        return f"<its text raised {type(failure).__name__}>"

"""Saying in an error which stream and which batch it came from."""

from __future__ import annotations

from millstream.errors import MillstreamError, UserCodeError
from millstream.model.batch import Batch


def note_whereabouts(error: BaseException, stream: str, batch: Batch) -> None:
    """Complete an error that ended the work on a batch: operators do not know whose they are.

    Errors of other libraries stay as they are.

    Args:
        error: is changed.
        stream: the name of the streaming context.
        batch: the batch.

    Example:
        >>> error = UserCodeError("The function of map raised.", operator="map", detail="record 0.")
        >>> note_whereabouts(error, "main", Batch(2_000))
        >>> print(error)
        The function of map raised.
        Detail: record 0; batch 1970-01-01T00:00:02+00:00 (2000 ms) of the stream 'main'.
        >>> error.stream, error.batch_time_ms
        ('main', 2000)
    """
    if not isinstance(error, MillstreamError):
        return
    if isinstance(error, UserCodeError):
        error.stream = stream
        if error.batch_time_ms is None:
            error.batch_time_ms = batch.time_ms
    detail = error.detail or ""
    when = f"batch {batch.time.isoformat()} ({batch.time_ms} ms)"
    where = f"of the stream {stream!r}"
    if where in detail:
        return  # The same exception was raised again.
    if when in detail:
        error.detail = detail.replace(when, f"{when} {where}", 1)
    elif detail:
        error.detail = f"{detail.removesuffix('.')}; {when} {where}."
    else:
        error.detail = f"In {when} {where}."

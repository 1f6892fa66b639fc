"""A failure as the user needs to see it: the own lines, then what happened, the detail and the hint."""

from __future__ import annotations

import traceback
from pathlib import Path

from millstream.errors import MillstreamError

PACKAGE = str(Path(__file__).parent.parent)

RUNNER_FILES = ("<frozen runpy>", "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


def failure_report(error: BaseException) -> str:
    """Give the text for a failure.

    For an error of the engine, the traceback of what caused it without the engine's own lines, then the error.
    Any other exception is shown as Python does, from the user's first line on.
    """
    if not isinstance(error, MillstreamError):
        return _own_lines(error).rstrip()
    cause = error.__cause__
    trace = _own_lines(error if cause is None or isinstance(cause, MillstreamError) else cause, last=cause is not None)
    return f"{trace}millstream: {error}"


def _own_lines(error: BaseException, *, last: bool = True) -> str:
    """Format a traceback without the lines of the engine.

    Args:
        error: has the traceback.
        last: whether to end with the error's own text.
    """
    report = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = report
    while part is not None:
        part.stack = traceback.StackSummary.from_list([line for line in part.stack if not _is_engine(line.filename)])
        part = part.__cause__ or (None if part.__suppress_context__ else part.__context__)
    if last:
        return "".join(report.format())
    if not report.stack:
        return ""
    return "Traceback (most recent call last):\n" + "".join(report.stack.format())


def _is_engine(filename: str) -> bool:
    return filename.startswith(PACKAGE) or filename in RUNNER_FILES

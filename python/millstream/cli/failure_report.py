"""A failure as the user needs to see it: the own lines, then what happened, the detail and the hint."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from millstream.errors import MillstreamError
from millstream.execution.remote_error import RemoteTraceback

PACKAGE = str(Path(__file__).parent.parent)

FRAME = re.compile(r'  File "([^"]*)", line \d+')

RUNNER_FILES = ("<frozen runpy>", "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


def failure_report(error: BaseException) -> str:
    """Give the text for a failure.

    For an error of the engine, the traceback of what caused it without the engine's own lines, then the error.
    Any other exception is shown as Python does, from the user's first line on.
    """
    if not isinstance(error, MillstreamError):
        return _own_lines(error).rstrip()
    remote = _remote(error)
    cause = error.__cause__
    if remote is not None:
        trace = _own_lines_of_text(remote.text)
    elif cause is None or isinstance(cause, MillstreamError):
        trace = _own_lines(error, last=False)
    else:
        trace = _own_lines(cause)
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


def _remote(error: BaseException | None) -> RemoteTraceback | None:
    """Find the traceback that came from a worker process, at the end of the causes of an error."""
    while error is not None:
        if isinstance(error, RemoteTraceback):
            return error
        error = error.__cause__
    return None


def _own_lines_of_text(text: str) -> str:
    """Take the lines of the engine out of a formatted traceback; without lines of the user nothing is left."""
    kept: list[str] = []
    engine = own = False
    for line in text.splitlines():
        frame = FRAME.match(line)
        if frame is not None:
            engine = _is_engine(frame[1])
            own |= not engine
        elif not line.startswith("    "):
            engine = False
        if not engine:
            kept.append(line)
    return "\n".join([*kept, ""]) if own else ""


def _is_engine(filename: str) -> bool:
    return filename.startswith(PACKAGE) or filename in RUNNER_FILES

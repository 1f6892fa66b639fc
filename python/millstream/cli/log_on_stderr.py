"""The log of the engine on standard error, for commands that run a stream."""

from __future__ import annotations

import logging
import sys

STREAM_STOPPED = "The stream stopped: "
"""How the engine's entry about a stream that failed begins."""


class LogOnStderr(logging.Handler):
    """Shows warnings and errors of the engine, unless the program that runs has set up logging itself."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one entry to what is standard error now: a live view puts itself in its place."""
        # Why not the end of a stream: the command reports that itself, with the user's lines.
        if not logging.root.handlers and not record.getMessage().startswith(STREAM_STOPPED):
            print(f"millstream: {self.format(record)}", file=sys.stderr)


def show_log() -> None:
    """Have what the engine logs shown."""
    logging.getLogger("millstream").addHandler(LogOnStderr())

"""What the command line tells the program that started it."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit status of `millstream`."""

    OK = 0
    """It ended, was stopped cleanly by the first Ctrl-C, or nobody reads its output any more."""
    FAILED = 1
    """The stream, or the program around it, failed."""
    USAGE = 2
    """The command, its arguments or the named program cannot work."""
    INTERRUPTED = 130
    """It was stopped at once; what had been received may not have been processed."""

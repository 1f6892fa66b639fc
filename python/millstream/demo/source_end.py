"""When a process that is a source has to end."""

from __future__ import annotations

import asyncio
import os
import signal
import stat


def end_of_source(*, with_parent: bool = False) -> asyncio.Event:
    """Give an event that a signal sets or, `with_parent`, the end of the pipe that is standard input.

    Why by the pipe: it works on every system, however the parent ended, and leaves no process behind.
    """
    loop = asyncio.get_running_loop()
    until = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, until.set)
    if with_parent and stat.S_ISFIFO(os.fstat(0).st_mode):
        loop.add_reader(0, _look_at_parent, until)
    return until


def _look_at_parent(until: asyncio.Event) -> None:
    if not os.read(0, 4096):
        until.set()

"""Signals: Ctrl-C and SIGTERM end a program cleanly while `run()` waits."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol


class Stoppable(Protocol):
    """What the signals stop."""

    def stop(self, graceful: bool = True, timeout: float | None = None) -> bool: ...


@dataclass(slots=True)
class SignalsSeen:
    """How often the program was asked to end.

    Attributes:
        count: signals so far.
    """

    count: int = 0

    @property
    def forced(self) -> bool:
        """Whether it was asked to end at once, so that what was received may not have been processed."""
        return self.count > 1


@contextmanager
def stop_on_signals(context: Stoppable, say: Callable[[str], None] | None = None) -> Iterator[SignalsSeen]:
    """Have the first SIGINT or SIGTERM stop gracefully and the second at once; outside the main thread do nothing.

    The stop runs in a thread, because a signal handler interrupts the thread that waits for the end.

    Args:
        context: what is stopped.
        say: tells the user what happens now; None writes to standard error.
    """
    seen = SignalsSeen()
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def stop(number: int, frame: FrameType | None) -> None:
        seen.count += 1
        if seen.count > _FORCED:
            signal.default_int_handler(number, frame)
        graceful = not seen.forced
        text = "finishing what was received; once more stops at once" if graceful else "stopping at once"
        (say or _say)(f"{signal.Signals(number).name}: {text}.")
        from millstream.environment.environment import start_thread

        start_thread("millstream-stop", lambda: _stop(context, graceful))

    before: dict[int, Any] = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    print(f"millstream: {text}", file=sys.stderr, flush=True)


def _stop(context: Stoppable, graceful: bool) -> None:
    context.stop(graceful=graceful)


_FORCED = 2
"""Signals after which a third one interrupts like any Ctrl-C in Python."""

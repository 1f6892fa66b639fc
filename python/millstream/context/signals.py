"""Signals: Ctrl-C and SIGTERM end a program cleanly in `run()`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol


class Stoppable(Protocol):
    """What the signals stop."""

    def stop(self, graceful: bool = True, timeout: float | None = None) -> bool: ...


class SignalStops:
    """What signals do: the first one stops gracefully, the second one at once, a third one interrupts.

    The stop runs in a thread, because a signal handler interrupts the thread that waits for the end.

    Args:
        context: what is stopped.
        say: tells the user what happens now.

    Attributes:
        count: signals so far.
    """

    def __init__(self, context: Stoppable, say: Callable[[str], None]) -> None:
        self.count = 0
        self._context = context
        self._say = say
        self._is_held = False

    @property
    def forced(self) -> bool:
        """Whether it was asked to end at once, so that what was received may not have been processed."""
        return self.count > 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a start come to its end before the first signal stops what it started; the second one interrupts it."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self.count:
            self._stop()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: what Python calls in the main thread."""
        self.count += 1
        if self.count > _FORCED:
            signal.default_int_handler(number, frame)
        text = "stopping at once" if self.forced else "finishing what was received; once more stops at once"
        self._say(f"{signal.Signals(number).name}: {text}.")
        if not self._is_held:
            self._stop()
        elif self.forced:
            signal.default_int_handler(number, frame)

    def _stop(self) -> None:
        from millstream.environment.environment import start_thread

        graceful = not self.forced
        start_thread("millstream-stop", lambda: _stop(self._context, graceful))


@contextmanager
def stop_on_signals(context: Stoppable, say: Callable[[str], None] | None = None) -> Iterator[SignalStops]:
    """Have the first SIGINT or SIGTERM stop gracefully and the second at once; outside the main thread do nothing.

    Args:
        context: what is stopped.
        say: tells the user what happens now; None writes to standard error.
    """
    stops = SignalStops(context, say or _say)
    if threading.current_thread() is not threading.main_thread():
        yield stops
        return
    before: dict[int, Any] = {number: signal.signal(number, stops.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    print(f"millstream: {text}", file=sys.stderr, flush=True)


def _stop(context: Stoppable, graceful: bool) -> None:
    context.stop(graceful=graceful)


_FORCED = 2
"""Signals after which a third one interrupts like any Ctrl-C in Python."""

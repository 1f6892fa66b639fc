"""Signals: Ctrl-C and SIGTERM end a program cleanly while `run()` waits."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol


class Stoppable(Protocol):
    """What the signals stop."""

    def stop(self, graceful: bool = True, timeout: float | None = None) -> bool: ...


@contextmanager
def stop_on_signals(context: Stoppable) -> Iterator[None]:
    """Have the first SIGINT or SIGTERM stop gracefully and the second at once; outside the main thread do nothing.

    The stop runs in a thread, because a signal handler interrupts the thread that waits for the end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals_seen = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal signals_seen
        signals_seen += 1
        if signals_seen > _FORCED:
            signal.default_int_handler(number, frame)
        graceful = signals_seen == 1
        text = "finishing what was received; once more stops at once" if graceful else "stopping at once"
        print(f"millstream: {signal.Signals(number).name}: {text}.", file=sys.stderr, flush=True)
        from millstream.environment.environment import start_thread

        start_thread("millstream-stop", lambda: _stop(context, graceful))

    before: dict[int, Any] = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(context: Stoppable, graceful: bool) -> None:
    context.stop(graceful=graceful)


_FORCED = 2
"""Signals after which a third one interrupts like any Ctrl-C in Python."""

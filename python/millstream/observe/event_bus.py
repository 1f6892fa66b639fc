"""The event bus: from the driver to the listeners, without waiting."""

from __future__ import annotations

import math
from collections import deque

from millstream.environment.environment import Environment
from millstream.environment.logger import logger
from millstream.environment.loop import Loop
from millstream.observe.events import Event
from millstream.observe.listener import StreamingListener

QUEUE_MAX = 10_000
"""Events that may wait for slow listeners; older ones are dropped, and counted."""


class EventBus:
    """Hands events to listeners in a loop of its own, so that no listener can slow the stream.

    Args:
        environment: gives the loop.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._listeners: tuple[StreamingListener, ...] = ()
        self._waiting: deque[Event] = deque()
        self._dropped = 0
        self._closed = False
        self._loop: Loop | None = None

    def add(self, listener: StreamingListener) -> None:
        """Add a listener; it hears what happens from now on."""
        self._listeners = (*self._listeners, listener)

    def remove(self, listener: StreamingListener) -> None:
        """Remove a listener; unknown ones are ignored."""
        self._listeners = tuple(known for known in self._listeners if known is not listener)

    def post(self, event: Event) -> None:
        """Hand over an event; costs next to nothing when nobody listens."""
        if not self._listeners:
            return
        if len(self._waiting) >= QUEUE_MAX:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(event)
        if self._loop is None:
            self._loop = self._environment.drive("millstream-listeners", self._step)
        else:
            self._loop.wake()

    def close(self, timeout_s: float) -> None:
        """Deliver what waits, within the time given, and end the loop."""
        self._closed = True
        if self._loop is not None:
            self._loop.wake()
            if not self._loop.join(timeout_s):
                logger.warning("Listeners did not take %d events before the stream ended.", len(self._waiting))

    def _step(self) -> float | None:
        waiting = self._waiting
        while waiting:
            event = waiting.popleft()
            for listener in self._listeners:
                try:
                    listener.on_event(event)
                except Exception:
                    logger.exception("The listener %r raised on %s.", listener, type(event).__name__)
        if self._dropped:
            logger.warning("Listeners are too slow: %d events were dropped.", self._dropped)
            self._dropped = 0
        return None if self._closed else math.inf

"""The event bus: from the driver to the listeners, without waiting."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Final

from millstream.environment.environment import Environment
from millstream.environment.logger import logger
from millstream.environment.loop import Loop
from millstream.observe.events import BatchStarted, BatchSubmitted, Event, OutputCompleted, OutputStarted
from millstream.observe.listener import StreamingListener, kinds_heard

QUEUE_MAX = 10_000
"""Events that may wait for slow listeners; older ones are dropped, and counted."""


LOOK_MS = 50.0
"""How long an event of a batch that has not ended may wait, while there is much to hear."""

_WITHIN_BATCH: Final[frozenset[type[Event]]] = frozenset({BatchSubmitted, BatchStarted, OutputStarted, OutputCompleted})


class EventBus:
    """Hands events to listeners in a loop of its own, so that no listener can slow the stream.

    Waking the loop in the middle of a batch would cost the batch its turn at the GIL, 80 us of a batch that takes 100.
    So where events follow one another quickly, those within a batch are delivered with its end, or within `LOOK_MS`.

    Args:
        environment: clock, and gives the loop.

    Attributes:
        heard: the kinds of events that somebody listens to. Whoever posts looks here first, and makes no event
            that nobody hears.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._listeners: tuple[StreamingListener, ...] = ()
        self._waiting: deque[Event] = deque()
        self._dropped = 0
        self._closed = False
        self._loop: Loop | None = None
        self._is_called = False  # The loop will look without being woken: now,
        self._is_watching = False  # or soon.
        self._lock = threading.Lock()
        self._hears_within = False
        self.heard: frozenset[type[Event]] = frozenset()

    def add(self, listener: StreamingListener) -> None:
        """Add a listener; it hears what happens from now on. One that is there already is not added again."""
        with self._lock:
            if not self._knows(listener):
                self._set_listeners((*self._listeners, listener))

    def remove(self, listener: StreamingListener) -> None:
        """Remove a listener; it hears nothing more, not even what waits. Unknown ones are ignored."""
        with self._lock:
            self._set_listeners(tuple(known for known in self._listeners if known is not listener))

    def _knows(self, listener: StreamingListener) -> bool:
        return any(known is listener for known in self._listeners)

    def _set_listeners(self, listeners: tuple[StreamingListener, ...]) -> None:
        self._listeners = listeners
        self.heard = frozenset[type[Event]]().union(*map(kinds_heard, listeners))
        self._hears_within = not self.heard.isdisjoint(_WITHIN_BATCH)

    def post(self, event: Event) -> None:
        """Hand over an event, from any thread; never waits for a listener. After the end nothing is heard."""
        with self._lock:
            if not self._closed:
                self._put(event)

    def _put(self, event: Event) -> None:
        waiting = self._waiting
        if len(waiting) >= QUEUE_MAX:
            waiting.popleft()
            self._dropped += 1
        waiting.append(event)
        if self._is_called or (self._is_watching and type(event) in _WITHIN_BATCH):
            return
        self._is_called = True
        if self._loop is None:
            self._loop = self._environment.drive("millstream-listeners", self._step)
        else:
            self._loop.wake()

    def close(self, last: Event, timeout_s: float) -> None:
        """Hand over the last event, have all that wait delivered within the time given, and end the loop."""
        with self._lock:
            if type(last) in self.heard:
                self._put(last)
            self._closed = True
        if self._loop is not None:
            self._loop.wake()
            if not self._loop.join(timeout_s):
                logger.warning("Listeners did not take %d events before the stream ended.", len(self._waiting))

    def _step(self) -> float | None:
        self._is_called = True
        took = self._take()
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            self._is_called = more = bool(self._waiting)
            self._is_watching = watching = took and self._hears_within
            over = self._closed and not more
        if dropped:
            logger.warning("Listeners are too slow: %d events were dropped.", dropped)
        if over:
            return None
        if not more and not watching:
            return math.inf
        return self._environment.clock.wall_ms() + (0.0 if more else LOOK_MS)

    def _take(self) -> bool:
        """Deliver until nothing waits; False when nothing did."""
        waiting = self._waiting
        took = bool(waiting)
        while waiting:
            self._deliver(waiting.popleft())
        return took

    def _deliver(self, event: Event) -> None:
        listeners = self._listeners
        for listener in listeners:
            if listeners is not self._listeners and not self._knows(listener):
                continue
            try:
                listener.on_event(event)
            except KeyboardInterrupt:
                raise
            except BaseException:  # Why so wide: sys.exit in a listener must not make all others deaf.
                logger.exception("The listener %r raised on %s.", listener, type(event).__name__)

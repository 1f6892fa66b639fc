"""The work that instructions about receivers ask for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from millstream.control.facts import (
    BlockStored,
    Fact,
    ReceiverFailed,
    ReceiverStarted,
    ReceiverStopped,
)
from millstream.control.failure import Failure
from millstream.environment.clock import Clock
from millstream.environment.logger import logger
from millstream.errors import SourceUnavailableError
from millstream.graph.graph import Graph
from millstream.graph.inputs import FeedInput
from millstream.model.ports.block_feed import Block, BlockFeed, FeedEvent
from millstream.observe import events
from millstream.observe.event_bus import EventBus


class ReceiverWork:
    """Starts, holds, drains and stops the feeds of a graph.

    Args:
        graph: the frozen graph.
        bus: hears what happens to receivers.
        clock: stamps events.
        interval_ms: the batch interval.
        zero_ms: the zero time of the grid.
        number: gives each block that is taken its id; None: they are counted.
        first_ms: the first batch time that is due. A block that is sealed at the very moment of the start, on the
            grid, is of this one: an overdue batch before it must not have it before those that have waited longer.

    Attributes:
        all_ended: set once, when every feed has ended after `begin_stop`.
    """

    def __init__(
        self,
        graph: Graph,
        bus: EventBus,
        clock: Clock,
        interval_ms: int,
        zero_ms: int,
        number: Callable[[str, Block], int] | None = None,
        first_ms: int = 0,
    ) -> None:
        self._inputs = {node.name: node for node in graph.inputs if isinstance(node, FeedInput)}
        self._feeds: dict[str, BlockFeed] = {name: node.feed for name, node in self._inputs.items()}
        self._bus = bus
        self._clock = clock
        self._interval_ms = interval_ms
        self._zero_ms = zero_ms
        self._first_ms = first_ms
        ids = itertools.count()
        self._number = number if number is not None else lambda name, block: next(ids)
        self._started: set[str] = set()
        self._running = set(self._feeds)
        self._stopping = False
        self._post: Callable[[Fact], None] | None = None
        self.all_ended = False

    def connect(self, post: Callable[[Fact], None]) -> None:
        """Say where facts go that come from other threads."""
        self._post = post

    def start(self, name: str) -> Fact | None:
        """Start a feed, or start it again; its events say how it went."""
        feed = self._feeds[name]
        try:
            if name in self._started:
                feed.restart()
            else:
                self._started.add(name)
                feed.start(
                    interval_ms=self._interval_ms, zero_ms=self._zero_ms, notify=lambda event: self._heard(name, event)
                )
        except Exception as error:
            self._tell(
                name, FeedEvent("failed", f"The receiver {name} could not start."), f"{type(error).__name__}: {error}"
            )
            return ReceiverFailed(name, Failure.of(error))
        return None

    def take(self, until_ms: int) -> Iterator[tuple[BlockStored, Block]]:
        """Drain every feed up to a batch time."""
        for name, feed in self._feeds.items():
            for block in feed.take(until_ms):
                batch_ms = max(block.batch_ms, self._first_ms)
                yield BlockStored(name, self._number(name, block), batch_ms, block.records), block

    def hold(self) -> None:
        """Have all feeds stop taking records in."""
        for feed in self._feeds.values():
            feed.hold()

    def resume(self) -> None:
        """Have all feeds take records in again."""
        for feed in self._feeds.values():
            feed.resume()

    def set_rate(self, name: str, records_per_s: float | None, span_ms: float) -> bool:
        """Limit an input; False when it is none of these."""
        node = self._inputs.get(name)
        if node is None:
            return False
        node.set_controlled_rate(records_per_s, span_ms)
        return True

    def begin_stop(self) -> None:
        """Ask every feed to end."""
        self._stopping = True
        for name, feed in self._feeds.items():
            if name in self._started:
                feed.begin_stop()
            else:
                self._running.discard(name)
        self._check_ended()

    def close(self) -> None:
        """Let go of every feed; one that raises is logged and does not keep the others open."""
        for name, feed in self._feeds.items():
            try:
                feed.close()
            except Exception:
                logger.exception("Closing the receiver %s failed.", name)

    def _heard(self, name: str, event: FeedEvent) -> None:
        """Take an event of a feed, from any thread."""
        text = None if event.error is None else f"{type(event.error).__name__}: {event.error}"
        self._tell(name, event, text)
        assert self._post is not None
        match event.kind:
            case "started":
                self._post(ReceiverStarted(name))
            case "failed":
                error = event.error or SourceUnavailableError(
                    f"The receiver {name} failed.", detail=event.message, hint="It is started again after a pause."
                )
                logger.warning("The receiver %s failed: %s", name, event.message or text)
                delay_ms = None if event.delay_s is None else round(event.delay_s * 1000.0)
                self._post(ReceiverFailed(name, Failure.of(error), delay_ms))
            case "stopped":
                self._running.discard(name)
                self._check_ended()
                self._post(ReceiverStopped(name))
            case _:
                logger.warning("The receiver %s reported: %s", name, event.message or text)

    def _tell(self, name: str, event: FeedEvent, error: str | None) -> None:
        """Tell listeners."""
        heard, time_ms = self._bus.heard, self._clock.wall_ms()
        match event.kind:
            case "started" | "reconnected":
                if events.ReceiverStarted in heard:
                    self._bus.post(events.ReceiverStarted(name, event.message, time_ms))
            case "stopped":
                if events.ReceiverStopped in heard:
                    self._bus.post(events.ReceiverStopped(name, event.message, time_ms))
            case kind:
                if events.ReceiverFailed in heard:
                    self._bus.post(events.ReceiverFailed(name, event.message, error, time_ms, kind == "failed"))

    def _check_ended(self) -> None:
        if self._stopping and not self._running:
            self.all_ended = True

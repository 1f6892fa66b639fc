"""A pushed input with its sender: blocks that are sent again until they are acknowledged, or records sent once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from millstream.errors import FencedError, LifecycleError, UnavailableError
from millstream.ingest.block_buffer import BlockBuffer
from millstream.ingest.buffered_feed import BufferedFeed
from millstream.model.ports.block_feed import FeedEvent
from millstream.testing.simulation.input import SimulatedInput

if TYPE_CHECKING:
    from millstream.testing.simulation.life import Life

SENT_AGAIN_MAX = 3
"""How many blocks of before a sender sends again that had no time to note the last answers."""

PATIENCE_MS = 70.0
"""After how long a sender tries again."""


class SimulatedFeed(BufferedFeed):
    """Stores what a sender sends: each arrival is a block, whose number is its position.

    Args:
        given: the input.
        positions: whether blocks carry positions.
        life: the run of the program that it belongs to.
    """

    def __init__(self, given: SimulatedInput, *, positions: bool, life: Life) -> None:
        self.name = given.name
        self._input = given
        self._positions = positions
        self._life = life
        self._buffer: BlockBuffer[Any] = BlockBuffer(life.clock, name=given.name, max_records=200, on_full="raise")
        self._next = given.acknowledged
        if positions:
            self._next = max(0, given.acknowledged - life.rng.randint(0, SENT_AGAIN_MAX))
        self._notify: Callable[[FeedEvent], None] | None = None
        self._stopped = False

    def start(self, *, interval_ms: int, zero_ms: int, notify: Callable[[FeedEvent], None]) -> None:
        self._buffer.start(interval_ms=interval_ms, zero_ms=zero_ms)
        self._notify = notify
        notify(FeedEvent("started", f"{self.name} takes blocks."))
        self._wait_for_next()

    def set_rate(self, records_per_s: float | None) -> None:
        """The sender sends as it likes."""

    def restart(self) -> None:
        """It never fails by itself."""

    def begin_stop(self) -> None:
        self._life.point(f"{self.name}: before it takes no more blocks")
        self.close()
        if self._notify is not None:
            self._notify(FeedEvent("stopped", f"{self.name} takes no more blocks."))

    def close(self) -> None:
        self._stopped = True
        self._buffer.close()

    def _wait_for_next(self) -> None:
        if self._next < len(self._input.arrivals):
            now_ms = self._life.clock.wall_ms()
            self._life.clock.call_at(max(self._input.arrivals[self._next].due_ms, now_ms), self._send)

    def _send(self) -> None:
        """Send one block, and go on with the next when it is acknowledged."""
        if self._stopped:
            return
        arrival = self._input.arrivals[self._next]
        rows = list(self._input.records[arrival.low : arrival.high])
        self._life.point(f"{self.name}: block {self._next} comes")
        try:
            self._buffer.store_block(rows, len(rows), self._next if self._positions else None)
        except FencedError:
            return  # Another driver has taken over, and the sender goes to that one.
        except (UnavailableError, LifecycleError):
            self._life.clock.call_at(self._life.clock.wall_ms() + PATIENCE_MS, self._send)
            return
        self._life.point(f"{self.name}: block {self._next} is durable and not acknowledged")
        self._next += 1
        self._input.acknowledged = max(self._input.acknowledged, self._next)
        self._wait_for_next()


class UnansweredFeed(SimulatedFeed):
    """Takes single records, for which no sender waits: what no plan had is lost in a crash.

    Args:
        given: the input.
        life: the run of the program that it belongs to.
    """

    def __init__(self, given: SimulatedInput, life: Life) -> None:
        super().__init__(given, positions=False, life=life)

    def _send(self) -> None:
        if self._stopped or self._life.is_old:
            return
        arrival = self._input.arrivals[self._next]
        self._life.point(f"{self.name}: records {arrival.low} to {arrival.high} come")
        try:
            self._buffer.push_many(self._input.records[arrival.low : arrival.high])
        except (UnavailableError, LifecycleError):
            self._life.clock.call_at(self._life.clock.wall_ms() + PATIENCE_MS, self._send)
            return
        self._input.runs.append(self._life.number)
        self._next += 1
        self._input.acknowledged = self._next
        self._wait_for_next()

"""What the engine relies on in every receiver."""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from millstream.environment.environment import Environment
from millstream.ingest.receiver_feed import ReceiverFeed
from millstream.ingest.session import SessionLimits
from millstream.model.partition import rows_of
from millstream.model.ports.block_feed import FeedEvent
from millstream.model.ports.receiver import Receiver

INTERVAL_MS = 1_000
WAIT_S = 60.0
"""Longest wait for a receiver; only one that fails comes near it."""


class Running:
    """A receiver that runs in a feed, as it does under the engine."""

    def __init__(self, receiver: Receiver[Any], *, process: bool, max_records: int, limits: SessionLimits) -> None:
        self.environment = Environment()
        self.events: queue.SimpleQueue[FeedEvent] = queue.SimpleQueue()
        self.errors: list[FeedEvent] = []
        self.feed: ReceiverFeed[Any] = ReceiverFeed(
            receiver, self.environment, process=process, max_records=max_records, limits=limits
        )
        self._batch_ms = int(self.environment.clock.wall_ms()) // INTERVAL_MS * INTERVAL_MS
        self.feed.start(interval_ms=INTERVAL_MS, zero_ms=self._batch_ms, notify=self.events.put)

    def wait_for(self, kind: str) -> FeedEvent:
        """Wait for an event of a kind; what is an `error` on the way is kept in `errors`."""
        while True:
            event = self.events.get(timeout=WAIT_S)
            if event.kind == kind:
                return event
            assert event.kind == "error", f"{event!r} came instead of {kind}"
            self.errors.append(event)

    def records(self, count: int) -> list[Any]:
        """Take records, batch after batch, until there are so many."""
        rows: list[Any] = []
        while len(rows) < count:
            assert self.feed.wait_for_records(1, WAIT_S), f"only {rows!r} came within {WAIT_S} s"
            rows += self.left()
        return rows

    def left(self) -> list[Any]:
        """Take what is there."""
        rows: list[Any] = []
        # Why so far: whole blocks belong to the interval of their arrival, which the clock has not ended yet.
        self._batch_ms += 3_600_000
        for block in self.feed.take(self._batch_ms):
            data = list(rows_of(block.data))
            assert block.records == len(data), f"a block says {block.records} records and has {len(data)}"
            assert block.batch_ms <= self._batch_ms
            assert block.batch_ms % INTERVAL_MS == 0, f"{block.batch_ms} is no batch time"
            rows += data
        return rows

    def stop(self) -> None:
        """Stop the receiver and wait until it has stopped."""
        self.feed.begin_stop()
        self.wait_for("stopped")


class ReceiverSuite(ABC):
    """Tests of one implementation of `Receiver`. Each test needs an outside of its own.

    Attributes:
        process: run the receiver in a process of its own; make a subclass for each of the two.
        limits: how long `on_start` and the end may take.
    """

    process: ClassVar[bool] = False
    limits: ClassVar[SessionLimits] = SessionLimits()

    @abstractmethod
    def make_receiver(self) -> Receiver[Any]:
        """Make a receiver for the outside of this test."""

    @abstractmethod
    def send(self, records: list[Any]) -> None:
        """Have the outside send records to the receiver that runs; returns when they are on their way."""

    def record(self, number: int) -> Any:
        """Make a record; override it where text will not do. Different numbers give different records."""
        return f"record {number}"

    def records(self, *numbers: int) -> list[Any]:
        """Make records."""
        return [self.record(number) for number in numbers]

    @contextmanager
    def running(self, max_records: int = 100_000) -> Iterator[Running]:
        """Run the receiver for a while."""
        running = Running(self.make_receiver(), process=self.process, max_records=max_records, limits=self.limits)
        try:
            running.wait_for("started")
            yield running
        finally:
            running.feed.close()

    def test_it_starts_without_blocking_and_stops(self) -> None:
        with self.running() as running:
            running.stop()
            assert running.errors == [], f"it reported {running.errors!r}"

    def test_what_is_sent_arrives_once_and_in_order(self) -> None:
        with self.running() as running:
            self.send(self.records(1, 2, 3))
            self.send(self.records(4))
            assert running.records(4) == self.records(1, 2, 3, 4)
            running.stop()
            assert running.left() == []

    def test_what_was_received_before_a_stop_is_still_there(self) -> None:
        with self.running() as running:
            self.send(self.records(1, 2))
            assert running.feed.wait_for_records(2, WAIT_S), f"less than 2 records came within {WAIT_S} s"
            running.stop()
            assert running.left() == self.records(1, 2)

    def test_it_can_be_started_again(self) -> None:
        with self.running() as running:
            self.send(self.records(1))
            assert running.records(1) == self.records(1)
            running.feed.restart()
            running.wait_for("started")
            self.send(self.records(2))
            assert running.records(1) == self.records(2)
            running.stop()
            assert running.errors == [], f"it reported {running.errors!r}"

    def test_it_waits_while_there_is_no_room(self) -> None:
        numbers = range(500)
        with self.running(max_records=10) as running:
            self.send(self.records(*numbers))
            assert running.records(500) == self.records(*numbers)

    def test_it_can_be_stopped_while_there_is_no_room(self) -> None:
        with self.running(max_records=10) as running:
            self.send(self.records(*range(100)))
            # Why not until ten records have come: a block that does not fit behind the first ones waits outside.
            assert running.feed.wait_until_full(WAIT_S), f"there was still room after {WAIT_S} s"
            running.stop()
            rows = running.left()
            assert rows == self.records(*range(len(rows))), f"records were lost, doubled or mixed up: {rows!r}"

    def test_holding_it_loses_nothing(self) -> None:
        with self.running() as running:
            running.feed.hold()
            self.send(self.records(1, 2, 3))
            running.feed.resume()
            assert running.records(3) == self.records(1, 2, 3)

    def test_it_can_be_closed_without_a_stop(self) -> None:
        with self.running():
            self.send(self.records(1))

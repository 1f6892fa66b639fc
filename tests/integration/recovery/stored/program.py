"""The program whose checkpoints are stored: rides of taxis, with state and inputs of every kind.

It never changes in what it keeps: a stored checkpoint is that of this program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from operator import add, sub
from typing import Any

import millstream as ms
from millstream.model.partition import Partition
from millstream.testing import ManualClock

Ride = tuple[str, int, str]
"""Taxi, kilometres, fare."""


class Class(Enum):
    """How far a taxi has driven."""

    NEW = "new"
    OLD = "old"


@dataclass(frozen=True, slots=True)
class Account:
    """What a taxi has earned."""

    rides: int = 0
    fares: Decimal = Decimal(0)
    grade: Class = Class.NEW


class Crash(BaseException):
    """What ends a run in the middle of a batch."""


class Radio(ms.Receiver[Ride]):
    """Rides that are durable as soon as they were received."""

    name = "radio"

    def on_start(self) -> None: ...

    def on_stop(self) -> None: ...


class Ticks(ms.ReplayableSource[int]):
    """Three numbers a batch, which can be read again."""

    name = "ticks"

    def open(self, position: Any) -> None: ...

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> ms.Plan:
        begin = 0 if after is None else after["next"]
        return ms.Plan([ms.Split({"begin": begin, "count": 3}, 3, f"ticks from {begin}")], {"next": begin + 3})

    def read(self, split: ms.Split) -> Partition[int]:
        return Partition(list(range(split.data["begin"], split.data["begin"] + split.data["count"])))


def book(fares: list[str], account: Account | None) -> Account:
    account = account or Account()
    if not fares:
        return account
    rides = account.rides + len(fares)
    return Account(rides, account.fares + sum(map(Decimal, fares)), Class.OLD if rides > 3 else Class.NEW)


def last_seen(taxi: str, km: int | None, state: ms.State[Counter[int]]) -> None:
    if not state.is_timing_out() and km is not None:
        state.update(state.get(Counter()) + Counter([km]))


class Program:
    """One life of the program after another, on one clock.

    Args:
        clock: which the lives share.

    Attributes:
        seen: what each output gave last, by its name, sorted.
        crashes: a batch ends the life in its middle.
        waiting: rides that are received while that batch runs.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.seen: dict[str, list[Any]] = {}
        self.crashes = False
        self.waiting: tuple[Ride, ...] = ()

    def start(self, checkpoint: Any, **options: Any) -> ms.StreamingContext:
        settings: dict[str, Any] = {"batch_interval": 1.0, "checkpoint_interval": 2.0, "partitions": 2, **options}
        environment = ms.Environment(self.clock, seed=1)
        ssc = ms.StreamingContext(
            **settings, name="taxis", environment=environment, checkpoint=checkpoint, batch_retries=0
        )
        self.radio, self.pushed = Radio(), ssc.memory_stream(name="pushed")
        rides = ssc.receiver_stream(self.radio, name="radio").union(self.pushed)
        fares, distances = rides.map(lambda ride: (ride[0], ride[2])), rides.map(lambda ride: (ride[0], ride[1]))
        lengths: Any = distances.map_with_state(ms.StateSpec(last_seen, timeout=5.0), name="lengths")
        ticks = ssc.stream(Ticks(), name="ticks").window(3.0)
        self._show("accounts", fares.update_state_by_key(book, name="accounts"))
        self._show("lengths", lengths.state_snapshots())
        self._show("recent", distances.reduce_by_key_and_window(add, sub, window=4.0, slide=1.0, name="recent"))
        self._show("ticks", ticks.map(lambda n: ("ticks", n)).reduce_by_key(add))
        ssc.start()
        self.clock.advance(0.0)
        return ssc

    def batch(self, radio: Iterable[Ride] = (), pushed: Iterable[Ride] = ()) -> int:
        """Send rides, make the batch of the next second, and give its time."""
        self._send(radio)
        self.pushed.push_many(list(pushed))
        self.clock.advance(1.0)
        return round(self.clock.wall_ms())

    def _send(self, rides: Iterable[Ride]) -> None:
        rides = list(rides)
        if rides:
            self.radio.store_many(rides, position=int(self.clock.wall_ms()))

    def _show(self, name: str, stream: ms.DStream[Any]) -> None:
        def look(rdd: ms.RDD[Any]) -> None:
            self.seen[name] = sorted(rdd.collect())
            if self.crashes:
                self._send(self.waiting)
                raise Crash

        stream.foreach_rdd(look, name=f"{name} shown")

"""A source that can be read again and does not always answer."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from millstream.errors import SourceUnavailableError
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.testing.simulation.input import SimulatedInput

if TYPE_CHECKING:
    from millstream.testing.simulation.life import Life

SPLITS_MAX = 3


class SimulatedSource(ReplayableSource[Any]):
    """Gives what has arrived of an input, in up to three splits a batch.

    Args:
        given: the input.
        life: the run of the program that it belongs to.
    """

    def __init__(self, given: SimulatedInput, life: Life) -> None:
        self.name = given.name
        self._input = given
        self._life = life

    def open(self, position: Any) -> None:
        self._life.point(f"{self.name} is opened")
        self._fail("open")

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        self._life.point(f"{self.name}: plan of {batch_ms}")
        self._fail("plan")
        low = 0 if after is None else int(after)
        arrived = self._input.available(self._life.clock.wall_ms())
        high = max(low, arrived if limit is None else min(arrived, low + limit))
        cuts = sorted({low, high, *(self._life.rng.randint(low, high) for _ in range(SPLITS_MAX - 1))})
        splits = [Split([start, end], end - start, f"{self.name} {start}..{end}") for start, end in pairwise(cuts)]
        if not self._life.is_old:
            self._input.taken = high
        return Plan(splits, high, arrived - high)

    def read(self, split: Split) -> Partition[Any]:
        low, high = split.data
        self._life.point(f"{self.name}: read of {low}..{high}")
        self._fail("read")
        if self._life.fails("task"):
            raise self._life.no_answer(f"the task that reads {low}..{high} of {self.name} is lost")
        return Partition(self.records(split))

    def records(self, split: Split) -> list[Any]:
        """Give the records of a split; never fails."""
        low, high = split.data
        return list(self._input.records[low:high])

    def done(self, batch_ms: int) -> None:
        self._life.point(f"{self.name}: {batch_ms} is done")

    def release(self, before_ms: int) -> None:
        self._life.point(f"{self.name}: before {before_ms} is released")

    def close(self) -> None:
        self._life.point(f"{self.name}: before it is closed")

    def _fail(self, call: str) -> None:
        if self._life.fails("source"):
            raise SourceUnavailableError(
                f"The source {self.name} does not answer.", detail=f"{call} failed.", hint="A simulation injects this."
            )

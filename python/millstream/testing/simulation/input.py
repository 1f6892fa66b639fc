"""The inputs of a simulation: what arrives, and when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from millstream.environment.rng import Rng

BLOCK_RECORDS_MAX = 5


@dataclass(frozen=True, slots=True)
class Arrival:
    """Records that arrive together.

    Attributes:
        due_ms: when, milliseconds since the epoch.
        low: index of the first of them.
        high: index behind the last.
    """

    due_ms: float
    low: int
    high: int


@dataclass(slots=True)
class SimulatedInput:
    """One input, over all runs of the program.

    Attributes:
        name: of the input.
        records: all that ever arrives, in order.
        arrivals: in order of time.
        kind: how the program reads it, once it has said so.
        acknowledged: how many arrivals the sender knows to be stored.
        taken: how many records of a stream were in the newest plan.
        runs: for each arrival that nobody acknowledges the number of the run of the program that took it.
    """

    name: str
    records: Sequence[Any]
    arrivals: list[Arrival]
    kind: str = ""
    acknowledged: int = 0
    taken: int = 0
    runs: list[int] = field(default_factory=list)
    _dues: list[float] = field(default_factory=list)

    @classmethod
    def spread(cls, name: str, records: Sequence[Any], rng: Rng, start_ms: float, span_ms: float) -> SimulatedInput:
        """Have records arrive in small groups, at any times of a span."""
        groups, low = [], 0
        while low < len(records):
            high = min(low + rng.randint(1, BLOCK_RECORDS_MAX), len(records))
            groups.append((low, high))
            low = high
        dues = sorted(start_ms + rng.random() * span_ms for _ in groups)
        arrivals = [Arrival(due_ms, low, high) for due_ms, (low, high) in zip(dues, groups, strict=True)]
        return cls(name, records, arrivals, _dues=dues)

    def available(self, now_ms: float) -> int:
        """Tell how many records have arrived."""
        arrived = bisect_right(self._dues, now_ms)
        return self.arrivals[arrived - 1].high if arrived else 0

    @property
    def is_over(self) -> bool:
        """Whether everything was taken."""
        if self.kind == "stream":
            return self.taken >= len(self.records)
        return self.kind == "" or self.acknowledged >= len(self.arrivals)

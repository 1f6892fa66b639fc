"""A program that is simulated, with what it comes to in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import millstream as ms
from millstream.testing.simulation.connections import Connections
from millstream.testing.simulation.simulation import Outcome

Rows = list[Any]


@dataclass(frozen=True)
class Simulated:
    """A program, what arrives, and the rows that each sink has to have for the batches of an outcome, in any order."""

    program: Callable[[ms.StreamingContext, Connections], None]
    inputs: Mapping[str, Rows]
    expected: Callable[[Outcome], Mapping[str, Mapping[int, Rows]]]
    totals: Callable[[Outcome], bool] = lambda outcome: True
    options: Mapping[str, Any] = field(default_factory=dict)

    def check(self, outcome: Outcome) -> None:
        """Compare what the sinks have with plain Python."""
        for sink, expected in self.expected(outcome).items():
            has = outcome.outputs.get(sink, {})
            for time_ms in sorted({*expected, *has}):
                rows, should = has.get(time_ms, []), expected.get(time_ms, [])
                assert sorted(rows, key=repr) == sorted(should, key=repr), (sink, time_ms, rows, should)
        assert self.totals(outcome), "the totals differ from those of an undisturbed run"

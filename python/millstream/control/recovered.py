"""The batch that an earlier driver left undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millstream.control.facts import UnfinishedBatch
from millstream.graph.inputs import PlannedInput
from millstream.recovery.decisions import BatchPlanned, BatchPrepared


@dataclass(frozen=True, slots=True)
class Recovered:
    """The batch that an earlier driver left undone, ready to run again.

    Attributes:
        plan: its inputs.
        planned: what each input contributes, by its name.
        prepared: what the earlier driver made of it, or None when it did not get so far.
        attempt: of the run that follows.
    """

    plan: BatchPlanned
    planned: Mapping[str, PlannedInput]
    prepared: BatchPrepared | None
    attempt: int

    def unfinished(self, committed: Mapping[str, int | None]) -> UnfinishedBatch:
        """Describe it for the machine.

        Args:
            committed: the newest batch that each output has committed.
        """
        time_ms = self.plan.time_ms
        left = tuple(name for name, newest_ms in committed.items() if newest_ms is None or newest_ms < time_ms)
        records = {name: planned.records for name, planned in self.planned.items() if planned.records is not None}
        return UnfinishedBatch(time_ms, self.plan.start_ms, self.attempt, records, left)

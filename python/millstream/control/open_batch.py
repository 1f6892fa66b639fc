"""A batch on its way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from millstream.control.batch_report import BatchReport
from millstream.graph.batch_run import BatchRun
from millstream.graph.inputs import PlannedInput
from millstream.model.batch import Batch
from millstream.recovery.decisions import BatchPrepared, InputPlan


@dataclass(slots=True)
class OpenBatch:
    """One batch from its plan to its end.

    Attributes:
        start_ms: begin of its interval.
        report: tells listeners of it.
        planned: what each input contributes, by its name.
        positions: where each replayable input goes on behind it, by name.
        inputs: what the journal says of its inputs.
        prepared: what an earlier driver made of it, or None.
        error: the newest, of any step.
        batch: as functions and sinks of the newest attempt see it.
        run: the newest attempt.
        staged: what outputs have staged, by name.
        invalid_before: how many invalid records each input had counted before the newest attempt.
        is_resumed: whether an earlier driver planned it.
    """

    start_ms: int
    report: BatchReport
    planned: dict[str, PlannedInput] = field(default_factory=dict)
    positions: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[InputPlan, ...] = ()
    prepared: BatchPrepared | None = None
    error: BaseException | None = None
    batch: Batch | None = None
    run: BatchRun | None = None
    staged: dict[str, Any] = field(default_factory=dict)
    invalid_before: dict[str, int] = field(default_factory=dict)
    is_resumed: bool = False

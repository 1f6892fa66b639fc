"""The batches that a journal ever held, checked for what holds of every program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from millstream.recovery.decisions import BatchDone, BatchPlanned, BatchSkipped
from millstream.recovery.history import History
from millstream.recovery.records import decision_of
from tests.kill.archive import all_records

Complain = Callable[[str], None]


def journalled_plans(folder: Path, complain: Complain) -> tuple[list[BatchPlanned], History]:
    """Read the plans of a run, in order of time, and what the whole journal comes to.

    A batch is planned once, or again with the same inputs; batches are planned and done in order; all are done.
    """
    plans: dict[int, BatchPlanned] = {}
    done: list[int] = []
    history = History()
    for record in all_records(folder / "archive", folder / "checkpoint", "journal"):
        decision = decision_of(record)
        history.take(decision, record.number)
        if isinstance(decision, BatchPlanned):
            earlier = plans.setdefault(decision.time_ms, decision)
            if earlier.inputs != decision.inputs:
                complain(f"batch {decision.time_ms} was planned with {earlier.inputs}, then with {decision.inputs}")
            if decision.time_ms != max(plans):
                complain(f"batch {decision.time_ms} was planned after {max(plans)}")
        elif isinstance(decision, BatchDone) and decision.time_ms not in done:
            done.append(decision.time_ms)
        elif isinstance(decision, BatchSkipped):
            complain(f"batch {decision.time_ms} was skipped")
    if done != sorted(done):
        complain("batches were done out of order")
    if missing := set(plans) - set(done):
        complain(f"batches that were planned and never done: {sorted(missing)}")
    if unplanned := set(done) - set(plans):
        complain(f"batches that were done and never planned: {sorted(unplanned)}")
    return [plans[time_ms] for time_ms in sorted(plans)], history

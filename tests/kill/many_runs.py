"""Many runs, one after another, and what they come to."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.kill.killed_program import KilledProgram
from tests.kill.outcome import Outcome

Run = Callable[[Path, int, str], Outcome]
"""Does one run: takes an empty folder, the seed and the backend."""


def run_many(run: Run, seeds: Iterable[int], backends: str, kind: str, again: str) -> int:
    """Do the runs and print what they come to; give the exit status.

    Args:
        run: does one of them.
        seeds: of the runs.
        backends: `threads`, `processes` or `both` in turn.
        kind: what the folders of the runs are named for; those of failed runs are kept.
        again: what brings one run back, to which its seed is added.
    """
    outcomes: list[Outcome] = []
    for seed in seeds:
        backend = backends if backends != "both" else ("threads", "processes")[seed % 2]
        folder = Path(tempfile.mkdtemp(prefix=f"{kind}-{seed}-"))
        outcome = run(folder, seed, backend)
        outcomes.append(outcome)
        print(f"seed {seed} {backend}: {outcome.kills} kills, {outcome.batches} batches", flush=True)
        for text in outcome.divergences[:5]:
            print(f"  {text[:2_000]}")
        if outcome.divergences:
            print(f"  kept in {folder}; again: {again} SEED={seed}", flush=True)
        else:
            shutil.rmtree(folder)
    print(_summary(outcomes))
    return int(any(outcome.divergences for outcome in outcomes))


def outcome_of(program: KilledProgram, kills: int) -> Outcome:
    """Run it; that the program itself failed stands among the divergences."""
    try:
        return program.run(kills)
    except AssertionError as error:
        program.outcome.divergences.append(str(error))
        return program.outcome


def _summary(outcomes: list[Outcome]) -> str:
    points = Counter(point for outcome in outcomes for point in outcome.points)
    counts = ("kills", "worker_kills", "broker_kills", "starts", "records", "repeated", "batches")
    total = {name: sum(getattr(outcome, name) for outcome in outcomes) for name in counts}
    return (
        f"killed at: {', '.join(f'{point} {count}' for point, count in points.most_common())}\n"
        f"{len(outcomes)} runs: {total['kills']} kills of the driver, {total['worker_kills']} of workers, "
        f"{total['broker_kills']} of the broker, {total['starts'] - len(outcomes)} restarts, "
        f"{total['records']} records ({total['repeated']} blocks sent again), {total['batches']} batches, "
        f"{sum(len(outcome.divergences) for outcome in outcomes)} divergences"
    )

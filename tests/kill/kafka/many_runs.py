"""Many runs of the word count over Kafka, as `make kill KILL_ARGS=--kafka` starts them."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from tests.kill.kafka.kafka_kill_run import KafkaKillRun, KafkaOutcome
from tests.servers.kafka.broker import KafkaCluster, missing


def run_many(runs: int, kills: int, first_seed: int, backends: str) -> int:
    """Run it, a broker for each run; give the exit status.

    Args:
        runs: how many.
        kills: of the driver in each run.
        first_seed: of the first run.
        backends: `threads`, `processes` or `both` in turn.
    """
    if (reason := missing()) is not None:
        print(f"No Kafka broker: {reason}.")
        return 2
    outcomes: list[KafkaOutcome] = []
    for seed in range(first_seed, first_seed + runs):
        backend = backends if backends != "both" else ("threads", "processes")[seed % 2]
        folder = Path(tempfile.mkdtemp(prefix=f"kill-kafka-{seed}-"))
        outcome = _run(folder, seed, backend, kills)
        outcomes.append(outcome)
        print(f"seed {seed} {backend}: {outcome.kills} kills, {outcome.batches} batches", flush=True)
        for text in outcome.divergences[:5]:
            print(f"  {text[:2_000]}")
        if outcome.divergences:
            print(f"  kept in {folder}; again: make kill RUNS=1 SEED={seed} KILL_ARGS=--kafka", flush=True)
        else:
            shutil.rmtree(folder)
    points = Counter(point for outcome in outcomes for point in outcome.points)
    print("killed at: " + ", ".join(f"{point} {count}" for point, count in points.most_common()))
    total = {name: sum(getattr(outcome, name) for outcome in outcomes) for name in _COUNTS}
    print(
        f"{len(outcomes)} runs: {total['kills']} kills of the driver, {total['worker_kills']} of workers, "
        f"{total['broker_kills']} of the broker, {total['starts'] - len(outcomes)} restarts, "
        f"{total['records']} records, {total['batches']} batches, "
        f"{sum(len(outcome.divergences) for outcome in outcomes)} divergences"
    )
    return int(any(outcome.divergences for outcome in outcomes))


_COUNTS = ("kills", "worker_kills", "broker_kills", "starts", "records", "batches")


def _run(folder: Path, seed: int, backend: str, kills: int) -> KafkaOutcome:
    cluster = KafkaCluster(folder / "broker")
    try:
        cluster.start()
        (folder / "run").mkdir()
        run = KafkaKillRun(folder / "run", cluster, seed, backend)
        try:
            return run.run(kills, broker_kills=max(1, kills // 5))
        except AssertionError as error:
            run.outcome.divergences.append(str(error))
            return run.outcome
    finally:
        cluster.stop()

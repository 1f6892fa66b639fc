"""Many runs of the word count over Kafka, as `make kill KILL_ARGS=--kafka` starts them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.kill.kafka.kafka_kill_run import KafkaKillRun
from tests.kill.many_runs import outcome_of, run_many
from tests.kill.outcome import Outcome
from tests.servers.kafka.broker import KafkaCluster, missing


def run_over_kafka(seeds: Iterable[int], kills: int, backends: str) -> int:
    """Do the runs, a broker for each; give the exit status.

    Args:
        seeds: of the runs.
        kills: of the driver in each run.
        backends: `threads`, `processes` or `both` in turn.
    """
    if (reason := missing()) is not None:
        print(f"No Kafka broker: {reason}.")
        return 2

    def run(folder: Path, seed: int, backend: str) -> Outcome:
        cluster = KafkaCluster(folder / "broker")
        try:
            cluster.start()
            (folder / "run").mkdir()
            return outcome_of(KafkaKillRun(folder / "run", cluster, seed, backend), kills)
        finally:
            cluster.stop()

    return run_many(run, seeds, backends, "kill-kafka", "make kill KILL_ARGS=--kafka RUNS=1")

"""The word count over Kafka, killed again and again, puts out what it would have put out undisturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kill.kafka.kafka_kill_run import KafkaKillRun
from tests.servers.kafka.broker import KafkaCluster


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("backend", "kills", "seed"), [("threads", 6, 5), ("processes", 4, 8)])
def test_a_killed_word_count_loses_nothing_and_doubles_nothing(
    tmp_path: Path, own_cluster: KafkaCluster, backend: str, kills: int, seed: int
) -> None:
    outcome = KafkaKillRun(tmp_path, own_cluster, seed, backend).run(kills)
    assert outcome.divergences == []
    assert (outcome.kills, outcome.broker_kills) == (kills, 1)
    assert outcome.worker_kills == (1 if backend == "processes" else 0)
    assert outcome.batches > kills

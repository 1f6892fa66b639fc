"""The word count over Kafka, killed again and again, puts out what it would have put out undisturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.kafka.kafka_reader import Seen
from tests.kill.kafka.kafka_kill_run import KafkaKillRun
from tests.kill.kafka.oracle import PlannedRanges, check_totals, window_ends, windows
from tests.servers.kafka.broker import KafkaCluster


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("backend", "kills", "seed", "points"),
    [
        (
            "threads",
            6,
            14,
            [
                "before commit transaction",
                "after open sink",
                "after note BatchDone",
                "after commit transaction",
                "before journal BatchPrepared",
            ],
        ),
        ("processes", 4, 39, ["before commit counts-topic", "after commit transaction"]),
    ],
)
def test_a_killed_word_count_loses_nothing_and_doubles_nothing(
    tmp_path: Path, own_cluster: KafkaCluster, backend: str, kills: int, seed: int, points: list[str]
) -> None:
    outcome = KafkaKillRun(tmp_path, own_cluster, seed, backend).run(kills)
    assert outcome.divergences == []
    assert outcome.struck == outcome.planned == points
    assert (outcome.kills, outcome.broker_kills) == (kills, 1)
    assert outcome.worker_kills == (1 if backend == "processes" else 0)
    assert outcome.batches > kills


def test_the_oracle_notices_a_window_that_was_never_planned_and_one_that_is_not_there() -> None:
    batches = [PlannedRanges(time_ms, {0: (at, at + 1)}) for at, time_ms in enumerate((1_000, 1_100, 1_400))]
    lines = [Seen(None, b"to be", 0, offset, []) for offset in range(3)]
    found: list[str] = []
    ends = window_ends(batches, 800, found.append)
    assert list(ends) == [1_000, 1_200, 1_400]
    assert found == ["windows that were due and never planned: [1200]"]
    wanted = windows(batches, lines, ends)
    assert wanted[1_200] == {"to": 2, "be": 2}
    # What a run puts out that goes on until its windows are empty, undisturbed.
    whole = windows(batches, lines, range(1_000, 4_401, 200))
    found.clear()
    check_totals(whole, ["to be"] * 3, found.append)
    assert found == []
    del whole[2_000]
    check_totals(whole, ["to be"] * 3, found.append)
    assert [text.split(":")[0] for text in found] == ["total of be", "total of to"]

"""A stream that goes on where it stopped, from its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from millstream.testing import ManualClock


def run_once(kafka: KafkaTool, topic: str, place: Path, clock: ManualClock, produced: list[str]) -> list[str]:
    seen: list[list[Any]] = []
    ssc = ms.StreamingContext(1.0, checkpoint=place, environment=ms.Environment(clock))
    ssc.kafka_stream(kafka.servers, topics=[topic], name="in").map(lambda r: r.value.decode()).collect_to(seen)
    with ssc:
        ssc.start()
        kafka.produce(topic, produced)
        for _ in range(200):
            clock.advance(1.0)
            if sum(map(len, seen)) >= len(produced):
                break
    return [row for batch in seen for row in batch]


def test_nothing_is_lost_or_doubled_over_a_restart(kafka: KafkaTool, tmp_path: Path) -> None:
    topic, clock = kafka.topic(), ManualClock()
    kafka.produce(topic, ["before the first start"])
    assert run_once(kafka, topic, tmp_path / "checkpoint", clock, ["a", "b"]) == ["a", "b"]
    kafka.produce(topic, ["meanwhile"])
    assert run_once(kafka, topic, tmp_path / "checkpoint", clock, ["c"])[:2] == ["meanwhile", "c"]

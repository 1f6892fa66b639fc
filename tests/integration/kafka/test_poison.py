"""A record on which the program always fails: what its operator sees, and the ways out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from millstream.errors import UserCodeError
from millstream.testing import ManualClock


def run(
    kafka: KafkaTool, topic: str, place: Path, clock: ManualClock, shape: Callable[[Any], Any], **options: Any
) -> list[Any]:
    """Run until nothing waits any more; the next run goes on from there."""
    seen: list[list[Any]] = []
    lags: list[int] = []

    class Lags(ms.StreamingListener):
        def on_batch_completed(self, event: ms.BatchCompleted) -> None:
            lags.extend(sum(waiting.values()) for waiting in event.lags.values())

    ssc = ms.StreamingContext(
        1.0, checkpoint=place, environment=ms.Environment(clock), retry_pause=0.001, batch_retries=1, **options
    )
    ssc.add_listener(Lags())
    records = ssc.kafka_stream(
        kafka.servers, topics=[topic], start="earliest", max_records_per_batch=4, name="in", refresh=0.1
    )
    records.map(shape).collect_to(seen)
    with ssc:
        ssc.start()
        idle = 0
        while idle < 5:
            clock.advance(1.0)
            if ssc.state != "active":
                ssc.await_termination(0)
            idle = idle + 1 if lags and lags[-1] == 0 else 0
    return flat(seen)


def flat(batches: list[list[Any]]) -> list[Any]:
    return [row for batch in batches for row in batch]


def number(record: Any) -> int:
    return int(record.value)


def forgiving(record: Any) -> int:
    return int(record.value) if record.value.isdigit() else -1


def test_it_stops_the_stream_and_a_mended_program_goes_on_with_that_batch(kafka: KafkaTool, tmp_path: Path) -> None:
    topic, clock = kafka.topic(), ManualClock()
    kafka.produce(topic, ["0", "1", "2", "3", "4", "poison", "6", "7", "8"])
    with pytest.raises(UserCodeError) as failed:
        run(kafka, topic, tmp_path, clock, number)
    assert "poison" in str(failed.value)
    assert "test_poison.py" in str(failed.value)
    assert isinstance(failed.value.__cause__, ValueError)
    with pytest.raises(UserCodeError):
        run(kafka, topic, tmp_path, clock, number)
    assert run(kafka, topic, tmp_path, clock, forgiving) == [4, -1, 6, 7, 8]


def test_its_batch_is_left_out_where_the_user_says_so(kafka: KafkaTool, tmp_path: Path) -> None:
    topic, clock = kafka.topic(), ManualClock()
    kafka.produce(topic, ["0", "1", "2", "3", "4", "poison", "6", "7", "8"])
    assert run(kafka, topic, tmp_path, clock, number, on_failure="skip") == [0, 1, 2, 3, 8]


def test_it_goes_elsewhere_where_the_program_tries(kafka: KafkaTool) -> None:
    topic, clock = kafka.topic(), ManualClock()
    kafka.produce(topic, ["0", "poison", "2"])
    good: list[list[Any]] = []
    bad: list[list[Any]] = []
    with ms.StreamingContext(1.0, environment=ms.Environment(clock)) as ssc:
        numbers, refused = ssc.kafka_stream(kafka.servers, topics=[topic], start="earliest").try_map(number)
        numbers.collect_to(good)
        refused.map(lambda one: (one.record.offset, one.record.value)).collect_to(bad)
        ssc.start()
        for _ in range(1_000):
            clock.advance(1.0)
            if flat(good):
                break
    assert flat(good) == [0, 2]
    assert flat(bad) == [(1, b"poison")]

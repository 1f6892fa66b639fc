"""A stream that goes on where it stopped, from its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from millstream.errors import DataError, UserCodeError
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


@dataclass
class Broken(ms.StreamingListener):
    """A program that has planned a batch of ten records of its topic, and died before it had read them."""

    kafka: KafkaTool
    topic: str
    place: Path
    clock: ManualClock = field(default_factory=ManualClock)
    reports: list[ms.SourceReported] = field(default_factory=list)
    lost: int = 0

    def __post_init__(self) -> None:
        self.kafka.produce(self.topic, [f"old {number}" for number in range(10)])
        with pytest.raises(UserCodeError):
            self.run(_dies, lambda seen: False)

    def on_batch_completed(self, event: ms.BatchCompleted) -> None:
        self.lost += event.lost.get("in", 0)

    def on_source_reported(self, event: ms.SourceReported) -> None:
        self.reports.append(event)

    def make_anew(self, records: int) -> KafkaTool:
        """Delete the topic, make one of the same name, and give a hand that knows the new one."""
        self.kafka.delete_topic(self.topic)
        anew = KafkaTool(self.kafka.cluster)
        anew.topic(name=self.topic)
        anew.produce(self.topic, [f"new {number}" for number in range(records)])
        return anew

    def run(self, shape: Callable[[Any], Any], done: Callable[[list[Any]], bool], **options: Any) -> list[Any]:
        """Run from the checkpoint until something is the case, and give what outputs had."""
        seen: list[list[Any]] = []
        ssc = ms.StreamingContext(
            1.0, checkpoint=self.place, environment=ms.Environment(self.clock), retry_pause=0.001, batch_retries=1
        )
        ssc.add_listener(self)
        records = ssc.kafka_stream(
            self.kafka.servers, topics=[self.topic], start="earliest", name="in", refresh=0.1, **options
        )
        records.map(shape).collect_to(seen)
        with ssc:
            ssc.start()
            while not done(rows := [row for batch in seen for row in batch]):
                self.clock.advance(1.0)
                if ssc.state != "active":
                    ssc.await_termination(0)
        return rows


def _dies(record: Any) -> None:
    raise ValueError("it dies")


def _text(record: Any) -> str:
    text: str = record.value.decode()
    return text


@pytest.fixture
def broken(kafka: KafkaTool, tmp_path: Path) -> Broken:
    return Broken(kafka, kafka.topic(), tmp_path)


def test_a_batch_whose_topic_was_made_anew_meanwhile_is_not_read_from_the_new_one(broken: Broken) -> None:
    broken.make_anew(20)
    with pytest.raises(DataError, match="was deleted and made anew after a batch was planned") as failed:
        broken.run(_text, bool)
    assert f"The batch reads {broken.topic}[0] 0..10 of the topic with the id" in str(failed.value.detail)
    assert 'on_topic_change="restart"' in str(failed.value.hint)


def test_a_batch_whose_topic_was_made_anew_meanwhile_runs_without_it_by_a_policy(broken: Broken) -> None:
    broken.make_anew(20)
    rows = broken.run(_text, lambda seen: len(seen) >= 20, on_topic_change="restart")
    assert rows == [f"new {number}" for number in range(20)]
    assert [(report.kind, report.records) for report in broken.reports] == [("lost", 10), ("lost", None)]


def test_a_batch_whose_topic_was_deleted_meanwhile(broken: Broken) -> None:
    broken.kafka.delete_topic(broken.topic)
    with pytest.raises(DataError, match="has been deleted after a batch was planned"):
        broken.run(_text, bool)


def test_a_batch_whose_records_were_deleted_meanwhile(broken: Broken) -> None:
    broken.kafka.delete_records(broken.topic, 6)
    with pytest.raises(DataError, match="the records before offset 6 were gone before they were read"):
        broken.run(_text, bool)
    rows = broken.run(_text, lambda _: bool(broken.lost), on_offset_out_of_range="earliest")
    assert rows == [f"old {number}" for number in range(6, 10)]
    assert [(report.kind, report.records) for report in broken.reports] == [("lost", 6)]
    assert broken.lost == 6


def test_a_batch_that_runs_again_for_its_state_is_not_read_from_a_new_topic(kafka: KafkaTool, tmp_path: Path) -> None:
    topic, clock = kafka.topic(), ManualClock()
    kafka.produce(topic, ["a", "a", "dies"])

    def run(**options: Any) -> None:
        def key(record: Any) -> tuple[str, int]:
            if record.value == b"dies":
                raise ValueError("it dies")
            return record.value.decode(), 1

        ssc = ms.StreamingContext(
            1.0, checkpoint=tmp_path, environment=ms.Environment(clock), batch_retries=0, state_log=False
        )
        records = ssc.kafka_stream(
            kafka.servers, topics=[topic], start="earliest", name="in", max_records_per_batch=2, **options
        )
        records.map(key).update_state_by_key(lambda new, old: sum(new) + (old or 0), name="counts").collect_to([])
        with ssc:
            ssc.start()
            while True:
                clock.advance(1.0)
                if ssc.state != "active":
                    ssc.await_termination(0)

    with pytest.raises(UserCodeError):
        run()
    kafka.delete_topic(topic)
    anew = KafkaTool(kafka.cluster)
    anew.topic(name=topic)
    anew.produce(topic, ["b", "b", "b"])
    with pytest.raises(DataError, match="was deleted and made anew after a batch was planned"):
        run()

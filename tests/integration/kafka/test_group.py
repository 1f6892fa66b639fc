"""Kafka in group style: members that come, go and die, on a real broker."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.integration.kafka.kafka_reader import read_topic
from tests.servers.kafka.broker import KafkaCluster
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from millstream.errors import ArgumentTypeError, ConfigurationError, DataError, MillstreamError
from millstream.testing import ManualClock

LIMIT_S = 60.0

_numbers = itertools.count()

QUICK = {"session.timeout.ms": 1_000, "heartbeat.interval.ms": 200}
"""Members that die are noticed soon."""

CLASSIC = {**QUICK, "partition.assignment.strategy": "range"}
NEW = {"group.protocol": "consumer"}


def numbered(first: int, last: int) -> list[str]:
    return [f"r{number}" for number in range(first, last)]


def shown(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


class Member(ms.StreamingListener):
    """A program that is a member of a group, a batch for each step of its clock."""

    def __init__(
        self,
        kafka: KafkaTool,
        topic: str | None,
        group: str,
        place: Path | None = None,
        context: ms.Context | None = None,
        **options: Any,
    ) -> None:
        self.clock = ManualClock()
        self.rows: list[list[Any]] = []
        self.failed: list[str] = []
        self.lags: dict[str, int] = {}
        self.invalid = 0
        self.lost = 0
        self.reports: list[ms.SourceReported] = []
        self.ssc = ms.StreamingContext(
            1.0,
            context=context,
            checkpoint=place,
            environment=ms.Environment(self.clock),
            name=f"member-{next(_numbers)}" if place is None else str(place),
        )
        self.ssc.add_listener(self)
        reads = {} if topic is None else {"topics": [topic], "start": "earliest"}
        options = {"options": QUICK, **reads, **options}
        self.ssc.kafka_group_stream(kafka.servers, group_id=group, name="in", **options).map(
            lambda record: (record.partition, shown(record.value))
        ).collect_to(self.rows)

    def on_batch_completed(self, event: ms.BatchCompleted) -> None:
        self.lags = dict(event.lags.get("in", {}))
        self.invalid += event.invalid.get("in", 0)

        self.lost += event.lost.get("in", 0)

    def on_source_reported(self, event: ms.SourceReported) -> None:
        self.reports.append(event)

    def on_receiver_failed(self, event: ms.ReceiverFailed) -> None:
        self.failed.append(event.message)

    def __enter__(self) -> Member:
        self.ssc.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, graceful: bool = True) -> None:
        self.ssc.stop(graceful=graceful)

    def failure(self) -> BaseException:
        """Run until the stream fails, and give why."""
        until(lambda: self.ssc.state != "active", self)
        with pytest.raises(MillstreamError) as raised:
            self.ssc.await_termination(0)
        return raised.value

    @property
    def all(self) -> list[Any]:
        return [row for batch in self.rows for row in batch]

    @property
    def silent(self) -> list[str]:
        return [message for message in self.failed if "does not answer" in message]

    @property
    def partitions(self) -> set[int]:
        return {partition for partition, _ in self.all}

    def step(self) -> None:
        self.clock.advance(1.0)


def until(done: Callable[[], bool], *members: Member) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not done():
        assert time.monotonic() < deadline, f"it is not the case: {[(m.all[-5:], m.failed) for m in members]}"
        for member in members:
            member.step()


def reached(total: int, *members: Member) -> bool:
    return count(*members) >= total


def count(*members: Member) -> int:
    return sum(len(member.all) for member in members)


@pytest.fixture
def context(backend_name: str) -> Iterator[ms.Context]:
    with ms.Context(backend_name, workers=2 if backend_name == "processes" else None) as shared:
        yield shared


@pytest.mark.parametrize("options", [QUICK, CLASSIC, NEW], ids=["cooperative", "eager", "consumer"])
def test_members_share_the_partitions_and_take_over_from_one_that_leaves(
    kafka: KafkaTool, tmp_path: Path, options: dict[str, Any]
) -> None:
    topic = kafka.topic(4)
    group = f"g-{topic}"
    for partition in range(4):
        kafka.produce(topic, numbered(0, 10), partition)
    with Member(kafka, topic, group, tmp_path / "one", options=options) as one:
        until(lambda: count(one) == 40, one)
        with Member(kafka, topic, group, tmp_path / "two", options=options) as two:
            sent = 10
            while not two.all:  # Until the group has given it something.
                for partition in range(4):
                    kafka.produce(topic, numbered(sent, sent + 1), partition)
                sent += 1
                until(partial(reached, 4 * sent, one, two), one, two)
        until(lambda: count(one, two) >= 4 * sent, one, two)
        for partition in range(4):
            kafka.produce(topic, numbered(sent, sent + 5), partition)
        until(lambda: count(one, two) >= 4 * (sent + 5), one)
        assert two.partitions < {0, 1, 2, 3}
    everything = [(partition, value) for partition in range(4) for value in numbered(0, sent + 5)]
    assert sorted(one.all + two.all) == sorted(everything), "a member that gives back has committed what it stored"
    assert [kafka.committed(group, topic, partition) for partition in range(4)] == [sent + 5] * 4


def test_a_journal_goes_on_where_it_was_whatever_the_group_has_committed(kafka: KafkaTool, tmp_path: Path) -> None:
    topic = kafka.topic()
    group = f"g-{topic}"
    kafka.produce(topic, numbered(0, 10))
    with Member(kafka, topic, group, tmp_path) as member:
        until(lambda: count(member) == 10, member)
    kafka.commit(group, topic, 3)
    kafka.produce(topic, numbered(10, 12))
    with Member(kafka, topic, group, tmp_path) as member:
        until(lambda: count(member) == 2, member)
        assert [value for _, value in member.all] == numbered(10, 12)
    kafka.produce(topic, numbered(12, 20))
    kafka.commit(group, topic, 16)
    with Member(kafka, topic, group, tmp_path) as member:
        until(lambda: count(member) == 4, member)
        assert [value for _, value in member.all] == numbered(16, 20)


def test_a_program_that_is_killed_has_each_record_once(kafka: KafkaTool, tmp_path: Path) -> None:
    topic = kafka.topic(2)
    produced = 0

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.integration.kafka.group_program", kafka.servers, topic, str(tmp_path)]
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})

    def batches() -> list[list[Any]]:
        return [json.loads(path.read_text()) for path in sorted((tmp_path / "out").glob("*.json"))]

    (tmp_path / "out").mkdir()
    for _ in range(2):
        program = start()
        seen = len(batches())
        while len(batches()) < seen + 2:
            assert program.poll() is None, "the program ended"
            for partition in range(2):
                kafka.produce(topic, numbered(produced, produced + 50), partition)
            produced += 50
        program.send_signal(signal.SIGKILL)
        program.wait()
    program = start()
    deadline = time.monotonic() + LIMIT_S
    while sum(map(len, batches())) < 2 * produced and time.monotonic() < deadline:
        assert program.poll() is None, "the program ended"
    program.kill()
    program.wait()
    records = Counter((partition, value) for batch in batches() for partition, value in batch)
    assert records == Counter((partition, value) for partition in range(2) for value in numbered(0, produced))


def test_what_a_member_that_was_killed_did_not_commit_goes_to_another(kafka: KafkaTool, tmp_path: Path) -> None:
    topic = kafka.topic(2)
    (tmp_path / "out").mkdir()
    for partition in range(2):
        kafka.produce(topic, numbered(0, 50), partition)
    command = [sys.executable, "-m", "tests.integration.kafka.group_program", kafka.servers, topic, str(tmp_path)]
    program = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        while not list((tmp_path / "out").glob("*.json")):
            assert program.poll() is None
    finally:
        program.kill()
        program.wait()
    for partition in range(2):
        kafka.produce(topic, numbered(50, 60), partition)
    with Member(kafka, topic, f"g-{topic}") as other:
        until(lambda: {value for _, value in other.all} >= set(numbered(50, 60)) and other.partitions == {0, 1}, other)
        assert max(Counter(other.all).values()) == 1


def test_a_member_without_room_goes_on_when_there_is_room(kafka: KafkaTool, tmp_path: Path) -> None:
    topic = kafka.topic(2)
    for partition in range(2):
        kafka.produce(topic, numbered(0, 300), partition)
    with Member(kafka, topic, f"g-{topic}", tmp_path, max_records_per_s=200.0) as member:
        until(lambda: count(member) == 600, member)
    for partition in range(2):
        assert [value for number, value in member.all if number == partition] == numbered(0, 300)


@pytest.mark.parametrize(("policy", "seen"), [("earliest", numbered(6, 10)), ("latest", ["r10"])])
def test_offsets_that_expired_are_passed_over_and_told(
    kafka: KafkaTool, tmp_path: Path, policy: Any, seen: list[str]
) -> None:
    topic = kafka.topic()
    group = f"g-{topic}"
    kafka.produce(topic, numbered(0, 10))
    kafka.commit(group, topic, 2)
    kafka.delete_records(topic, 6)
    with Member(kafka, topic, group, tmp_path, on_offset_out_of_range=policy) as member:
        until(lambda: bool(member.failed), member)
        if policy == "latest":
            kafka.produce(topic, ["r10"])
        until(lambda: count(member) == len(seen) and bool(member.lost), member)
    assert [value for _, value in member.all] == seen
    lost = 4 if policy == "earliest" else 8
    assert (member.lost, [(report.input, report.kind, report.records) for report in member.reports]) == (
        lost,
        [("in", "lost", lost)],
    )
    assert any(f"{lost} offsets are left out" in message for message in member.failed)


def test_a_topic_that_was_made_anew_while_no_member_ran_is_read_from_its_beginning(
    kafka: KafkaTool, tmp_path: Path
) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(0, 10))
    with Member(kafka, topic, f"g-{topic}", tmp_path) as member:
        until(lambda: count(member) == 10, member)
    kafka.delete_topic(topic)
    anew = KafkaTool(kafka.cluster)
    anew.topic(name=topic)
    anew.produce(topic, numbered(100, 112))
    deadline = time.monotonic() + LIMIT_S
    while anew.committed(f"g-{topic}", topic) is not None:  # Brokers forget offsets of a topic that is gone, in time.
        assert time.monotonic() < deadline
    with Member(anew, topic, f"g-{topic}", tmp_path) as member:
        until(lambda: count(member) == 12, member)
    assert [value for _, value in member.all] == numbered(100, 112)


def test_offsets_that_expired_fail_the_receiver(kafka: KafkaTool, tmp_path: Path) -> None:
    topic = kafka.topic()
    group = f"g-{topic}"
    kafka.produce(topic, numbered(0, 10))
    kafka.commit(group, topic, 2)
    kafka.delete_records(topic, 6)
    with Member(kafka, topic, group, tmp_path) as member:
        until(lambda: any("gone before they were read" in message for message in member.failed), member)
        assert not member.all


def test_a_topic_that_comes_later_is_read_from_its_first_record(kafka: KafkaTool, tmp_path: Path) -> None:
    first = kafka.topic()
    options = {**QUICK, "topic.metadata.refresh.interval.ms": 100}
    with Member(kafka, None, f"g-{first}", tmp_path, pattern=f"{kafka.prefix}-.*", options=options) as member:
        until(lambda: kafka.committed(f"g-{first}", first) == 0, member)
        kafka.produce(first, ["a"])
        until(lambda: count(member) == 1, member)
        later = kafka.topic()
        kafka.produce(later, ["b"])
        until(lambda: count(member) == 2, member)


def test_tasks_decode_what_was_stored_as_it_came(kafka: KafkaTool, context: ms.Context, tmp_path: Path) -> None:
    topic, letters = kafka.topic(2), kafka.topic()
    kafka.produce(topic, ['{"a": 1}', "no json", "[2]"], 0)
    kafka.produce(topic, ["3"], 1)
    decoded: dict[str, Any] = {
        "context": context,
        "value_decoder": "json",
        "on_undecodable": "dead_letter",
        "dead_letters": letters,
    }
    with Member(kafka, topic, f"g-{topic}", tmp_path, **decoded) as member:
        until(lambda: count(member) == 3 and member.invalid == 1, member)
    assert sorted(member.all, key=repr) == [(0, [2]), (0, {"a": 1}), (1, 3)]
    [letter] = read_topic(kafka.servers, letters)
    assert letter.value == b"no json"
    headers = dict(letter.headers)
    assert (headers["millstream.topic"], headers["millstream.offset"]) == (topic.encode(), b"1")


def test_what_cannot_be_decoded_stops_the_stream_and_stays_for_a_program_that_can(
    kafka: KafkaTool, tmp_path: Path
) -> None:
    topic = kafka.topic()
    kafka.produce(topic, ["a", b"\xff", "c"])
    with Member(kafka, topic, f"g-{topic}", tmp_path, value_decoder="utf8") as member:
        error = member.failure()
    assert isinstance(error, DataError)
    assert f"{topic}[0] offset 1 has key None and value" in str(error)
    with Member(kafka, topic, f"g-{topic}", tmp_path, value_decoder="utf8", on_undecodable="skip") as member:
        until(lambda: count(member) == 2, member)
        until(lambda: member.invalid == 1, member)
    assert [value for _, value in member.all] == ["a", "c"]


def test_a_topic_of_dead_letters_that_is_not_there_stops_the_stream(kafka: KafkaTool, tmp_path: Path) -> None:
    topic = kafka.topic()
    missing: dict[str, Any] = {
        "value_decoder": "json",
        "on_undecodable": "dead_letter",
        "dead_letters": f"{topic}-missing",
    }
    with Member(kafka, topic, f"g-{topic}", tmp_path, **missing) as member:
        error = member.failure()
    assert isinstance(error, ConfigurationError)
    assert "cannot go to the topic" in str(error)


def test_listeners_hear_how_much_waits_in_each_partition_that_it_has(kafka: KafkaTool, tmp_path: Path) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, numbered(0, 150), 0)
    with Member(kafka, topic, f"g-{topic}", tmp_path, max_records_per_s=50.0) as member:
        until(lambda: 0 < member.lags.get(f"{topic}[0]", 0) < 150, member)
        until(lambda: member.lags == {f"{topic}[0]": 0, f"{topic}[1]": 0}, member)
        assert count(member) == 150


def test_arguments() -> None:
    with ms.StreamingContext(1.0) as ssc:
        wrong: Any = "first"
        decoder: Any = "avro"
        with pytest.raises(ConfigurationError, match="start has a value"):
            ssc.kafka_group_stream("localhost:1", group_id="g", topics=["t"], start=wrong)
        with pytest.raises(ConfigurationError, match="topics, a pattern"):
            ssc.kafka_group_stream("localhost:1", group_id="g")
        with pytest.raises(ConfigurationError, match="on_undecodable has a value"):
            ssc.kafka_group_stream("localhost:1", group_id="g", topics=["t"], on_undecodable=wrong)
        with pytest.raises(ConfigurationError, match="go to a topic that is named"):
            ssc.kafka_group_stream("localhost:1", group_id="g", topics=["t"], dead_letters="d")
        with pytest.raises(ArgumentTypeError, match="value_decoder is no decoder"):
            ssc.kafka_group_stream("localhost:1", group_id="g", topics=["t"], value_decoder=decoder)


@pytest.mark.timeout(240)
def test_a_broker_that_dies_and_returns_is_told_once(own_cluster: KafkaCluster, tmp_path: Path) -> None:
    kafka = KafkaTool(own_cluster)
    topic = kafka.topic(2)
    for partition in range(2):
        kafka.produce(topic, numbered(0, 10), partition)
    with Member(kafka, topic, f"g-{topic}", tmp_path) as member:
        until(lambda: count(member) == 20, member)
        own_cluster.kill()
        until(lambda: bool(member.silent), member)
        own_cluster.start_node(1)
        kafka = KafkaTool(own_cluster)
        for partition in range(2):
            kafka.produce(topic, numbered(10, 20), partition)
        until(lambda: count(member) == 40, member)
    assert max(Counter(member.all).values()) == 1
    assert len(member.silent) == 1, "the flood of the client's errors is one line"

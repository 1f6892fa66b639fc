"""A user who may not do everything: what a stream says, and when."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType
from tests.integration.kafka.kafka_run import KafkaRun
from tests.servers.kafka.broker import USER
from tests.servers.kafka.kafka_tool import KafkaTool

from millstream.errors import ConfigurationError
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.kafka.kafka_sink import KafkaSink


def run_of(kafka: KafkaTool, topic: str, **options: Any) -> KafkaRun:
    cluster = kafka.cluster
    return KafkaRun(cluster.secure_servers, topics=[topic], start="earliest", options=cluster.secure_options, **options)


def test_a_topic_that_belongs_to_another_user_is_refused_at_the_start(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.allow(ResourceType.TOPIC, topic, AclOperation.READ, "bob")
    began = time.monotonic()
    with pytest.raises(ConfigurationError) as refused, run_of(kafka, topic):
        pass
    assert time.monotonic() - began < 10
    assert topic in str(refused.value)
    assert "DESCRIBE and READ" in str(refused.value.hint)


def test_a_topic_that_may_be_seen_and_not_read_stops_the_stream(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, ["x"])
    kafka.allow(ResourceType.TOPIC, topic, AclOperation.DESCRIBE, USER)
    with run_of(kafka, topic, read_timeout=5.0) as run:
        error = run.failure()
    assert isinstance(error, ConfigurationError)
    assert "The user may not." in str(error)
    assert topic in str(error)


def test_a_right_that_is_taken_away_stops_the_stream(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, ["x"])
    with run_of(kafka, topic, refresh=0.1, read_timeout=5.0) as run:
        run.until(1)
        kafka.allow(ResourceType.TOPIC, topic, AclOperation.READ, "bob")
        kafka.produce(topic, ["y"])
        error = run.failure()
    assert isinstance(error, ConfigurationError)


def test_a_group_that_may_not_be_used_is_refused_where_the_stream_begins_there(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    group = f"group-{topic}"
    kafka.allow(ResourceType.GROUP, group, AclOperation.READ, "bob")
    cluster = kafka.cluster
    with (
        pytest.raises(ConfigurationError, match="The user may not"),
        KafkaRun(
            cluster.secure_servers, topics=[topic], start="committed", group_id=group, options=cluster.secure_options
        ),
    ):
        pass


def test_a_group_for_monitors_that_may_not_be_used_is_said_once_and_holds_nothing(
    kafka: KafkaTool, caplog: pytest.LogCaptureFixture
) -> None:
    topic = kafka.topic()
    group = f"group-{topic}"
    kafka.allow(ResourceType.GROUP, group, AclOperation.READ, "bob")
    kafka.produce(topic, ["a"])
    with caplog.at_level(logging.WARNING, "millstream"), run_of(kafka, topic, group_id=group) as run:
        run.until(1)
        for value in "bcdef":
            kafka.produce(topic, [value])
            run.step()
        assert run.until(6) == list("abcdef")
    said = [record for record in caplog.records if group in record.getMessage()]
    assert len(said) == 1


def sink_of(kafka: KafkaTool, topic: str) -> KafkaSink:
    cluster = kafka.cluster
    return KafkaSink(cluster.secure_servers, topic, control_topic=topic, options=cluster.secure_options)


def written(sink: KafkaSink, epoch: int) -> None:
    """Open the sink of a driver and write a batch; without epoch there is no checkpoint, and no transaction."""
    try:
        sink.open(SinkLineage("lineage-1", "out", epoch))
        batch = Batch(1_000)
        sink.commit(batch, [sink.stage(batch, 0, Partition(["a"]))])
    finally:
        sink.close()


@pytest.mark.parametrize("epoch", [0, 1], ids=["at least once", "exactly once"])
def test_a_topic_that_may_be_read_and_not_written_is_refused(kafka: KafkaTool, epoch: int) -> None:
    topic = kafka.topic()
    kafka.allow(ResourceType.TOPIC, topic, AclOperation.READ, USER)
    with pytest.raises(ConfigurationError, match="may not") as refused:
        written(sink_of(kafka, topic), epoch)
    assert topic in str(refused.value)
    assert "WRITE" in str(refused.value.hint)
    assert kafka.end(topic) == 0


@pytest.mark.parametrize(
    ("kind", "operation", "hint"),
    [
        (ResourceType.TRANSACTIONAL_ID, AclOperation.WRITE, "transactional ids"),
        (ResourceType.TOPIC, AclOperation.ALL, "CREATE"),
    ],
    ids=["transactional id", "control topic"],
)
def test_what_a_transaction_needs_and_may_not_be_used_is_refused_at_the_start(
    kafka: KafkaTool, kind: ResourceType, operation: AclOperation, hint: str
) -> None:
    topic = kafka.topic()
    kafka.allow(kind, f"{topic}-{SinkLineage('lineage-1', 'out').key}", operation, "bob")
    with pytest.raises(ConfigurationError, match="may not") as refused:
        written(sink_of(kafka, topic), 1)
    assert hint in str(refused.value.hint)

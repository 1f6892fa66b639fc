"""What a Kafka stream does when brokers, topics or offsets are not as they were."""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.kafka.kafka_reader import values
from tests.integration.kafka.kafka_run import KafkaRun
from tests.servers.kafka.broker import PASSWORD, KafkaCluster
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from millstream.errors import ConfigurationError, DataError, SinkUnavailableError, SourceUnavailableError
from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.kafka.kafka_sink import KafkaSink
from millstream.sources.kafka.kafka_source import KafkaSource
from millstream.testing import ManualClock


def numbered(first: int, last: int) -> list[str]:
    return [f"r{number}" for number in range(first, last)]


def test_an_unknown_topic_is_refused_at_the_start_with_the_names_there_are(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    began = time.monotonic()
    with pytest.raises(ConfigurationError) as refused, KafkaRun(kafka.servers, topics=[topic + "s"]):
        pass
    assert time.monotonic() - began < 20
    assert f"There is no topic {topic}s." in str(refused.value)
    assert topic in str(refused.value.detail)


def test_a_partition_that_is_not_there_is_refused(kafka: KafkaTool) -> None:
    topic = kafka.topic(2)
    with (
        pytest.raises(ConfigurationError, match="has no such partition"),
        KafkaRun(kafka.servers, partitions=[(topic, 7)]),
    ):
        pass


def test_no_broker_is_an_error_in_bounded_time() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    with (
        pytest.raises(SourceUnavailableError) as failed,
        KafkaRun(f"127.0.0.1:{port}", topics=["t"], start_timeout=1.5),
    ):
        pass
    assert time.monotonic() - began < 10
    assert f"127.0.0.1:{port}" in str(failed.value)
    assert "Connection refused" in str(failed.value)


def test_offsets_that_expired_stop_the_stream(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(0, 10))
    kafka.delete_records(topic, 6)
    with KafkaRun(kafka.servers, topics=[topic], start={0: 2}) as run:
        error = run.failure()
    assert isinstance(error, DataError)
    assert "Offset 2 comes next; the partition holds 6 to 10" in str(error)
    assert "on_offset_out_of_range" in str(error.hint)


@pytest.mark.parametrize(("policy", "seen", "lost"), [("earliest", numbered(6, 11), 4), ("latest", ["r10"], 8)])
def test_offsets_that_expired_are_passed_over_by_a_policy(
    kafka: KafkaTool, policy: Any, seen: list[str], lost: int
) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(0, 10))
    kafka.delete_records(topic, 6)
    with KafkaRun(kafka.servers, topics=[topic], start={0: 2}, on_offset_out_of_range=policy) as run:
        run.step(2)
        kafka.produce(topic, ["r10"])
        assert run.until(len(seen)) == seen
        run.until(lambda: any(batch.lost for batch in run.reports.batches))
    assert [(report.kind, report.records) for report in run.reports.seen] == [("lost", lost)]
    assert [list(batch.lost.values()) for batch in run.reports.batches if batch.lost] == [[lost]]


@pytest.mark.parametrize("policy", ["fail", "earliest"])
def test_records_that_are_gone_between_plan_and_reading(kafka: KafkaTool, policy: Any) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(0, 10))
    source = KafkaSource(kafka.servers, topics=[topic], start="earliest", on_offset_out_of_range=policy)
    source.open(None)
    plan = source.plan(1_000, None, None)
    kafka.delete_records(topic, 6)
    try:
        if policy == "fail":
            with pytest.raises(DataError, match="before offset 6 were gone"):
                source.read(plan.splits[0])
        else:
            rows: Any = source.read(plan.splits[0]).rows()
            assert [record.value.decode() for record in rows] == numbered(6, 10)
            source.plan(2_000, plan.position, None)
            assert [(report.kind, report.records) for report in source.reports()] == [("lost", 6)]
    finally:
        source.close()


def test_a_start_beyond_the_end(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(0, 3))
    with KafkaRun(kafka.servers, topics=[topic], start={0: 100}, refresh=0.1) as run:
        assert "Offset 100 comes next; the partition holds 0 to 3" in str(run.failure())
    with KafkaRun(kafka.servers, topics=[topic], start={0: 100}, refresh=0.1, on_offset_out_of_range="earliest") as run:
        assert run.until(3) == numbered(0, 3)


def test_a_topic_that_is_deleted_stops_the_stream(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    with KafkaRun(kafka.servers, topics=[topic], refresh=0.1) as run:
        kafka.produce(topic, ["a"])
        run.until(1)
        kafka.delete_topic(topic)
        error = run.failure()
    assert isinstance(error, DataError)
    assert f"The topic {topic} has been deleted." in str(error)


def test_a_topic_that_is_made_anew_stops_the_stream(kafka: KafkaTool) -> None:
    topic = kafka.topic(3)
    kafka.produce(topic, numbered(0, 5))
    with KafkaRun(kafka.servers, topics=[topic], start="earliest", refresh=0.1) as run:
        run.until(5)
        kafka.delete_topic(topic)
        kafka.topic(1, name=topic)
        error = run.failure()
    assert isinstance(error, DataError)
    assert "deleted" in str(error)


def test_a_topic_that_is_made_anew_is_read_from_its_beginning_by_a_policy(kafka: KafkaTool) -> None:
    topic = kafka.topic(3)
    kafka.produce(topic, numbered(0, 5))
    with KafkaRun(kafka.servers, topics=[topic], start="earliest", refresh=0.1, on_topic_change="restart") as run:
        run.until(5)
        kafka.delete_topic(topic)
        KafkaTool(kafka.cluster).topic(1, name=topic)
        KafkaTool(kafka.cluster).produce(topic, numbered(5, 7))
        assert run.until(7)[5:] == numbered(5, 7)
        KafkaTool(kafka.cluster).produce(topic, ["r7"])
        assert run.until(8)[7:] == ["r7"]
    assert {report.kind for report in run.reports.seen} == {"lost"}
    assert len(run.reports.seen) <= 2


def test_tls_and_scram(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, ["secured"])
    cluster = kafka.cluster
    with KafkaRun(cluster.secure_servers, topics=[topic], start="earliest", options=cluster.secure_options) as run:
        assert run.until(1) == ["secured"]


def test_a_wrong_password_is_said_and_no_secret_is_shown(kafka: KafkaTool, caplog: pytest.LogCaptureFixture) -> None:
    topic = kafka.topic()
    options = {**kafka.cluster.secure_options, "sasl.password": PASSWORD + "-wrong"}
    began = time.monotonic()
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(ConfigurationError) as refused,
        KafkaRun(kafka.cluster.secure_servers, topics=[topic], options=options, start_timeout=20.0),
    ):
        pass
    assert time.monotonic() - began < 15, "who is refused need not wait for the timeout"
    assert "refused the credentials" in str(refused.value)
    source = KafkaSource(kafka.cluster.secure_servers, topics=[topic], options=options)
    shown = f"{refused.value}{refused.value.__cause__}{source!r}{source.options!r}{caplog.text}"
    assert PASSWORD not in shown


def test_splits_and_positions_have_no_secrets(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, ["x"])
    cluster = kafka.cluster
    source = KafkaSource(cluster.secure_servers, topics=[topic], start="earliest", options=cluster.secure_options)
    source.open(None)
    plan = source.plan(1_000, None, None)
    assert plan.splits
    assert PASSWORD not in f"{plan!r}"
    source.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_broker_that_is_killed_and_comes_back(
    own_cluster: KafkaCluster, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    tool = KafkaTool(own_cluster)
    topic = tool.topic(2)
    with (
        caplog.at_level(logging.INFO, "millstream"),
        ms.Context(backend, workers=2 if backend == "processes" else None) as context,
        KafkaRun(
            own_cluster.servers, context=context, topics=[topic], shape=lambda r: (r.partition, r.value.decode())
        ) as run,
    ):
        for partition in range(2):
            tool.produce(topic, numbered(0, 100), partition)
        run.until(200)
        own_cluster.kill()
        run.until(lambda: bool(run.reports.seen))
        run.step(20)
        own_cluster.start_node(1)
        for partition in range(2):
            tool.produce(topic, numbered(100, 200), partition)
        seen = run.until(400)
        run.until(lambda: run.reports.seen[-1].kind == "reachable")
    for partition in range(2):
        assert [value for number, value in seen if number == partition] == numbered(0, 200)
    assert [report.kind for report in run.reports.seen] == ["unreachable", "reachable"]
    lines = [record for record in caplog.records if "does not answer" in record.getMessage()]
    assert len(lines) == 1, "the flood of the client's errors is one line"


def markers_are_written(kafka: KafkaTool, *topics: str) -> None:
    """Wait until the ends of all transactions are in topics.

    A commit is answered before that; and the only broker of a cluster, killed in between, forgets to write them.
    """
    for topic in topics:
        values(kafka.servers, topic)


@pytest.mark.timeout(240)
def test_an_outage_is_one_line_of_whoever_writes(own_cluster: KafkaCluster, caplog: pytest.LogCaptureFixture) -> None:
    tool = KafkaTool(own_cluster)
    topics = {exactly_once: tool.topic() for exactly_once in (False, True)}
    sinks = {
        exactly_once: KafkaSink(own_cluster.servers, topic, exactly_once=exactly_once, write_timeout=1.0)
        for exactly_once, topic in topics.items()
    }

    def write(exactly_once: bool, time_ms: int, text: str) -> None:
        batch = Batch(time_ms)
        sink = sinks[exactly_once]
        sink.commit(batch, [sink.stage(batch, 0, Partition([text]))])

    for exactly_once, sink in sinks.items():
        sink.open(SinkLineage("lineage-1", "out", 1))
        write(exactly_once, 1_000, "before")
    writer = sinks[True]._transactional
    assert writer is not None
    markers_are_written(tool, str(sinks[True].note()["control_topic"]), topics[True])
    # Opening may take long on a busy machine; whoever takes over in the outage need not wait as long in vain.
    writer._start_timeout_s, patience_s = 0.5, writer._start_timeout_s
    with caplog.at_level(logging.INFO, "millstream"):
        own_cluster.kill()
        for exactly_once in sinks:
            for _ in range(2):
                with pytest.raises(SinkUnavailableError):
                    write(exactly_once, 2_000, "again")
        own_cluster.start_node(1)
        writer._start_timeout_s = patience_s
        for exactly_once, sink in sinks.items():
            # The client may wait for a second before it connects again.
            deadline = time.monotonic() + 60.0
            for time_ms, text in ((2_000, "again"), (3_000, "after")):
                while True:
                    try:
                        write(exactly_once, time_ms, text)
                        break
                    except SinkUnavailableError:
                        assert time.monotonic() < deadline
            sink.close()
    said = [record.getMessage() for record in caplog.records if "Kafka at" in record.getMessage()]
    assert ["gives an error" in line for line in said] == [True, True, False, False], said
    assert ["answers again" in line for line in said] == [False, False, True, True], said
    assert values(own_cluster.servers, topics[False])[-1] == "after"
    assert values(own_cluster.servers, topics[True]) == ["before", "again", "after"]


@pytest.mark.timeout(240)
def test_all_warnings_of_an_outage_from_kafka_to_kafka(
    own_cluster: KafkaCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tool = KafkaTool(own_cluster)
    source, once, at_least_once = tool.topic(), tool.topic(), tool.topic()
    clock, rows = ManualClock(), list[list[Any]]()

    def text(record: Any) -> str:
        # In this thread, between reading and committing.
        if record.value == b"the last before" and own_cluster.pids:
            own_cluster.kill()
        return str(record.value.decode())

    with (
        caplog.at_level(logging.INFO, "millstream"),
        ms.StreamingContext(
            1.0, checkpoint=tmp_path, environment=ms.Environment(clock), retry_pause=1.0, batch_retries=20
        ) as ssc,
    ):
        stream = ssc.kafka_stream(own_cluster.servers, topics=[source]).map(text)
        for topic, exactly_once in ((at_least_once, False), (once, True)):
            stream.save_to_kafka(own_cluster.servers, topic, name=topic, exactly_once=exactly_once, write_timeout=1.0)
        stream.collect_to(rows)
        ssc.start()
        markers_are_written(
            tool, next(name for name in tool.admin.list_topics().topics if name.startswith("millstream"))
        )

        def until(done: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 60.0
            while not done():
                assert time.monotonic() < deadline, caplog.text
                clock.advance(1.0)
                if ssc.state != "active":
                    ssc.await_termination(0)

        tool.produce(source, [*numbered(0, 10), "the last before"])
        until(lambda: caplog.text.count("is tried again in") >= 2)
        own_cluster.start_node(1)
        KafkaTool(own_cluster).produce(source, numbered(10, 20))
        until(lambda: sum(map(len, rows)) >= 21)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    retries = [line for line in warnings if "failed (commit) and is tried again in" in line]
    outages = [line for line in warnings if "gives an error" in line]
    silent = [line for line in warnings if "does not answer" in line]
    assert sorted(warnings) == sorted(retries + outages + silent)
    assert len(retries) >= 2
    assert 1 <= len(outages) <= 2, "one line of each output at most"
    assert len(silent) <= 1, "one line of the input at most"
    everything = [*numbered(0, 10), "the last before", *numbered(10, 20)]
    assert values(own_cluster.servers, once) == everything
    assert set(values(own_cluster.servers, at_least_once)) == set(everything)


@pytest.mark.timeout(240)
def test_a_broker_that_dies_in_the_middle_of_a_batch(own_cluster: KafkaCluster) -> None:
    tool = KafkaTool(own_cluster)
    topic = tool.topic()
    tool.produce(topic, [b"x" * 1_000 + str(number).encode() for number in range(20_000)])
    with KafkaRun(
        own_cluster.servers,
        topics=[topic],
        start="earliest",
        max_records_per_batch=5_000,
        shape=lambda record: record.offset,
        options={"queued.max.messages.kbytes": 1_024, "fetch.message.max.bytes": 100_000},
    ) as run:
        run.until(5_000)
        own_cluster.kill()
        own_cluster.start_node(1, wait=False)
        # What is not fetched ahead can only be read when the broker is back; the reader waits that long.
        assert run.until(20_000) == list(range(20_000))


@pytest.mark.timeout(240)
def test_a_leader_that_dies_hands_over(three_brokers: KafkaCluster) -> None:
    tool = KafkaTool(three_brokers)
    topic, target = (tool.topic(3, replicas=3, min_insync_replicas="2") for _ in range(2))
    sink = KafkaSink(three_brokers.servers, target)
    sink.open(SinkLineage("lineage-1", "out", 1))

    def write(time_ms: int) -> None:
        batch = Batch(time_ms)
        # Records without key go to all partitions: some to one whose leader dies.
        sink.commit(batch, [sink.stage(batch, 0, Partition([f"{time_ms}-{number}" for number in range(100)]))])

    write(1_000)
    writer = sink._transactional
    assert writer is not None
    assert writer._producer is not None
    assert writer._producer.replicas(sink.note()["control_topic"], 10.0) == (3, 3), (
        "of brokers and of the control topic"
    )
    with KafkaRun(three_brokers.servers, topics=[topic], shape=lambda r: (r.partition, r.value.decode())) as run:
        for partition in range(3):
            tool.produce(topic, numbered(0, 50), partition)
        run.until(150)
        three_brokers.kill(2)
        write(2_000)
        for partition in range(3):
            tool.produce(topic, numbered(50, 100), partition)
        seen = run.until(300)
    for partition in range(3):
        assert [value for number, value in seen if number == partition] == numbered(0, 100)
    assert [report.kind for report in run.reports.seen] in ([], ["unreachable"], ["unreachable", "reachable"])
    write(3_000)
    wanted = Counter(f"{time_ms}-{number}" for time_ms in (1_000, 2_000, 3_000) for number in range(100))
    assert Counter(values(three_brokers.servers, target)) == wanted

"""Writing Kafka exactly once, where something goes wrong: each rule of the protocol on a real broker."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from tests.integration.kafka.kafka_reader import commits, read_topic, values
from tests.servers.kafka.kafka_line import KafkaLine, Loss
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from millstream.errors import (
    ConfigurationError,
    DataError,
    FencedError,
    IncompatibleCheckpointError,
    SinkUnavailableError,
)
from millstream.model.batch import Batch
from millstream.model.kafka_client_options import ClientOptions
from millstream.model.partition import Partition
from millstream.model.ports.sink import SinkLineage
from millstream.sinks.kafka import removed_outputs
from millstream.sinks.kafka.kafka_sink import KafkaSink
from millstream.testing import ManualClock

T1, T2, T3 = 1_000, 2_000, 3_000


class Output:
    """An output to a topic of its own, as the drivers of one program have it one after the other."""

    def __init__(self, kafka: KafkaTool) -> None:
        self.kafka = kafka
        self.topic = kafka.topic()
        self.note: Any = None

    def opened(self, epoch: int = 1, servers: str | None = None, **options: Any) -> tuple[KafkaSink, int | None]:
        """Open the sink of a driver; give it, and what it says."""
        sink = KafkaSink(servers or self.kafka.servers, self.topic, control_topic=self.topic, **options)
        newest_ms = sink.open(SinkLineage("lineage-1", "out", epoch, self.note))
        self.note = sink.note()
        return sink, newest_ms

    @property
    def control(self) -> str:
        return str(self.note["control_topic"])

    def seen(self) -> list[str]:
        return values(self.kafka.servers, self.topic)


@pytest.fixture
def output(kafka: KafkaTool) -> Output:
    return Output(kafka)


@pytest.fixture
def line(kafka: KafkaTool) -> Iterator[KafkaLine]:
    line = KafkaLine(kafka.cluster.nodes[0].port)
    yield line
    line.close()


def write(sink: KafkaSink, time_ms: int, *records: Any) -> None:
    batch = Batch(time_ms)
    sink.commit(batch, [sink.stage(batch, 0, Partition(list(records)))])


@pytest.mark.parametrize("loss", ["request", "answer"])
def test_a_commit_whose_outcome_is_not_known_is_settled_by_the_next_call(
    output: Output, line: KafkaLine, loss: Loss
) -> None:
    sink, _ = output.opened(servers=line.servers, write_timeout=1.5)
    write(sink, T1, "a")
    line.lose(loss)
    with pytest.raises(SinkUnavailableError, match="Whether Kafka committed a batch is not known"):
        write(sink, T2, "b")
    assert line.lost.is_set()
    line.mend()
    write(sink, T2, "b")
    write(sink, T3, "c")
    assert output.seen() == ["a", "b", "c"]
    # Where only the answer was lost, the batch was not written a second time.
    times = [newest_ms for _, newest_ms in commits(output.kafka, output.control)]
    assert times == [None, T1, T2, T3]


@pytest.mark.parametrize("loss", ["request", "answer"])
def test_a_commit_whose_connection_breaks_is_repeated_on_the_same_producer(
    output: Output, line: KafkaLine, loss: Loss
) -> None:
    sink, _ = output.opened(servers=line.servers)
    writer = sink._transactional
    assert writer is not None
    producer = writer._producer
    line.lose(loss, stay_down=False)
    write(sink, T1, "a")
    assert line.lost.is_set()
    assert writer._producer is producer
    assert output.seen() == ["a"]


class Commits:
    """A producer whose commits are counted; the second one is told of before it begins."""

    def __init__(self, producer: Any, before_second: Callable[[], None]) -> None:
        self._producer = producer
        self._before_second = before_second
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def commit_transaction(self, timeout_s: float) -> None:
        self.count += 1
        if self.count == 2:
            self._before_second()
        self._producer.commit_transaction(timeout_s)


def test_a_commit_that_takes_longer_than_a_call_is_called_again_on_the_same_producer(
    output: Output, line: KafkaLine
) -> None:
    sink, _ = output.opened(servers=line.servers, write_timeout=6.0)
    writer = sink._transactional
    assert writer is not None
    producer: Any = Commits(writer._producer, line.release)
    writer._producer = producer
    # The first call ends after a third of the timeout, without an answer.
    line.hold(60.0)
    write(sink, T1, "a")
    assert producer.count >= 2
    assert writer._producer is producer
    write(sink, T2, "b")
    assert output.seen() == ["a", "b"]
    assert [newest_ms for _, newest_ms in commits(output.kafka, output.control)] == [None, T1, T2]


def test_the_transaction_begins_when_the_output_is_complete(output: Output) -> None:
    sink, _ = output.opened()
    write(sink, T1, "a")
    assert output.seen() == ["a"]
    assert commits(output.kafka, output.control)[-1] == (1, T1)  # From here on the ends of transactions are written.
    ends = [output.kafka.end(topic) for topic in (output.topic, output.control)]
    batch = Batch(T2)
    receipts = [sink.stage(batch, partition, Partition([f"b{partition}"])) for partition in range(3)]
    # Records of an open transaction would count.
    assert [output.kafka.end(topic) for topic in (output.topic, output.control)] == ends
    assert values(output.kafka.servers, output.topic, isolation="read_uncommitted") == ["a"]
    sink.commit(batch, receipts)
    assert output.seen() == ["a", "b0", "b1", "b2"]


def test_brokers_end_a_transaction_after_ten_seconds_by_default(output: Output) -> None:
    output.opened()
    name = output.note["transactional_id"].encode()
    states = [seen for seen in read_topic(output.kafka.servers, "__transaction_state") if name in (seen.key or b"")]
    # Version, id and epoch of the producer come before the timeout, in milliseconds.
    _, _, _, timeout_ms = struct.unpack_from(">hqhi", states[-1].value or b"")
    assert timeout_ms == 10_000


def test_a_crash_after_a_commit_that_nobody_heard_of_does_not_repeat_it(output: Output, line: KafkaLine) -> None:
    sink, _ = output.opened(servers=line.servers, write_timeout=1.5)
    line.lose("answer")
    with pytest.raises(SinkUnavailableError):
        write(sink, T1, "a")
    successor, newest_ms = output.opened(2)
    assert newest_ms == T1
    write(successor, T1, "a")
    assert output.seen() == ["a"]


def test_a_transaction_that_timed_out_is_written_again_by_a_new_producer(output: Output, line: KafkaLine) -> None:
    sink, _ = output.opened(servers=line.servers, transaction_timeout=1.0, write_timeout=12.0)
    write(sink, T1, "a")
    writer = sink._transactional
    assert writer is not None
    producer = writer._producer
    # The brokers abort the transaction while its end is on its way.
    line.hold(2.0)
    write(sink, T2, "b")
    assert writer._producer is not producer
    write(sink, T3, "c")
    assert output.seen() == ["a", "b", "c"]


def test_a_driver_that_is_fenced_and_holds_its_claim_goes_on_with_a_new_producer(output: Output) -> None:
    sink, _ = output.opened()
    write(sink, T1, "a")
    # The brokers do the same to the producer of a transaction that times out.
    output.kafka.transaction(output.note["transactional_id"])
    write(sink, T2, "b")
    write(sink, T2, "b")
    assert output.seen() == ["a", "b"]


def test_a_driver_whose_producers_are_all_fenced_says_so_and_goes_on_later(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, _ = output.opened()
    write(sink, T1, "a")
    writer = sink._transactional
    assert writer is not None

    def fence(_: Any) -> None:
        output.kafka.transaction(output.note["transactional_id"])

    fence(None)
    with monkeypatch.context() as patch:
        # Somebody who is no driver takes the id each time, between taking over and writing.
        patch.setattr(writer, "_check_claim", fence)
        with pytest.raises(SinkUnavailableError, match="fences one producer of this output after the other"):
            write(sink, T2, "b")
    write(sink, T2, "b")
    assert output.seen() == ["a", "b"]


def test_an_old_driver_that_wakes_up_is_told_and_leaves_its_successor_alone(output: Output) -> None:
    old, _ = output.opened(1)
    write(old, T1, "a")
    successor, newest_ms = output.opened(2)
    assert newest_ms == T1
    for _ in range(2):
        with pytest.raises(FencedError, match="Another driver writes this output"):
            write(old, T2, "old")
    write(successor, T2, "b")
    assert output.seen() == ["a", "b"]


def test_what_a_driver_left_open_is_ended_by_its_successor(output: Output) -> None:
    sink, _ = output.opened()
    write(sink, T1, "a")
    zombie = output.kafka.transaction(output.note["transactional_id"], **{"transaction.timeout.ms": 60_000})
    zombie.begin_transaction()
    output.kafka.send(zombie, output.topic, ["left open"])
    successor, newest_ms = output.opened(2)
    assert newest_ms == T1
    write(successor, T2, "b")
    assert output.seen() == ["a", "b"]
    with pytest.raises(KafkaException):
        zombie.commit_transaction(10.0)
    assert output.seen() == ["a", "b"]


def test_open_transactions_of_others_in_the_topic_are_not_waited_for(output: Output) -> None:
    other = output.kafka.transaction(f"{output.topic}-other")
    other.begin_transaction()
    output.kafka.send(other, output.topic, ["of another sink"])
    sink, _ = output.opened(1, start_timeout=5.0)
    write(sink, T1, "a")
    successor, newest_ms = output.opened(2, start_timeout=5.0)
    assert newest_ms == T1
    write(successor, T2, "b")
    other.commit_transaction(10.0)
    assert output.seen() == ["of another sink", "a", "b"]


def test_an_open_transaction_in_the_control_topic_is_never_taken_for_not_committed(output: Output) -> None:
    sink, _ = output.opened()
    write(sink, T1, "a")
    other = output.kafka.transaction(f"{output.topic}-other")
    other.begin_transaction()
    output.kafka.send(other, output.control, [("", "{}")])
    with pytest.raises(SinkUnavailableError, match="control topic"):
        output.opened(2, start_timeout=1.5)
    other.abort_transaction(10.0)
    assert output.opened(2)[1] == T1


def test_a_control_topic_that_was_deleted_is_refused(output: Output) -> None:
    sink, _ = output.opened()
    write(sink, T1, "a")
    output.kafka.delete_topic(output.control)
    with pytest.raises(IncompatibleCheckpointError, match="is gone") as refused:
        output.opened(2, servers=f"{output.kafka.servers},{output.kafka.servers}")
    assert f"it was written at {output.kafka.servers}." in str(refused.value)


def test_a_control_topic_that_was_emptied_is_refused(output: Output) -> None:
    output.opened()
    output.kafka.delete_topic(output.control)
    output.kafka.topic(name=output.control, cleanup_policy="compact")
    with pytest.raises(IncompatibleCheckpointError, match="holds nothing"):
        output.opened(2)


def test_a_control_topic_that_somebody_else_wrote_to_is_refused(output: Output) -> None:
    output.opened()
    output.kafka.produce(output.control, [("", "hello")])
    with pytest.raises(IncompatibleCheckpointError, match="cannot be read"):
        output.opened(2)


@pytest.mark.parametrize(
    ("partitions", "policy", "replicas"),
    [(2, "compact", 1), (1, "delete", 1), (1, "compact,delete", 1), (1, "compact", 2)],
)
def test_a_control_topic_that_could_lose_records_is_refused(
    output: Output, partitions: int, policy: str, replicas: int
) -> None:
    lineage = SinkLineage("lineage-1", "out", 1)
    output.kafka.topic(partitions, name=f"{output.topic}-{lineage.key}", cleanup_policy=policy)
    with pytest.raises(ConfigurationError, match="could lose"):
        output.opened(control_replicas=replicas)


def test_the_control_topic_is_compact_and_its_segments_are_small(output: Output) -> None:
    output.opened()
    writer = output.opened(2)[0]._transactional
    assert writer is not None
    assert writer._producer is not None
    config = writer._producer.topic_config(output.control, 10.0)
    assert (config["cleanup.policy"], config["segment.bytes"]) == ("compact", str(1 << 20))


@pytest.mark.parametrize("size", [2_000_000, 500_000], ids=["for the client", "for the broker"])
def test_of_a_batch_with_a_record_that_is_too_large_nothing_is_seen(kafka: KafkaTool, size: int) -> None:
    output = Output(kafka)
    output.topic = kafka.topic(max_message_bytes="100000")
    sink, _ = output.opened()
    with pytest.raises(DataError, match="does not take a record") as raised:
        write(sink, T1, ("small", "x"), ("large", "y" * size))
    assert "b'large'" in str(raised.value)
    assert output.seen() == []
    write(sink, T1, ("small", "x"))
    assert output.seen() == ["x"]
    assert output.opened(2)[1] == T1


def test_a_transaction_that_cannot_be_aborted_is_ended_by_the_next_producer(
    kafka: KafkaTool, line: KafkaLine, caplog: pytest.LogCaptureFixture
) -> None:
    output = Output(kafka)
    output.topic = kafka.topic(max_message_bytes="100000")
    sink, _ = output.opened(servers=line.servers, write_timeout=1.5)
    line.lose("request")
    with caplog.at_level(logging.INFO), pytest.raises(DataError, match="does not take a record"):
        write(sink, T1, ("small", "x"), ("large", "y" * 500_000))
    assert line.lost.is_set()
    assert "could not be aborted" in caplog.text
    line.mend()
    write(sink, T1, ("small", "x"))
    assert output.seen() == ["x"]


class Outputs:
    """A program with outputs that come and go from start to start; each run writes one record to each of them."""

    def __init__(self, kafka: KafkaTool, place: Path) -> None:
        self.kafka = kafka
        self.place = place
        self.topic = kafka.topic()
        self.clock = ManualClock()
        self.seen: list[list[Any]] = []

    def run(self, *names: str, servers: str | None = None, reads: dict[str, Any] | None = None, **options: Any) -> None:
        environment = ms.Environment(self.clock)
        with ms.StreamingContext(1.0, checkpoint=self.place, environment=environment) as ssc:
            stream = ssc.memory_stream(name="in")
            stream.collect_to(self.seen)
            own = [stream.filter(partial(eq, name)) for name in names]
            if reads is not None:
                ssc.kafka_stream(**reads, name="kafka").collect_to(self.seen)
            for name, stream_of in zip(names, own, strict=True):
                stream_of.save_to_kafka(
                    servers or self.kafka.servers, self.topic, name=name, control_topic=self.topic, **options
                )
            ssc.start()
            stream.push_many(names)
            self.clock.advance(1.0)

    def died_in(self, name: str) -> tuple[str, Producer]:
        """Leave what a driver would have left that died in a commit of this output."""
        prefix = f"{self.topic}-{name}-"
        control = next(name for name in self.kafka.admin.list_topics(timeout=30).topics if name.startswith(prefix))
        dead = self.kafka.transaction(control, **{"transaction.timeout.ms": 60_000})
        dead.begin_transaction()
        self.kafka.send(dead, self.topic, ["left open"])
        return control, dead

    def written(self) -> list[str]:
        """Read what is committed; this waits for transactions that are open."""
        return values(self.kafka.servers, self.topic)


@pytest.fixture
def outputs(kafka: KafkaTool, tmp_path: Path) -> Outputs:
    return Outputs(kafka, tmp_path / "c")


def test_an_output_that_was_removed_leaves_no_transaction_open(outputs: Outputs) -> None:
    outputs.run("kept", "removed")
    control, dead = outputs.died_in("removed")
    outputs.run("kept")
    assert outputs.written() == ["kept", "removed", "kept"]
    with pytest.raises(KafkaException):
        dead.commit_transaction(10.0)
    # It is forgotten now: another program may have the id.
    outputs.kafka.transaction(control).begin_transaction()
    outputs.run("kept")


@pytest.mark.parametrize("goes_on", ["without Kafka", "at least once"])
def test_the_only_output_that_was_removed_leaves_no_transaction_open(outputs: Outputs, goes_on: str) -> None:
    outputs.run("out")
    control, dead = outputs.died_in("out")
    if goes_on == "without Kafka":
        outputs.run()
    else:
        outputs.run("out", exactly_once=False)
    assert outputs.written() == ["out"] * (1 if goes_on == "without Kafka" else 2)
    with pytest.raises(KafkaException):
        dead.commit_transaction(10.0)
    later = outputs.kafka.transaction(control)
    later.begin_transaction()
    outputs.run()
    outputs.kafka.send(later, outputs.topic, ["of another program"])
    later.commit_transaction(10.0)
    assert outputs.written()[-1] == "of another program"


def test_the_credentials_of_an_output_that_was_removed_are_those_of_an_input(outputs: Outputs) -> None:
    cluster = outputs.kafka.cluster
    secure: dict[str, Any] = {"servers": cluster.secure_servers, "options": cluster.secure_options}
    outputs.run("out", **secure)
    _, dead = outputs.died_in("out")
    outputs.run(reads={"topics": [outputs.topic], "isolation": "read_uncommitted", **secure})
    assert outputs.written() == ["out"]
    with pytest.raises(KafkaException):
        dead.commit_transaction(10.0)


def test_an_output_at_brokers_that_are_no_more_is_a_warning_once(
    outputs: Outputs, line: KafkaLine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(removed_outputs, "LIMIT_S", 0.5)
    outputs.run("out", servers=line.servers)
    line.close()
    outputs.run()
    outputs.run()
    told = [record.getMessage() for record in caplog.records if "no more" in record.getMessage()]
    assert len(told) == 1
    assert line.servers in told[0]
    assert f"{outputs.topic}-out-" in told[0]


def test_an_output_is_ended_in_its_own_cluster_alone(outputs: Outputs, caplog: pytest.LogCaptureFixture) -> None:
    outputs.run("out")
    control, alive = outputs.died_in("out")
    note = {"transactional_id": control, "kafka_cluster": "another one"}
    removed_outputs.end_removed_outputs([note], [ClientOptions(outputs.kafka.servers)])
    alive.commit_transaction(10.0)
    assert outputs.written() == ["out", "left open"]
    assert "no input or output of the program is in its cluster" in caplog.text

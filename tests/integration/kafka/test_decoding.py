"""Keys and values that are more than bytes, and records of named ranges."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from tests.integration.kafka.kafka_run import KafkaRun
from tests.servers.kafka.kafka_tool import KafkaTool
from tests.servers.kafka.schema_registry import schema_registry

import millstream as ms
from millstream.errors import ArgumentTypeError, ConfigurationError, DataError, SourceUnavailableError
from millstream.testing import ManualClock


@pytest.fixture(scope="module")
def context(backend_name: str) -> Iterator[ms.Context]:
    with ms.Context(backend_name, workers=2 if backend_name == "processes" else None) as shared:
        yield shared


def pair_and_place(record: Any) -> Any:
    return record.value, record.topic, record.partition, record.offset


def pair(record: Any) -> Any:
    return record.key, record.value


def test_text_and_json(kafka: KafkaTool, context: ms.Context) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [("ключ", '{"a": [1, null]}'), (None, None), ("", "7")])
    with KafkaRun(
        kafka.servers,
        context=context,
        topics=[topic],
        start="earliest",
        shape=pair,
        key_decoder="utf8",
        value_decoder="json",
    ) as run:
        assert run.until(3) == [("ключ", {"a": [1, None]}), (None, None), ("", 7)]


def test_a_function_decodes(kafka: KafkaTool, context: ms.Context) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [("k", "12"), ("k", "-3")])
    with KafkaRun(
        kafka.servers, context=context, topics=[topic], start="earliest", shape=pair, value_decoder=lambda b: int(b)
    ) as run:
        assert run.until(2) == [(b"k", 12), (b"k", -3)]


def test_records_of_a_schema_registry(kafka: KafkaTool, context: ms.Context) -> None:
    schema = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}
    topic = kafka.topic()
    with schema_registry() as registry:
        client = SchemaRegistryClient({"url": registry.url})
        serializer: Any = AvroSerializer
        serialize = serializer(client, json.dumps(schema))
        place = SerializationContext(topic, MessageField.VALUE)
        kafka.produce(topic, [("k", serialize({"id": number}, place)) for number in range(3)])
        kafka.produce(topic, [b"plain", None])
        with KafkaRun(
            kafka.servers,
            context=context,
            topics=[topic],
            start="earliest",
            shape=lambda record: record.value,
            value_decoder=ms.SchemaRegistryDecoder(registry.url),
            on_undecodable="skip",
        ) as run:
            assert run.until(4) == [{"id": 0}, {"id": 1}, {"id": 2}, None]


def test_a_registry_that_is_away_holds_the_batch_and_skips_nothing(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    with schema_registry() as registry:
        number = registry.register("s", {"schema": "{}", "schemaType": "JSON"})["id"]
        kafka.produce(topic, [bytes([0]) + number.to_bytes(4, "big") + b"[7]"])
        registry.status = 503
        decoder = ms.SchemaRegistryDecoder(registry.url, options={"max.retries": 0})
        options: dict[str, Any] = {"topics": [topic], "start": "earliest", "value_decoder": decoder}
        with KafkaRun(kafka.servers, **options, on_undecodable="skip", shape=lambda record: record.value) as run:
            error = run.failure()
        assert isinstance(error, SourceUnavailableError)
        registry.status = None
        with KafkaRun(kafka.servers, **options, shape=lambda record: record.value) as run:
            assert run.until(1) == [[7]]


@pytest.mark.parametrize(("decoder", "bad"), [("utf8", b"\xff\xfe"), ("json", b"{"), (int, b"x")])
def test_what_cannot_be_decoded_stops_the_stream_or_is_left_out(kafka: KafkaTool, decoder: Any, bad: bytes) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [b"1", bad, b"3"])
    options: dict[str, Any] = {"topics": [topic], "start": "earliest", "shape": pair, "value_decoder": decoder}
    with KafkaRun(kafka.servers, **options) as run:
        error = run.failure()
    assert isinstance(error, DataError)
    assert "offset 1 has key None and value" in str(error)
    with KafkaRun(kafka.servers, **options, on_undecodable="skip") as run:
        good = [(None, "1"), (None, "3")] if decoder == "utf8" else [(None, 1), (None, 3)]
        assert run.until(2) == good
        run.until(lambda: bool(run.reports.batches))
    assert sum(sum(batch.invalid.values()) for batch in run.reports.batches) == 1


def test_what_cannot_be_decoded_goes_to_a_topic_as_it_was(kafka: KafkaTool, context: ms.Context) -> None:
    topic, letters = kafka.topic(), kafka.topic()
    kafka.produce(topic, [("a", "1")])
    kafka.produce(topic, [("k", "x"), (None, b"\xff")], headers=[("h", b"1"), ("n", None)])
    kafka.produce(topic, [("b", "2")])
    with KafkaRun(
        kafka.servers,
        context=context,
        topics=[topic],
        start="earliest",
        shape=pair,
        value_decoder=int,
        on_undecodable="dead_letter",
        dead_letters=letters,
    ) as run:
        assert run.until(2) == [(b"a", 1), (b"b", 2)]
        run.until(lambda: sum(sum(batch.invalid.values()) for batch in run.reports.batches) == 2)
    with KafkaRun(kafka.servers, topics=[letters], start="earliest", shape=lambda record: record) as run:
        one, two = run.until(2)
    assert [(one.key, one.value), (two.key, two.value)] == [(b"k", b"x"), (None, b"\xff")]
    assert one.headers[:2] == [("h", b"1"), ("n", None)]
    said = dict(one.headers[2:])
    assert said["millstream.topic"] == topic.encode()
    assert (said["millstream.partition"], said["millstream.offset"]) == (b"0", b"1")
    assert int(said["millstream.timestamp_ms"]) > 0
    assert said["millstream.error"].startswith(b"value: ValueError: invalid literal for int()")
    assert dict(two.headers)["millstream.offset"] == b"2"


def test_a_topic_for_dead_letters_must_be_named_and_there(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    options: dict[str, Any] = {"topics": [topic], "on_undecodable": "dead_letter"}
    with pytest.raises(ConfigurationError, match="a topic that is named"):
        KafkaRun(kafka.servers, **options)
    with (
        pytest.raises(ConfigurationError, match="cannot go to the topic nowhere"),
        KafkaRun(kafka.servers, **options, dead_letters="nowhere"),
    ):
        pass


@pytest.mark.parametrize("word", ["avro", "protobuf"])
def test_a_word_that_needs_a_schema_says_how_to_give_it(word: Any) -> None:
    with ms.StreamingContext(1.0) as ssc, pytest.raises(ArgumentTypeError, match=r"ms\.AvroDecoder\(schema\)"):
        ssc.kafka_stream("localhost:1", topics=["t"], value_decoder=word)


def test_named_ranges_are_an_rdd(kafka: KafkaTool, context: ms.Context) -> None:
    topic = kafka.topic(2)
    for partition in range(2):
        kafka.produce(topic, [str(number) for number in range(10)], partition)
    rdd = context.kafka_rdd(kafka.servers, [(topic, 0, 2, 5), (topic, 1, 9, 10), (topic, 1, 4, 4)])
    assert rdd.num_partitions == 3
    assert rdd.map(lambda record: int(record.value)).glom().collect() == [[2, 3, 4], [9], []]
    assert rdd.count() == 4
    assert rdd.first().topic == topic


def test_the_ranges_of_a_batch_are_an_rdd(kafka: KafkaTool, context: ms.Context) -> None:
    topic, clock = kafka.topic(2), ManualClock()
    for partition in range(2):
        kafka.produce(topic, [f"{partition}-{number}" for number in range(10)], partition)
    once: list[Any] = []
    again: list[Any] = []
    found: list[ms.OffsetRange] = []

    def compare(rdd: ms.RDD[Any], batch: ms.Batch) -> None:
        ranges = batch.inputs["in"].ranges
        found.extend(ranges)
        once.extend(rdd.map(pair_and_place).collect())
        again.extend(context.kafka_rdd(kafka.servers, ranges).map(pair_and_place).collect())

    ssc = ms.StreamingContext(1.0, context=context, environment=ms.Environment(clock))
    records = ssc.kafka_stream(kafka.servers, topics=[topic], start={0: 7, 1: 7}, name="in")
    records.foreach_rdd(compare)
    with ssc:
        ssc.start()
        deadline = time.monotonic() + 60
        while len(once) < 6 and time.monotonic() < deadline:
            clock.advance(1.0)
    assert sorted(found) == [ms.OffsetRange(topic, 0, 7, 10), ms.OffsetRange(topic, 1, 7, 10)]
    assert once == again
    assert sorted(once) == [(f"{p}-{number}".encode(), topic, p, number) for p in range(2) for number in range(7, 10)]


def test_a_named_range_that_is_gone_is_an_error(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, ["a", "b", "c"])
    kafka.delete_records(topic, 2)
    with ms.Context() as context, pytest.raises(DataError, match="before offset 2 were gone"):
        context.kafka_rdd(kafka.servers, [(topic, 0, 0, 3)]).collect()

"""Writing Kafka on a real broker: what becomes of records, and what is refused."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.kafka.kafka_reader import commits, read_topic, values
from tests.servers.kafka.broker import PASSWORD
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from millstream.errors import (
    ArgumentTypeError,
    ConfigurationError,
    DataError,
    InvalidError,
    SinkUnavailableError,
    UserCodeError,
)
from millstream.testing import ManualClock


@pytest.fixture(scope="module")
def context(backend_name: str) -> Iterator[ms.Context]:
    with ms.Context(backend_name, workers=2 if backend_name == "processes" else None) as shared:
        yield shared


def written(
    servers: str, topic: Any, batches: list[list[Any]], context: ms.Context | None = None, **given: Any
) -> None:
    """Run batches that are saved to a topic."""
    clock = ManualClock()
    environment = ms.Environment(clock)
    with ms.StreamingContext(1.0, context=context, environment=environment, retry_pause=0.001) as ssc:
        ssc.queue_stream(batches).save_to_kafka(servers, topic, **given)
        ssc.start()
        for _ in range(len(batches) + 2):  # A batch that is tried again takes a step of its own.
            clock.advance(1.0)
            if ssc.state != "active":
                ssc.await_termination(0)


def test_pairs_text_and_bytes_are_written_as_they_are(kafka: KafkaTool, context: ms.Context) -> None:
    topic = kafka.topic()
    batches: list[list[Any]] = [["text", b"\xff", None], [("key", b"value"), (None, None), ("", "")], []]
    written(kafka.servers, topic, batches, context)
    assert [(seen.key, seen.value) for seen in read_topic(kafka.servers, topic)] == [
        (None, b"text"),
        (None, b"\xff"),
        (None, None),
        (b"key", b"value"),
        (None, None),
        (b"", b""),
    ]


def test_topic_key_value_headers_and_partition_come_from_functions(kafka: KafkaTool, context: ms.Context) -> None:
    one, two = kafka.topic(3), kafka.topic(3)
    written(
        kafka.servers,
        lambda order: one if order["country"] == "de" else two,
        [[{"id": 1, "country": "de"}, {"id": 2, "country": "fr"}, {"id": 3, "country": "de"}]],
        context,
        key=lambda order: str(order["id"]),
        value="json",
        headers=lambda order: {"country": order["country"], "none": None},
        partitioner=lambda order: order["id"] % 3,
    )
    found = sorted(read_topic(kafka.servers, one), key=lambda seen: seen.key or b"")
    assert [(seen.key, seen.value, seen.partition) for seen in found] == [
        (b"1", b'{"id":1,"country":"de"}', 1),
        (b"3", b'{"id":3,"country":"de"}', 0),
    ]
    assert found[0].headers == [("country", b"de"), ("none", None)]
    assert [(seen.key, seen.partition) for seen in read_topic(kafka.servers, two)] == [(b"2", 2)]


def test_what_was_read_is_written_in_columns(kafka: KafkaTool, context: ms.Context) -> None:
    source, target = kafka.topic(), kafka.topic()
    kafka.produce(source, [("a", "1"), (None, "2"), ("c", None)])
    clock = ManualClock()
    with ms.StreamingContext(1.0, context=context, environment=ms.Environment(clock)) as ssc:
        ssc.kafka_stream(kafka.servers, topics=[source], start="earliest").save_to_kafka(kafka.servers, target)
        ssc.start()
        for _ in range(300):
            clock.advance(1.0)
            if kafka.end(target) == 3:
                break
    assert [(seen.key, seen.value) for seen in read_topic(kafka.servers, target)] == [
        (b"a", b"1"),
        (None, b"2"),
        (b"c", None),
    ]


def test_records_of_a_key_keep_their_order_and_go_where_kafkas_own_clients_put_them(kafka: KafkaTool) -> None:
    topic = kafka.topic(5)
    batches = [[(f"key{number % 7}", f"{batch}:{number}") for number in range(2_000)] for batch in range(3)]
    written(kafka.servers, topic, batches)
    by_key: dict[bytes, list[tuple[int, int]]] = {}
    partitions: dict[bytes, set[int]] = {}
    for seen in read_topic(kafka.servers, topic):
        assert seen.key is not None
        assert seen.value is not None
        batch, number = seen.value.split(b":")
        by_key.setdefault(seen.key, []).append((int(batch), int(number)))
        partitions.setdefault(seen.key, set()).add(seen.partition)
    assert sum(map(len, by_key.values())) == 6_000
    assert all(order == sorted(order) for order in by_key.values())
    # murmur2 of these keys modulo 5, as Kafka's own clients have it.
    assert partitions == {f"key{n}".encode(): {_murmur2(f"key{n}".encode()) % 5} for n in range(7)}


def _murmur2(data: bytes) -> int:
    """Kafka's hash of keys (Apache Kafka, Utils.murmur2), without its sign."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return (h ^ (h >> 15)) & 0x7FFFFFFF


@pytest.mark.parametrize(
    ("record", "given", "said"),
    [
        (3, {}, "its value is of type int"),
        (("word", 3), {}, "its value is of type int"),
        ((3, "word"), {}, "its key is of type int"),
        (("a", "b"), {"value": "bytes"}, "its value is of type str"),
        (("a", b"b"), {"value": "utf8"}, "its value is of type bytes"),
        ("half \ud800", {}, "its value is of type str"),
        ("x", {"partitioner": lambda _: -1}, "its partitioner is of type int"),
        ("x", {"headers": lambda _: [("name", 3)]}, "its headers is of type int"),
    ],
)
def test_a_record_that_cannot_be_written_is_named(kafka: KafkaTool, record: Any, given: Any, said: str) -> None:
    topic = kafka.topic()
    with pytest.raises(ArgumentTypeError, match=said) as raised:
        written(kafka.servers, topic, [[record]], **given)
    assert repr(record)[:20] in str(raised.value)
    assert values(kafka.servers, topic) == []


def test_a_function_that_raises_is_named_with_its_record(kafka: KafkaTool) -> None:
    with pytest.raises(UserCodeError, match="key= of save_to_kafka raised ZeroDivisionError") as raised:
        written(kafka.servers, kafka.topic(), [["fine", "bad"]], key=lambda word: str(1 / (word != "bad")))
    assert raised.value.record == "'bad'"


@pytest.mark.parametrize("size", [2_000_000, 500_000], ids=["for the client", "for the broker"])
def test_a_record_that_is_too_large_is_named(kafka: KafkaTool, size: int) -> None:
    topic = kafka.topic(max_message_bytes="100000")
    with pytest.raises(DataError, match="does not take a record") as raised:
        written(kafka.servers, topic, [[("small", "x"), ("large", "y" * size)]])
    for said in (topic, f"{size} bytes", "b'large'", "max.message.bytes"):
        assert said in str(raised.value)


def test_an_unknown_topic_is_refused_at_the_start(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    with pytest.raises(ConfigurationError, match="There is no topic") as raised:
        written(kafka.servers, f"{topic}x", [["a"]])
    assert topic in str(raised.value)


def test_an_unknown_topic_of_a_function_is_refused_before_anything_is_written(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    with pytest.raises(ConfigurationError, match="There is no topic nowhere"):
        written(kafka.servers, lambda word: topic if word == "a" else "nowhere", [["a", "b"]])
    assert kafka.end(topic) == 0


def test_no_broker_is_an_error_in_bounded_time() -> None:
    began = time.monotonic()
    with ms.StreamingContext(1.0, environment=ms.Environment(ManualClock())) as ssc:
        ssc.memory_stream().save_to_kafka("127.0.0.1:1", "t", start_timeout=1.5)
        with pytest.raises(SinkUnavailableError, match="No broker of Kafka answered") as failed:
            ssc.start()
    assert time.monotonic() - began < 10
    assert "127.0.0.1:1" in str(failed.value)


def test_without_a_checkpoint_nothing_is_exactly_once(kafka: KafkaTool) -> None:
    with pytest.raises(ConfigurationError, match="without a checkpoint"):
        written(kafka.servers, kafka.topic(), [["a"]], exactly_once=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"topic": ""}, "topic= cannot be"),
        ({"key": "utf-8"}, "key= cannot be"),
        ({"headers": [("a", b"b")]}, "headers= cannot be"),
        ({"partitioner": "roundrobin"}, "no such partitioner"),
        ({"transaction_timeout": 0}, "transaction_timeout must be above zero"),
        ({"options": {"transactional.id": "x"}}, "transactional.id cannot be given"),
    ],
)
def test_arguments_that_cannot_work_are_refused(given: dict[str, Any], said: str) -> None:
    stream = ms.StreamingContext(1.0).queue_stream([["a"]])
    with pytest.raises(InvalidError, match=said):
        stream.save_to_kafka("localhost:9092", **{"topic": "t", **given})


def run_once(
    kafka: KafkaTool, topic: str, place: Path, clock: ManualClock, batches: list[list[str]], **given: Any
) -> None:
    """Run a program with a checkpoint over batches that are pushed."""
    with ms.StreamingContext(1.0, checkpoint=place, environment=ms.Environment(clock)) as ssc:
        stream = ssc.memory_stream(name="in")
        stream.save_to_kafka(kafka.servers, topic, name="out", control_topic=topic, **given)
        ssc.start()
        for batch in batches:
            stream.push_many(batch)
            clock.advance(1.0)


def test_a_restart_goes_on_behind_the_newest_batch(kafka: KafkaTool, tmp_path: Path) -> None:
    topic, clock = kafka.topic(), ManualClock()
    run_once(kafka, topic, tmp_path / "c", clock, [["a"], [], ["b"]])
    run_once(kafka, topic, tmp_path / "c", clock, [["c"]])
    assert values(kafka.servers, topic) == ["a", "b", "c"]
    control = next(name for name in kafka.admin.list_topics(timeout=30).topics if name.startswith(f"{topic}-"))
    said = commits(kafka, control)
    assert [epoch for epoch, _ in said] == [1, 1, 1, 2, 2]
    assert [newest for _, newest in said] == sorted((newest for _, newest in said), key=lambda ms: ms or 0)


def test_secrets_are_in_no_log_error_or_checkpoint(
    kafka: KafkaTool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster, topic = kafka.cluster, kafka.topic()
    caplog.set_level(logging.DEBUG, "millstream")
    place, clock = tmp_path / "c", ManualClock()

    def run(password: str) -> None:
        with ms.StreamingContext(1.0, checkpoint=place, environment=ms.Environment(clock)) as ssc:
            stream = ssc.memory_stream(name="in")
            options = {**cluster.secure_options, "sasl.password": password}
            stream.save_to_kafka(
                cluster.secure_servers, topic, name="out", control_topic=topic, options=options, start_timeout=5
            )
            ssc.start()
            stream.push_many(["a"])
            clock.advance(1.0)

    run(PASSWORD)
    assert values(kafka.servers, topic) == ["a"]
    with pytest.raises(ConfigurationError, match="credentials") as raised:
        run("wrong-secret")
    kept = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
    told = caplog.text + str(raised.value) + repr(raised.value)
    for secret in (PASSWORD, "wrong-secret"):
        assert secret not in told
        assert secret.encode() not in kept


def test_copies_for_executors_have_no_options() -> None:
    from millstream.sinks.kafka.kafka_sink import KafkaSink

    sink = KafkaSink("localhost:9092", "t", options={"sasl.password": "hunter2"})
    assert b"hunter2" not in pickle.dumps(sink)
    assert "hunter2" not in repr(sink)

"""Reading Kafka on a real broker: where it begins, what it reads, in which order."""

from __future__ import annotations

import datetime
import pickle
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from tests.integration.kafka.kafka_run import KafkaRun
from tests.servers.kafka.kafka_tool import KafkaTool

import millstream as ms
from millstream.sources.kafka.kafka_source import KafkaSource
from millstream.sources.kafka.readers import reader_here


@pytest.fixture(scope="module")
def context(backend_name: str) -> Iterator[ms.Context]:
    with ms.Context(backend_name, workers=2 if backend_name == "processes" else None) as shared:
        yield shared


def values(partition: Any) -> list[str]:
    return [record.value.decode() for record in partition.rows()]


def numbered(first: int, last: int) -> list[str]:
    return [f"r{number}" for number in range(first, last)]


def test_records_have_all_that_kafka_says_of_them(kafka: KafkaTool, context: ms.Context) -> None:
    topic = kafka.topic(retention_ms="-1")
    kafka.produce(
        topic, [("key", "value")], headers=[("a", b"1"), ("b", None), ("a", b"2")], timestamp=1_700_000_000_123
    )
    kafka.produce(topic, [(None, None), ("", "")])
    with KafkaRun(kafka.servers, context=context, topics=[topic], start="earliest", shape=lambda record: record) as run:
        first, null, empty = run.until(3)
    assert (first.key, first.value, first.topic, first.partition, first.offset) == (b"key", b"value", topic, 0, 0)
    assert first.headers == [("a", b"1"), ("b", None), ("a", b"2")]
    assert (first.timestamp_ms, first.timestamp_type) == (1_700_000_000_123, "create")
    assert (null.key, null.value, null.offset, null.headers) == (None, None, 1, [])
    assert (empty.key, empty.value, empty.offset) == (b"", b"", 2)
    assert pickle.loads(pickle.dumps(first)) == first != null
    assert len({first, pickle.loads(pickle.dumps(first)), null}) == 2


def test_each_record_is_read_once_and_in_the_order_of_its_partition(kafka: KafkaTool, context: ms.Context) -> None:
    topic = kafka.topic(3)
    with KafkaRun(
        kafka.servers,
        context=context,
        topics=[topic],
        start="earliest",
        shape=lambda r: (r.partition, r.value.decode()),
    ) as run:
        for turn in range(5):
            for partition in range(3):
                kafka.produce(topic, numbered(turn * 10, turn * 10 + 10), partition)
            run.step()
        seen = run.until(150)
    for partition in range(3):
        assert [value for number, value in seen if number == partition] == numbered(0, 50)


def test_it_begins_at_the_end_by_default(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, ["before"])
    with KafkaRun(kafka.servers, topics=topic) as run:
        kafka.produce(topic, ["after"])
        assert run.until(1) == ["after"]


def test_it_begins_at_given_offsets(kafka: KafkaTool) -> None:
    topic = kafka.topic(2)
    for partition in range(2):
        kafka.produce(topic, numbered(0, 5), partition)

    def shape(record: Any) -> Any:
        return (record.partition, record.offset)

    with KafkaRun(kafka.servers, topics=[topic], start={0: 3, 1: 5}, shape=shape) as run:
        assert run.until(2) == [(0, 3), (0, 4)]
    with KafkaRun(kafka.servers, topics=[topic], start={(topic, 0): 5, (topic, 1): 4}, shape=shape) as run:
        assert run.until(1) == [(1, 4)]


def test_it_begins_at_a_time(kafka: KafkaTool) -> None:
    topic = kafka.topic(2, retention_ms="-1")
    noon = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
    for minute in range(4):
        at_ms = int((noon + datetime.timedelta(minutes=minute)).timestamp() * 1000)
        kafka.produce(topic, [f"minute {minute}"], timestamp=at_ms)
    with KafkaRun(kafka.servers, topics=[topic], start=noon + datetime.timedelta(minutes=2)) as run:
        assert run.until(2) == ["minute 2", "minute 3"]
    with KafkaRun(kafka.servers, topics=[topic], start=noon + datetime.timedelta(days=1)) as run:
        kafka.produce(topic, ["new"])
        assert run.until(1) == ["new"]


def test_it_begins_at_what_a_group_has_committed_and_commits_for_it(kafka: KafkaTool) -> None:
    topic = kafka.topic(2)
    group = f"group-of-{topic}"
    for partition in range(2):
        kafka.produce(topic, numbered(0, 4), partition)
    kafka.commit(group, topic, 3)
    with KafkaRun(kafka.servers, topics=[topic], start="committed", group_id=group) as run:
        assert run.until(5) == ["r3", *numbered(0, 4)]
        run.until(lambda: kafka.committed(group, topic) == 4 and kafka.committed(group, topic, 1) == 4)
        kafka.produce(topic, ["r4"])
        run.until(6)
        run.until(lambda: kafka.committed(group, topic) == 5)


def test_topics_that_come_later_match_a_pattern(kafka: KafkaTool) -> None:
    first = kafka.topic()
    kafka.topic(name=f"other-{first}")
    kafka.produce(first, ["first"])

    def shape(record: Any) -> Any:
        return (record.topic, record.value.decode())

    with KafkaRun(kafka.servers, pattern=f"{kafka.prefix}-.*", start="earliest", shape=shape, refresh=0.1) as run:
        assert run.until(1) == [(first, "first")]
        second = kafka.topic(2)
        kafka.produce(second, ["second"], 1)
        assert run.until(2)[1:] == [(second, "second")]


def test_several_topics_and_partitions_that_are_added(kafka: KafkaTool) -> None:
    one, two = kafka.topic(), kafka.topic()

    def shape(record: Any) -> Any:
        return (record.topic, record.partition, record.value.decode())

    with KafkaRun(kafka.servers, topics=[one, two], shape=shape, refresh=0.1) as run:
        kafka.produce(one, ["a"])
        kafka.produce(two, ["b"])
        assert sorted(run.until(2)) == [(one, 0, "a"), (two, 0, "b")]
        kafka.add_partitions(two, 3)
        kafka.produce(two, ["c"], 2)
        assert run.until(3)[2:] == [(two, 2, "c")]


def test_single_partitions(kafka: KafkaTool) -> None:
    topic = kafka.topic(3)
    for partition in range(3):
        kafka.produce(topic, [f"p{partition}"], partition)
    with KafkaRun(kafka.servers, partitions=[(topic, 2), (topic, 0)], start="earliest") as run:
        assert run.until(2) == ["p0", "p2"]
        run.step(2)
        assert run.all == ["p0", "p2"]


def test_a_batch_takes_no_more_than_its_limit_and_each_partition_its_share(kafka: KafkaTool) -> None:
    topic = kafka.topic(3)
    kafka.produce(topic, numbered(0, 90), 0)
    kafka.produce(topic, numbered(0, 10), 1)

    def shape(record: Any) -> Any:
        return (record.partition, record.offset)

    with KafkaRun(kafka.servers, topics=[topic], start="earliest", max_records_per_batch=20, shape=shape) as run:
        seen = run.until(100)
    assert all(len(batch) <= 20 for batch in run.rows)
    assert [partition for partition, _ in run.rows[0]].count(1) == 2, "a tenth waits there"
    assert sorted(seen) == [(0, offset) for offset in range(90)] + [(1, offset) for offset in range(10)]


def test_with_nothing_set_the_first_batch_of_a_backlog_is_bounded(kafka: KafkaTool) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, ["x"] * 20_000, 0)
    kafka.produce(topic, ["x"] * 10_000, 1)

    def shape(record: Any) -> Any:
        return (record.partition, record.offset)

    with KafkaRun(kafka.servers, topics=[topic], start="earliest", shape=shape) as run:
        seen = run.until(30_000)
    batches = [batch for batch in run.rows if batch]
    assert len(batches[0]) == 10_000, "10,000 records a second, and an interval of one second"
    assert abs([partition for partition, _ in batches[0]].count(1) - 3_333) <= 1, "a third of what waits is there"
    assert sorted(seen) == [(0, offset) for offset in range(20_000)] + [(1, offset) for offset in range(10_000)]


def test_the_next_range_is_here_before_its_batch_asks_for_it(kafka: KafkaTool) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(0, 10))
    source = KafkaSource(kafka.servers, topics=[topic], start="earliest")
    source.open(None)
    try:
        first = source.plan(1_000, None, None)
        assert values(source.read(first.splits[0])) == numbered(0, 10)
        kafka.produce(topic, numbered(10, 20))
        reader = reader_here(f"{source._reads.name} read_committed")
        assert reader is not None
        deadline = time.monotonic() + 60
        while reader.follow([(topic, 0, 10)]) != [20]:
            assert time.monotonic() < deadline, "the records that came are not fetched"
        kafka.cluster.pause()
        try:
            second = source.plan(2_000, first.position, None)
            assert [split.description for split in second.splits] == [f"{topic}[0] 10..20"]
            assert values(source.read(second.splits[0])) == numbered(10, 20)
        finally:
            kafka.cluster.resume()
        assert reader_here(f"{source._reads.name} read_committed") is reader, "it goes on with the same client"
    finally:
        source.close()


def test_listeners_hear_how_much_waits_in_each_partition(kafka: KafkaTool) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, numbered(0, 30), 0)
    with KafkaRun(kafka.servers, topics=[topic], start="earliest", max_records_per_batch=10) as run:
        run.until(lambda: len([batch for batch in run.reports.batches if batch.lags]) > 3)
    lags = [next(iter(batch.lags.values())) for batch in run.reports.batches if batch.lags]
    assert all(lag[f"{topic}[1]"] == 0 for lag in lags)
    waiting = [lag[f"{topic}[0]"] for lag in lags]
    assert waiting[-1] == 0
    assert waiting[:2] in ([20, 10], [10, 0])


@pytest.mark.parametrize(("least", "most", "first"), [(5, None, (5, 5, 10)), (None, 7, (7, 5, 7))])
def test_a_partition_gives_at_least_and_at_most(
    kafka: KafkaTool, least: int | None, most: int | None, first: tuple[int, int, int]
) -> None:
    topic = kafka.topic(3)
    for partition, count in enumerate((90, 5, 900)):
        kafka.produce(topic, numbered(0, count), partition)
    with KafkaRun(
        kafka.servers,
        topics=[topic],
        start="earliest",
        max_records_per_batch=20,
        min_records_per_partition=least,
        max_records_per_partition=most,
        shape=lambda record: record.partition,
    ) as run:
        run.until(19)
    batch = next(rows for rows in run.rows if rows)
    assert tuple(batch.count(partition) for partition in range(3)) == first


def test_a_long_range_is_read_by_several_tasks(kafka: KafkaTool, context: ms.Context) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(0, 1_000))
    with KafkaRun(kafka.servers, context=context, topics=[topic], start="earliest", max_records_per_task=150) as run:
        assert run.until(1_000) == numbered(0, 1_000)
    description = next(batch.inputs for batch in run.reports.batches if batch.records_total)
    assert next(iter(description.values())).count(topic) == 7


def test_transactions(kafka: KafkaTool, context: ms.Context) -> None:
    topic = kafka.topic()
    kafka.produce(topic, ["plain"])
    kafka.transact(topic, ["committed"])
    kafka.transact(topic, ["aborted"], commit=False)
    kafka.transact(topic, ["committed too"])
    opened = kafka.transaction(f"open-{topic}")
    opened.begin_transaction()
    kafka.send(opened, topic, ["open"])
    kafka.produce(topic, ["behind"])
    everything = ["plain", "committed", "aborted", "committed too", "open", "behind"]
    with KafkaRun(
        kafka.servers, context=context, topics=[topic], start="earliest", isolation="read_uncommitted"
    ) as run:
        assert run.until(6) == everything
    with KafkaRun(kafka.servers, context=context, topics=[topic], start="earliest") as run:
        run.until(3)
        run.step(5)
        assert run.all == ["plain", "committed", "committed too"], "what is behind an open transaction must wait"
        opened.commit_transaction(30)
        assert run.until(5)[3:] == ["open", "behind"]
        counts = [batch.records_total for batch in run.reports.batches]
    assert sum(counts) == 5, "markers and aborted records are no records"


def test_a_compacted_topic(kafka: KafkaTool) -> None:
    topic = kafka.topic(
        cleanup_policy="compact", segment_ms="100", min_cleanable_dirty_ratio="0.01", max_compaction_lag_ms="100"
    )
    for turn in range(3):
        kafka.produce(topic, [(f"k{number}", f"{turn}") for number in range(50)])

    def shape(record: Any) -> Any:
        return (record.key.decode(), record.offset)

    def read() -> list[tuple[str, int]]:
        with KafkaRun(kafka.servers, topics=[topic], start="earliest", shape=shape) as run:
            kafka.produce(topic, [("last", "")])
            run.until(lambda: ("last", kafka.end(topic) - 1) in run.all)
            return list(run.all)

    # Each reading is whole, whatever was compacted before it; at last the cleaner must have left gaps.
    for _ in range(100):
        seen = read()
        assert {key for key, _ in seen} >= {f"k{number}" for number in range(50)}
        if len(seen) < kafka.end(topic):
            break
    offsets = [offset for _, offset in seen]
    assert offsets == sorted(set(offsets))
    assert len(offsets) < kafka.end(topic), "nothing was compacted"


def test_records_larger_than_a_fetch(kafka: KafkaTool, context: ms.Context) -> None:
    topic = kafka.topic(max_message_bytes="5000000")
    big = [b"x" * 900_000, b"y", b"z" * 900_000]
    kafka.produce(topic, big)
    with KafkaRun(
        kafka.servers,
        context=context,
        topics=[topic],
        start="earliest",
        shape=lambda record: record.value,
        options={"fetch.message.max.bytes": 1_000, "fetch.max.bytes": 1_000, "message.max.bytes": 1_000},
    ) as run:
        assert run.until(3) == big


def test_two_outputs_read_the_same_records(kafka: KafkaTool) -> None:
    topic = kafka.topic(2)
    with KafkaRun(kafka.servers, topics=[topic], start="earliest") as run:
        pass
    counts: list[list[int]] = []
    other = KafkaRun(kafka.servers, topics=[topic], start="earliest")
    other.ssc.kafka_stream(kafka.servers, topics=[topic], start="earliest").count().collect_to(counts)
    with other as run:
        kafka.produce(topic, numbered(0, 100), 1)
        assert run.until(100) == numbered(0, 100)
        run.until(lambda: sum(row[0] for row in counts) == 100)


def test_workers_that_take_turns_with_partitions_lose_and_double_nothing(kafka: KafkaTool, context: ms.Context) -> None:
    topic = kafka.topic(4)
    chance, sent = Random(1), 0
    with KafkaRun(
        kafka.servers, context=context, topics=[topic], shape=lambda r: (r.partition, r.offset), max_records_per_task=3
    ) as run:
        for _ in range(40):
            for partition in chance.sample(range(4), 2):
                count = chance.randint(1, 9)
                kafka.produce(topic, numbered(0, count), partition)
                sent += count
            run.step()
        seen = run.until(sent)
    assert len(seen) == len(set(seen)) == sent
    assert sorted(seen) == [
        (partition, offset) for partition in range(4) for offset in range(kafka.end(topic, partition))
    ]

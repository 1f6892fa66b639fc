"""What an outside reader sees of topics."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
from tests.servers.kafka.kafka_tool import KafkaTool

LIMIT_S = 30.0


@dataclass(frozen=True)
class Seen:
    """A record that a reader got."""

    key: bytes | None
    value: bytes | None
    partition: int
    offset: int
    headers: list[tuple[str, bytes | None]]


def read_topic(servers: str, topic: str, *, isolation: str = "read_committed", limit_s: float = LIMIT_S) -> list[Seen]:
    """Read a topic from its beginning to the end that it has now, partition by partition.

    With `read_committed` this waits until the transactions that are open have ended, as every reader does.
    """
    options: dict[str, Any] = {
        "bootstrap.servers": servers,
        "group.id": "reader",
        "isolation.level": isolation,
        "enable.partition.eof": True,
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 10,
        "log_level": 0,
        "error_cb": lambda _: None,
    }
    consumer = Consumer(options)
    # The ends that are asked for with this level are behind open transactions.
    ends_of = Consumer({**options, "isolation.level": "read_uncommitted"})
    try:
        partitions = sorted(consumer.list_topics(topic, limit_s).topics[topic].partitions)
        seen: list[Seen] = []
        for number in partitions:
            _, end = ends_of.get_watermark_offsets(TopicPartition(topic, number), limit_s)
            consumer.assign([TopicPartition(topic, number, 0)])
            position, at_end, deadline = 0, end == 0, time.monotonic() + limit_s
            # Why not to the end alone: it may lie in the middle of a transaction that was open, and is seen as a whole.
            while position < end or not at_end:
                assert time.monotonic() < deadline, f"{topic} partition {number} of {end} was read to {position}"
                message = consumer.poll(0.1)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    seen.append(_seen(message))
                    position, at_end = seen[-1].offset + 1, False
                elif error.code() == KafkaError._PARTITION_EOF:
                    position, at_end = message.offset() or 0, True
        return seen
    finally:
        consumer.close()
        ends_of.close()


def _seen(message: Message) -> Seen:
    key: Any = message.key()
    value: Any = message.value()
    headers: Any = message.headers() or []
    return Seen(key, value, message.partition() or 0, message.offset() or 0, headers)


def values(servers: str, topic: str, **options: Any) -> list[str]:
    """Read the values of a topic as text."""
    return [(seen.value or b"").decode() for seen in read_topic(servers, topic, **options)]


def commits(kafka: KafkaTool, control_topic: str) -> list[tuple[int, int | None]]:
    """Read epochs and batch times that a control topic says."""
    found = [json.loads(seen.value or b"") for seen in read_topic(kafka.servers, control_topic)]
    return [(said["epoch"], said["batch_time_ms"]) for said in found]

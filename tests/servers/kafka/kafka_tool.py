"""What tests do to a Kafka cluster from outside: topics, records, transactions, offsets."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic

from tests.servers.kafka.broker import KafkaCluster

TIMEOUT_S = 30.0

Sent = tuple[bytes | None, bytes | None]
"""Key and value of a record."""


class KafkaTool:
    """A hand on a cluster.

    Args:
        cluster: the brokers.
        prefix: what the names of topics begin with, for tests that share a cluster.
    """

    def __init__(self, cluster: KafkaCluster, prefix: str = "t") -> None:
        self.cluster = cluster
        self.prefix = prefix
        self._numbers = itertools.count()
        quiet: dict[str, Any] = {"bootstrap.servers": cluster.servers, "log_level": 0, "error_cb": _ignored}
        self._quiet = quiet
        self.admin = AdminClient(quiet)
        self._producer: Producer | None = None

    @property
    def servers(self) -> str:
        """What clients connect to."""
        return self.cluster.servers

    def topic(self, partitions: int = 1, *, name: str | None = None, replicas: int = 1, **config: str) -> str:
        """Make a topic; options are given with `_` for `.`."""
        name = name if name is not None else f"{self.prefix}-{next(self._numbers)}"
        options = {key.replace("_", "."): value for key, value in config.items()}
        new = NewTopic(name, partitions, replicas, config=options)
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                self.admin.create_topics([new])[name].result(TIMEOUT_S)
                break
            except KafkaException as error:
                # A broker that was taken for dead on a busy machine is back with its next sign of life.
                if error.args[0].code() != KafkaError.INVALID_REPLICATION_FACTOR or time.monotonic() > deadline:
                    raise
        self._wait_for(name, partitions)
        return name

    def delete_topic(self, name: str) -> None:
        """Delete a topic, and wait until it is gone."""
        self.admin.delete_topics([name])[name].result(TIMEOUT_S)
        while name in self.admin.list_topics(timeout=TIMEOUT_S).topics:
            pass

    def allow(self, kind: ResourceType, name: str, operation: AclOperation, user: str) -> None:
        """Let one user do something to a topic or group; from then on only those who are let may do anything to it."""
        rule = AclBinding(
            kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW
        )
        for future in self.admin.create_acls([rule]).values():
            future.result(TIMEOUT_S)

    def add_partitions(self, name: str, total: int) -> None:
        """Give a topic more partitions."""
        self.admin.create_partitions([NewPartitions(name, total)])[name].result(TIMEOUT_S)
        self._wait_for(name, total)
        self._producer = None  # It would learn of the new partitions in its own time.

    def produce(self, topic: str, records: Iterable[Any], partition: int = 0, **options: Any) -> None:
        """Write records and wait until all are there.

        Args:
            topic: where to.
            records: values, or pairs of key and value; text is encoded.
            partition: which.
            options: of each record, such as `headers` or `timestamp`.
        """
        if self._producer is None:
            self._producer = Producer({**self._quiet, "acks": "all", "linger.ms": 1})
        _send(self._producer, topic, records, partition, options)
        _flush(self._producer)

    def transaction(self, name: str, **config: Any) -> Producer:
        """Make a producer for transactions, with its earlier ones ended."""
        producer = Producer({**self._quiet, "transactional.id": name, "linger.ms": 0, **config})
        producer.init_transactions(TIMEOUT_S)
        return producer

    def transact(self, topic: str, records: Iterable[Any], partition: int = 0, *, commit: bool = True) -> None:
        """Write records in a transaction of its own."""
        producer = self.transaction(f"{topic}-{next(self._numbers)}")
        producer.begin_transaction()
        self.send(producer, topic, records, partition)
        producer.commit_transaction(TIMEOUT_S) if commit else producer.abort_transaction(TIMEOUT_S)

    def send(self, producer: Producer, topic: str, records: Iterable[Any], partition: int = 0) -> None:
        """Write records by a producer that the test has made, and wait until all are there."""
        _send(producer, topic, records, partition, {})
        _flush(producer)

    def delete_records(self, topic: str, before: int, partition: int = 0) -> None:
        """Delete the records before an offset, as retention does."""
        entry = TopicPartition(topic, partition, before)
        for future in self.admin.delete_records([entry]).values():
            future.result(TIMEOUT_S)

    def end(self, topic: str, partition: int = 0) -> int:
        """Give the offset after the last record."""
        return self.ends(topic, partition)[1]

    def ends(self, topic: str, partition: int = 0) -> tuple[int, int]:
        """Give the first offset, and the one after the last record."""
        consumer = Consumer({**self._quiet, "group.id": "tests", "isolation.level": "read_uncommitted"})
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), TIMEOUT_S)
            return int(low), int(high)
        finally:
            consumer.close()

    def committed(self, group: str, topic: str, partition: int = 0) -> int | None:
        """Give what a group has committed."""
        consumer = Consumer({**self._quiet, "group.id": group})
        try:
            offset = int(consumer.committed([TopicPartition(topic, partition)], TIMEOUT_S)[0].offset)
            return offset if offset >= 0 else None
        finally:
            consumer.close()

    def commit(self, group: str, topic: str, offset: int, partition: int = 0) -> None:
        """Commit an offset for a group."""
        consumer = Consumer({**self._quiet, "group.id": group})
        try:
            consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
        finally:
            consumer.close()

    def _wait_for(self, name: str, partitions: int) -> None:
        while True:
            with suppress(KafkaException):
                found = self.admin.list_topics(name, timeout=TIMEOUT_S).topics[name]
                leaders = [part.leader for part in found.partitions.values()]
                if len(leaders) == partitions and all(leader > 0 for leader in leaders):
                    return


def _send(producer: Producer, topic: str, records: Iterable[Any], partition: int, options: dict[str, Any]) -> None:
    for record in records:
        key, value = _bytes(record)
        while True:
            try:
                producer.produce(topic, value, key, partition=partition, **options)
                break
            except BufferError:
                producer.poll(0.1)


def _flush(producer: Producer) -> None:
    left = producer.flush(TIMEOUT_S)
    if left:
        raise RuntimeError(f"{left} records could not be written within {TIMEOUT_S:g} s.")


def _bytes(record: Any) -> Sent:
    key, value = record if isinstance(record, tuple) else (None, record)
    return (_encoded(key), _encoded(value))


def _encoded(text: Any) -> bytes | None:
    return text.encode() if isinstance(text, str) else text


def _ignored(_: object) -> None:
    pass

"""The stream method that writes to Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from millstream.stream.core import T_co
from millstream.stream.outputs import OutputMethods

if TYPE_CHECKING:
    from millstream.sinks.kafka.kafka_sink import Partitioner


class KafkaOutputMethods(OutputMethods[T_co]):
    """Output operations, that to Kafka among them."""

    __slots__ = ()

    def save_to_kafka(
        self,
        servers: str | Iterable[str],
        topic: str | Callable[[T_co], str],
        *,
        key: Literal["bytes", "utf8", "json"] | Callable[[T_co], bytes | str | None] | None = None,
        value: Literal["bytes", "utf8", "json"] | Callable[[T_co], bytes | str | None] | None = None,
        headers: Callable[[T_co], Any] | None = None,
        partitioner: Partitioner | Callable[[T_co], int] = "murmur2_random",
        exactly_once: bool | None = None,
        control_topic: str = "millstream",
        control_replicas: int | None = None,
        transaction_timeout: float = 10.0,
        write_timeout: float = 30.0,
        start_timeout: float = 30.0,
        options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Write every batch to Kafka: exactly once in programs with a checkpoint, otherwise at least once.

        Pairs (tuples of two) and Kafka's own records have a key and a value; any other record is a value without key.
        Bytes and text are written as they are, None as null; `key=` and `value=` make bytes of anything else. Records
        of one batch keep their order within a Kafka partition.

        Exactly once, a batch is one transaction: those who read with `isolation.level=read_committed` see all of it
        or nothing. It has a record in a control topic too, which is made for each output and must be kept: it says
        which batch is the newest.

        Args:
            servers: `host:port` of brokers, several with commas between or in a list.
            topic: the topic, or a function of the record that gives it. Topics must be there.
            key: what keys become: `bytes` as they are, `utf8` of text, `json`; or a function of the whole record that
                gives bytes, text or None. None: bytes or text.
            value: what values become, likewise.
            headers: a function of the record that gives pairs of name and value, or a mapping.
            partitioner: how a key chooses its Kafka partition, by librdkafka's names; `murmur2_random` agrees with
                Kafka's own clients. Or a function of the record that gives the number of the partition.
            exactly_once: one transaction a batch; None: in programs with a checkpoint. False: records are written as
                quickly as possible, and those of a batch that fails come twice.
            control_topic: what the names of control topics and transactional ids begin with.
            control_replicas: how many replicas the control topic must have; None: 3, or as many as there are brokers.
            transaction_timeout: after which brokers abort a transaction whose driver died, seconds; so long those who
                read committed records may have to wait.
            write_timeout: how long writing a batch may take, seconds; then it is tried again.
            start_timeout: how long the brokers may take to answer a question, seconds.
            options: of the client library (librdkafka), such as `compression.type` or `sasl.password`; what is secret
                is never shown, logged or stored, and stays on the driver.
            name: identity of the output: commits are kept by it.

        Raises:
            ConfigurationError: an argument cannot work. Whether topics are there is checked at the start.

        Example:
            >>> import millstream as ms
            >>> ssc = ms.StreamingContext(1.0)
            >>> counts = ssc.queue_stream([[("to", 2), ("be", 1)]])
            >>> counts.save_to_kafka("localhost:9092", "counts", value="json", exactly_once=False)
        """
        from millstream.sinks.kafka.kafka_sink import KafkaSink

        sink = KafkaSink(
            servers,
            topic,
            key=key,
            value=value,
            headers=headers,
            partitioner=partitioner,
            exactly_once=exactly_once,
            control_topic=control_topic,
            control_replicas=control_replicas,
            transaction_timeout=transaction_timeout,
            write_timeout=write_timeout,
            start_timeout=start_timeout,
            options=options,
        )
        self._write(sink, "save_to_kafka", name)

"""The sink that writes topics of Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from millstream.errors import ArgumentTypeError, ConfigurationError, LifecycleError, shown
from millstream.model.batch import Batch
from millstream.model.choices import above_zero
from millstream.model.kafka_client_options import ClientOptions
from millstream.model.partition import Partition
from millstream.model.ports.sink import Receipt, Sink, SinkLineage
from millstream.sinks.kafka.control_topic import ControlTopic
from millstream.sinks.kafka.message_columns import Encoder, MessageColumns
from millstream.sinks.kafka.plain_writer import PlainWriter
from millstream.sinks.kafka.transactional_writer import TransactionalWriter

Partitioner: TypeAlias = Literal[
    "murmur2_random", "murmur2", "consistent_random", "consistent", "fnv1a_random", "fnv1a", "random"
]
"""What chooses the Kafka partition of a record by its key; `murmur2_random` agrees with Kafka's own clients."""

_PARTITIONERS = get_args(Partitioner)


class KafkaSink(Sink[Any]):
    """Writes each batch to Kafka: exactly once in one transaction, or at least once.

    Tasks make columns of messages; they travel in receipts, and the driver writes them when the batch commits. Made by
    `save_to_kafka`, which describes the arguments.

    Example:
        >>> KafkaSink("localhost:9092", "counts", options={"sasl.password": "hunter2"})
        <KafkaSink counts at localhost:9092>
    """

    def __init__(
        self,
        servers: str | Iterable[str],
        topic: str | Callable[[Any], str],
        *,
        key: Encoder | None = None,
        value: Encoder | None = None,
        headers: Callable[[Any], Any] | None = None,
        partitioner: Partitioner | Callable[[Any], int] = "murmur2_random",
        exactly_once: bool | None = None,
        control_topic: str = "millstream",
        control_replicas: int | None = None,
        transaction_timeout: float = 10.0,
        write_timeout: float = 30.0,
        start_timeout: float = 30.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if not callable(partitioner) and partitioner not in _PARTITIONERS:
            raise ConfigurationError(
                "There is no such partitioner.",
                detail=f"partitioner={shown(partitioner)}.",
                hint=f"Give one of {', '.join(_PARTITIONERS)}, or a function of the record that gives a number.",
            )
        for name, seconds in (
            ("transaction_timeout", transaction_timeout),
            ("write_timeout", write_timeout),
            ("start_timeout", start_timeout),
        ):
            above_zero(name, seconds)
        if control_replicas is not None:
            above_zero("control_replicas", control_replicas)
        if not isinstance(control_topic, str) or not control_topic:
            raise ArgumentTypeError(
                "control_topic= is text.", detail=f"control_topic={shown(control_topic)}.", hint="Give a prefix."
            )
        self._options: ClientOptions | None = ClientOptions(servers, options)
        self._options.check_for_writing()
        self._columns = MessageColumns(topic, key, value, headers, partitioner if callable(partitioner) else None)
        self._topic = None if callable(topic) else topic
        self._partitioner = "murmur2_random" if callable(partitioner) else partitioner
        self._exactly_once = exactly_once
        self._control_prefix = control_topic
        self._control_replicas = control_replicas
        self._transaction_timeout_s = transaction_timeout
        self._write_timeout_s = write_timeout
        self._start_timeout_s = start_timeout
        self._plain: PlainWriter | None = None
        self._transactional: TransactionalWriter | None = None
        self._shown = f"{self._topic or 'several topics'} at {self._options.servers}"
        self.name = f"Kafka {self._shown}"

    def __repr__(self) -> str:
        return f"<KafkaSink {self._shown}>"

    def __getstate__(self) -> dict[str, Any]:
        # Executors make columns; connections, and the secrets that they need, stay with the driver.
        return {**self.__dict__, "_options": None, "_plain": None, "_transactional": None}

    @property
    def options(self) -> ClientOptions | None:
        """How the brokers are spoken to; None in the copies that executors have."""
        return self._options

    @property
    def uses_transactions(self) -> bool:
        """Whether it writes exactly once in a program with a checkpoint."""
        return self._exactly_once is not False

    def open(self, lineage: SinkLineage) -> int | None:
        has_checkpoint = lineage.epoch > 0
        if self._exactly_once and not has_checkpoint:
            raise ConfigurationError(
                "A program without a checkpoint cannot write to Kafka exactly once.",
                detail=f"Output {lineage.output}: exactly_once=True.",
                hint="Give the StreamingContext checkpoint=, or leave exactly_once= out: then it is at least once.",
            )
        if self._options is None:
            raise _not_open()
        if self._exactly_once is False or not has_checkpoint:
            self._plain = PlainWriter(
                self._options,
                self._topic,
                self._partitioner,
                write_timeout_s=self._write_timeout_s,
                start_timeout_s=self._start_timeout_s,
            )
            self._plain.open()
            return None
        self._transactional = TransactionalWriter(
            self._options,
            lineage,
            self._topic,
            self._partitioner,
            ControlTopic(self._control_prefix, lineage, self._options, self._control_replicas, self._start_timeout_s),
            transaction_prefix=self._control_prefix,
            transaction_timeout_s=self._transaction_timeout_s,
            write_timeout_s=self._write_timeout_s,
            start_timeout_s=self._start_timeout_s,
        )
        return self._transactional.open()

    def note(self) -> Any:
        return None if self._transactional is None else self._transactional.note()

    def stage(self, batch: Batch, partition: int, data: Partition[Any]) -> Receipt:
        return self._columns.table(data) if len(data) else None

    def commit(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        tables = [table for table in receipts if table is not None and table.num_rows]
        if not tables:
            return
        if self._transactional is not None:
            self._transactional.write(batch.time_ms, tables)
        elif self._plain is not None:
            self._plain.write(tables)
        else:
            raise _not_open()

    def discard(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        """Receipts hold all that was staged, so nothing is left to throw away."""

    def close(self) -> None:
        for writer in (self._plain, self._transactional):
            if writer is not None:
                writer.close()


def _not_open() -> LifecycleError:
    return LifecycleError(
        "The sink is not open.", detail="commit was called before open.", hint="The engine opens sinks at the start."
    )

"""The control topic of an output: which batch is the newest in Kafka, and which driver may write the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.errors import (
    ConfigurationError,
    IncompatibleCheckpointError,
    MillstreamError,
    SinkUnavailableError,
)
from millstream.sinks.kafka.write_errors import error_of_kind, write_error

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._core import KafkaClientError, KafkaProducer
    from millstream.model.kafka_client_options import ClientOptions
    from millstream.model.ports.sink import SinkLineage

FORMAT = 1
"""Of the records; a newer one is refused."""

REPLICAS = 3
"""Replicas of a control topic where the cluster has so many brokers."""

_FIRST, _END = -2, -1
"""Instead of times: the first offset of a partition, and the one after its last record."""

_CONFIG = {
    "cleanup.policy": "compact",
    # Old records are only cleaned out of segments that are full: the smallest that brokers allow.
    "segment.bytes": str(1 << 20),
    "min.cleanable.dirty.ratio": "0.1",
}


@dataclass(frozen=True, slots=True)
class Commit:
    """What a record of the control topic says.

    Attributes:
        time_ms: the newest committed batch, or None.
        epoch: of the driver that wrote it.
    """

    time_ms: int | None
    epoch: int


class ControlTopic:
    """A topic with one partition and one key, of one output operation of one history of a program.

    Each transaction has one record for it, so that it says what the transactions came to.

    Args:
        prefix: what the names of control topics begin with.
        lineage: whose it is.
        options: how the brokers are spoken to.
        replicas: how many it must have; None: 3, or as many as there are brokers.
        timeout_s: how long brokers may take to answer, seconds.
    """

    def __init__(
        self, prefix: str, lineage: SinkLineage, options: ClientOptions, replicas: int | None, timeout_s: float
    ) -> None:
        self.name = f"{prefix}-{lineage.key}"
        self._lineage = lineage
        self._options = options
        self._replicas = replicas
        self._timeout_s = timeout_s

    def make(self, producer: KafkaProducer) -> None:
        """Make the topic where it is missing, and check that it keeps what it gets.

        Raises:
            IncompatibleCheckpointError: it is missing, and the journal knows that it was there.
            ConfigurationError: it cannot be made, or could lose records.
            SinkUnavailableError: the brokers did not answer.
        """
        from millstream._core import KafkaClientError

        try:
            made: int | None = None
            _, _, partitions, kind, text = producer.describe([self.name], self._timeout_s)[0]
            if kind == "unknown_topic":
                made = self._make_anew(producer)
                partitions = 1
            elif kind == "authorization":
                what = f"The control topic {self.name} could not be used."
                raise error_of_kind(kind, what, f"{text} Brokers: {self._options.servers}.")
            elif kind is not None:
                raise self._unavailable(f"The control topic cannot be used now: {text}")
            # This waits until the brokers know a topic that was just made, too.
            brokers, replicas = producer.replicas(self.name, self._timeout_s)
            config = producer.topic_config(self.name, self._timeout_s)
        except KafkaClientError as error:
            raise self._failed(error) from error
        # Of one that was just made: a broker that came up since was not counted then.
        wanted = self._wanted(brokers) if made is None else made
        policy = config.get("cleanup.policy")
        if partitions != 1 or policy != "compact" or replicas < wanted:
            raise ConfigurationError(
                f"The control topic {self.name} could lose what it says.",
                detail=f"It has {partitions} partitions, cleanup.policy={policy} and {replicas} replicas; 1, compact "
                f"and at least {wanted} are needed.",
                hint="Configure the topic so; where fewer replicas are meant, give control_replicas=.",
            )

    def newest(self, producer: KafkaProducer, timeout_s: float) -> Commit | None:
        """Read which batch is the newest, once all transactions before this moment have ended; None: nothing is there.

        The producer should have ended earlier transactions of this output (`init_transactions`), or there may be one
        that is open for longer.

        Raises:
            IncompatibleCheckpointError: nothing is there, and the journal knows that there was.
            SinkUnavailableError: the end was not reached in time; what is committed is not known.
        """
        from millstream._core import KafkaClientError, KafkaReader

        try:
            # The producer sees the true ends, those behind open transactions too.
            end = producer.offsets([(self.name, 0, _END)], timeout_s)[0]
            first = producer.offsets([(self.name, 0, _FIRST)], timeout_s)[0]
            table = None
            if first < end:
                import pyarrow as pa

                reader = KafkaReader(self._options.for_reading("read_committed"))
                table = pa.table(reader.read(self.name, 0, first, end, timeout_s))
        except KafkaClientError as error:
            raise self._failed(error) from error
        if table is None or table.num_rows == 0:
            if self._lineage.note is not None:
                raise self._lost("holds nothing")
            return None
        return self._commit_of(table.slice(table.num_rows - 1, 1).to_pylist()[0])

    def message(self, time_ms: int | None) -> pa.Table:
        """Make the record that says which batch is the newest."""
        import msgspec
        import pyarrow as pa

        lineage = self._lineage
        said = {
            "format": FORMAT,
            "lineage": lineage.lineage_id,
            "output": lineage.output,
            "epoch": lineage.epoch,
            "batch_time_ms": time_ms,
        }
        kind = pa.large_binary()
        return pa.table(
            {"key": pa.array([lineage.key.encode()], kind), "value": pa.array([msgspec.json.encode(said)], kind)}
        )

    def _commit_of(self, record: dict[str, Any]) -> Commit:
        import msgspec

        try:
            said = msgspec.json.decode(record["value"] or b"")
            if said["format"] > FORMAT:
                raise ValueError(f"it is of format {said['format']}")
            return Commit(said["batch_time_ms"], said["epoch"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise IncompatibleCheckpointError(
                f"A record of the control topic {self.name} cannot be read.",
                detail=f"Offset {record['offset']}: {error}.",
                hint="Nobody else may write to this topic. Where a newer version of millstream wrote it, use that one.",
            ) from error

    def _make_anew(self, producer: KafkaProducer) -> int:
        """Make the topic; give how many replicas it has."""
        if self._lineage.note is not None:
            raise self._lost("is gone")
        wanted = self._wanted(producer.brokers(self._timeout_s))
        producer.make_topic(self.name, wanted, _CONFIG, self._timeout_s)
        return wanted

    def _wanted(self, brokers: int) -> int:
        return min(REPLICAS, brokers) if self._replicas is None else self._replicas

    def _lost(self, what: str) -> IncompatibleCheckpointError:
        note = self._lineage.note
        known = note.get("servers") if isinstance(note, Mapping) else None
        was = f", and it was written at {known}" if known not in (None, self._options.servers) else ""
        return IncompatibleCheckpointError(
            f"The control topic {self.name} {what}, and the checkpoint knows that it said which batch is the newest.",
            detail=f"Output {self._lineage.output}. Brokers: {self._options.servers}{was}. Which batches are in Kafka "
            "cannot be told any more.",
            hint="Restore the topic, or give the servers= that have it. To begin anew, with batches that may be "
            "written twice, give the output another name=.",
        )

    def _unavailable(self, what: str) -> SinkUnavailableError:
        return SinkUnavailableError(
            what,
            detail=f"Topic {self.name}. Brokers: {self._options.servers}.",
            hint="Look at the brokers; the step is tried again.",
        )

    def _failed(self, error: KafkaClientError) -> MillstreamError:
        return write_error(error, f"The control topic {self.name} could not be used.", self._options)

"""Ranges of offsets that a batch program names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from millstream.errors import ConfigurationError, shown
from millstream.model.kafka_client_options import ClientOptions
from millstream.model.partition import Columns, Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.sources.kafka.kafka_columns import kafka_rows
from millstream.sources.kafka.range_reads import RangeReads


class KafkaRanges(ReplayableSource[Any]):
    """Reads ranges of offsets, all of them known at the start.

    Args:
        servers: `host:port` of brokers.
        ranges: topic, number of the Kafka partition, first offset, and the offset before which the range ends.
        isolation: `read_committed` or `read_uncommitted`.
        read_timeout: how long a range may take, seconds.
        options: of the client library.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(
        self,
        servers: str | Iterable[str],
        ranges: Iterable[tuple[str, int, int, int]],
        *,
        isolation: Literal["read_committed", "read_uncommitted"] = "read_committed",
        read_timeout: float = 60.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        client = ClientOptions(servers, options)
        self.name = "Kafka ranges"
        self._splits = [_split(part, isolation) for part in ranges]
        # Why by the servers: programs that ask again and again need not connect again and again.
        name = f"ranges {hash(tuple(sorted(client.for_reading(isolation).items())))}"
        self._reads = RangeReads(name, client, read_timeout, "fail")

    def splits(self) -> list[Split]:
        """Give all splits."""
        return self._splits

    def open(self, position: Any) -> None:
        """There is nothing to get ready."""

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Put everything into the first batch."""
        return Plan([] if after else self._splits, position=True)

    def read(self, split: Split) -> Partition[Any]:
        """Read one range.

        Raises:
            DataError: records of it are gone.
            SourceUnavailableError: the brokers did not answer in time.
        """
        return Partition(Columns(self._reads.table(split), scalar=False, make=kafka_rows))


def _split(part: Any, isolation: str) -> Split:
    match part:
        case (str(topic), int(number), int(start), int(until)) if 0 <= start <= until and number >= 0:
            data = {"topic": topic, "partition": number, "from": start, "until": until, "isolation": isolation}
            return Split(data, None, f"{topic}[{number}] {start}..{until}")
    raise ConfigurationError(
        "A range of Kafka's offsets cannot be read.",
        detail=f"{shown(part)}.",
        hint='Give (topic, partition, first offset, offset after the last), such as ("lines", 0, 0, 100).',
    )

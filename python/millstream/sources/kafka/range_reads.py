"""Reading ranges of offsets, on an executor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millstream.errors import DataError, SourceUnavailableError
from millstream.model.accumulator import Accumulator
from millstream.model.kafka_client_options import ClientOptions
from millstream.model.ports.replayable_source import Split
from millstream.sources.kafka.kafka_errors import as_error
from millstream.sources.kafka.planner import OnOffsetOutOfRange
from millstream.sources.kafka.readers import note_topic, reader_of

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._core import KafkaClientError, KafkaColumns, KafkaReader

Loss = tuple[str, int]
"""What was lost in reading: a sentence, and how many offsets."""


class RangeReads:
    """Reads splits of a Kafka source; goes to executors with it.

    Args:
        name: names the source, the same in every process.
        options: how the brokers are spoken to.
        timeout_s: how long a range may take without an answer, seconds.
        on_offset_out_of_range: what happens when records of a range are gone.

    Attributes:
        losses: what was lost, on the driver.
    """

    def __init__(
        self, name: str, options: ClientOptions, timeout_s: float, on_offset_out_of_range: OnOffsetOutOfRange
    ) -> None:
        self.name = name
        self.options = options
        self.timeout_s = timeout_s
        self.on_offset_out_of_range = on_offset_out_of_range
        self.losses: Accumulator[tuple[Loss, ...]] = Accumulator(())

    def table(self, split: Split) -> pa.Table:
        """Read a split as Arrow columns.

        Raises:
            DataError: records of it are gone.
            SourceUnavailableError: the brokers did not answer in time.
        """
        import pyarrow as pa

        from millstream._core import KafkaClientError

        data: Mapping[str, Any] = split.data
        try:
            # Why by name and isolation: a split that was journalled is read as it was planned.
            name = f"{self.name} {data['isolation']}"
            note_topic(name, data["topic"], data.get("id", ""))
            reader = reader_of(name, self.options.for_reading(data["isolation"]))
            try:
                columns = self._read(reader, data, data["from"])
            except KafkaClientError as error:
                if error.kind != "out_of_range":
                    raise
                columns = self._read(reader, data, self._first_there(reader, split, error))
        except KafkaClientError as error:
            raise as_error(error, f"{split.description} could not be read from Kafka.", self.options) from error
        # Why not pa.table: it imports pandas where that is installed, which takes as long as many batches.
        return pa.RecordBatchReader.from_stream(columns).read_all()

    def _read(self, reader: KafkaReader, data: Mapping[str, Any], start: int) -> KafkaColumns:
        return reader.read(data["topic"], data["partition"], start, data["until"], self.timeout_s)

    def _first_there(self, reader: KafkaReader, split: Split, error: KafkaClientError) -> int:
        """Say where what is left of a split begins.

        Raises:
            DataError: the policy is to fail.
        """
        data = split.data
        low = reader.first_offset(data["topic"], data["partition"], self.timeout_s)
        start: int = data["from"]
        until: int = data["until"]
        if start >= low:
            raise SourceUnavailableError(
                f"{split.description} could not be read from Kafka.",
                detail=f"{error}; the partition begins at {low}.",
                hint="The leader of the partition may have changed, or the topic was made anew; it is tried again.",
            ) from error
        there = min(low, until)
        said = f"{split.description}: the records before offset {there} were gone before they were read."
        if self.on_offset_out_of_range == "fail":
            raise DataError(
                said,
                detail=f"The partition begins at {low}.",
                hint="Keep records longer (retention.ms, retention.bytes) than the stream may be behind; or give "
                'on_offset_out_of_range="earliest" or "latest" to go on without them.',
            ) from error
        self.losses.add(((said, there - start),))
        return there

"""Messages written at least once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.errors import SinkUnavailableError
from millstream.model.kafka_client_options import ClientOptions
from millstream.sinks.kafka.connection_log import ConnectionLog
from millstream.sinks.kafka.topics import Topics, wait_for_brokers
from millstream.sinks.kafka.write_errors import message_error, write_error

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._core import KafkaProducer


class PlainWriter:
    """Writes messages with one producer, and waits until the brokers have all of a batch.

    What fails is written again as a whole: at least once.

    Args:
        options: how the brokers are spoken to.
        topic: of the messages that do not name theirs, or None where all do.
        partitioner: the client library's name of what chooses partitions.
        write_timeout_s: how long a batch may take, seconds.
        start_timeout_s: how long brokers may take to answer a question, seconds.
    """

    def __init__(
        self,
        options: ClientOptions,
        topic: str | None,
        partitioner: str,
        *,
        write_timeout_s: float,
        start_timeout_s: float,
    ) -> None:
        self._options = options
        self._topic = topic
        self._partitioner = partitioner
        self._write_timeout_s = write_timeout_s
        self._start_timeout_s = start_timeout_s
        self._topics = Topics(options, start_timeout_s)
        self._log = ConnectionLog(options)
        self._producer: KafkaProducer | None = None

    def open(self) -> None:
        """Connect, and look for the topic."""
        producer = self._connected()
        wait_for_brokers(producer, self._options, self._start_timeout_s)
        if self._topic is not None:
            self._topics.check(producer, [self._topic])

    def write(self, tables: Sequence[pa.Table]) -> None:
        """Write messages, and wait until the brokers have them.

        Raises:
            DataError: the brokers refuse a message.
            SinkUnavailableError: they did not answer; what they have of the messages stays there.
        """
        from millstream._core import KafkaClientError

        producer = self._connected()
        self._topics.check_of(producer, tables)
        producer.begin()
        wrote = False
        try:
            for table in tables:
                producer.send(self._topic or "", table, self._write_timeout_s)
            # The client gives records up after the same time; a second more, so that it says why.
            _, unanswered, failure = producer.flush(self._write_timeout_s + 1.0)
            wrote = failure is None and not unanswered
        except KafkaClientError as error:
            self._producer = None
            raise write_error(error, "Kafka could not be written.", self._options) from error
        finally:
            self._log.tell(producer, wrote=wrote)
        if failure is not None:
            if failure[0] == "other":
                self._producer = None
            raise message_error(failure, tables, self._options)
        if unanswered:
            self._producer = None
            raise SinkUnavailableError(
                f"Kafka did not answer for {unanswered} records within {self._write_timeout_s:g} s.",
                detail=f"Brokers: {self._options.servers}. {producer.trouble or ''}",
                hint="Look at the brokers and the way to them; the batch is written again.",
            )

    def close(self) -> None:
        """Let go of the producer."""
        self._producer = None

    def _connected(self) -> KafkaProducer:
        if self._producer is None:
            from millstream._core import KafkaClientError, KafkaProducer

            try:
                self._producer = KafkaProducer(self._options.for_writing(self._partitioner, self._write_timeout_s))
            except KafkaClientError as error:
                raise write_error(error, "Kafka could not be written.", self._options) from error
        return self._producer

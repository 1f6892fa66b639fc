"""A topic for records that cannot be decoded."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millstream.errors import ConfigurationError, DataError, MillstreamError, SinkUnavailableError
from millstream.model.kafka_client_options import ClientOptions

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._core import KafkaProducer, KafkaWatch

WRITE_TIMEOUT_S = 30.0
REASON_MAX = 1_000
"""Characters of an error that go into a header."""

_PARTITIONER = "consistent_random"


class DeadLetterTopic:
    """Writes records that cannot be decoded to a topic, as they were, and says in headers where they come from.

    Goes to executors with the source; each process has one producer. A batch that is run again writes its records
    again: at least once; the offset in the headers tells.

    Args:
        options: how the brokers are spoken to.
        topic: where to.
    """

    def __init__(self, options: ClientOptions, topic: str) -> None:
        self.topic = topic
        self._options = options
        self._producer: KafkaProducer | None = None
        self._lock = threading.Lock()

    @classmethod
    def named(cls, options: ClientOptions, on_undecodable: str, topic: str | None) -> DeadLetterTopic | None:
        """Make the topic of a stream that is to have one.

        Args:
            options: how the brokers are spoken to.
            on_undecodable: `dead_letter` where there is to be one.
            topic: its name, or None.

        Raises:
            ConfigurationError: there is one of both alone.
        """
        if (on_undecodable == "dead_letter") is (topic is not None):
            return None if topic is None else cls(options, topic)
        raise ConfigurationError(
            "Records that cannot be decoded go to a topic that is named.",
            detail=f"on_undecodable={on_undecodable!r} and dead_letters={topic!r}.",
            hint='Give both on_undecodable="dead_letter" and dead_letters="name of a topic", or neither.',
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_producer": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def check(self, watch: KafkaWatch, timeout_s: float) -> None:
        """Look whether the topic is there.

        Raises:
            ConfigurationError: it is not, or may not be seen.
            KafkaClientError: the brokers did not answer.
        """
        [(_, _, _, kind, text)] = watch.find([self.topic], timeout_s)
        if kind is not None:
            raise ConfigurationError(
                f"Records that cannot be decoded cannot go to the topic {self.topic}.",
                detail=f"{text}.",
                hint="Make the topic first, and give the user the rights DESCRIBE and WRITE on it.",
            )

    def write(self, records: pa.Table, reasons: Mapping[int, str]) -> None:
        """Write records, and wait until the brokers have them.

        Args:
            records: columns as they were read.
            reasons: what is wrong, by row; these rows are written.

        Raises:
            SinkUnavailableError: the brokers did not answer.
            DataError: they refuse a record.
            ConfigurationError: they refuse the user, or the topic is gone.
        """
        from millstream._core import KafkaClientError

        with self._lock:
            try:
                producer = self._connected()
                producer.begin()
                producer.send(self.topic, _messages(records, reasons), WRITE_TIMEOUT_S)
                _, unanswered, failure = producer.flush(WRITE_TIMEOUT_S + 1.0)
            except KafkaClientError as error:
                self._producer = None
                raise self._error(error.kind, str(error)) from error
            if failure is not None or unanswered:
                self._producer = None
                kind, text = ("unavailable", "no answer in time") if failure is None else failure[:2]
                raise self._error(kind, text)

    def _connected(self) -> KafkaProducer:
        if self._producer is None:
            from millstream._core import KafkaProducer

            self._producer = KafkaProducer(self._options.for_writing(_PARTITIONER, WRITE_TIMEOUT_S))
        return self._producer

    def _error(self, kind: str, text: str) -> MillstreamError:
        what = f"Records that cannot be decoded could not be written to the topic {self.topic}."
        detail = f"{text}. Brokers: {self._options.servers}."
        match kind:
            case "invalid" | "authentication" | "authorization" | "unknown_topic":
                hint = "Check that the topic is there and that the user has the rights DESCRIBE and WRITE on it."
                return ConfigurationError(what, detail=detail, hint=hint)
            case "unavailable" | "fatal":
                hint = "Look at the brokers and the way to them; the batch is run again."
                return SinkUnavailableError(what, detail=detail, hint=hint)
            case _:
                hint = "Allow records as large in that topic as in the one that is read (max.message.bytes)."
                return DataError(what, detail=detail, hint=hint)


def _messages(records: pa.Table, reasons: Mapping[int, str]) -> pa.Table:
    import pyarrow as pa

    bad = records.take(pa.array(list(reasons), pa.int64()))
    rows = bad.select(["topic", "partition", "offset", "timestamp_ms", "headers"]).to_pylist()
    headers = [_headers(row, reason) for row, reason in zip(rows, reasons.values(), strict=True)]
    pair = pa.struct([pa.field("key", pa.string(), False), pa.field("value", pa.large_binary())])
    return pa.table(
        {
            "key": bad.column("key"),
            "value": bad.column("value"),
            "headers": pa.array(headers, pa.list_(pair)),
        }
    )


def _headers(row: Mapping[str, Any], reason: str) -> list[dict[str, Any]]:
    said = {
        "millstream.topic": row["topic"],
        "millstream.partition": row["partition"],
        "millstream.offset": row["offset"],
        "millstream.timestamp_ms": "" if row["timestamp_ms"] is None else row["timestamp_ms"],
        "millstream.error": reason[:REASON_MAX],
    }
    own = [{"key": name, "value": str(value).encode()} for name, value in said.items()]
    return [*({"key": pair["key"], "value": pair["value"]} for pair in row["headers"]), *own]

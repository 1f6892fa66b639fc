"""What Kafka refuses to write, as errors that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from millstream.errors import ConfigurationError, DataError, MillstreamError, SinkUnavailableError, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._core import KafkaClientError
    from millstream.model.kafka_client_options import ClientOptions

Failure: TypeAlias = tuple[str, str, str, int, int]
"""Kind, text, topic, Kafka partition and row of a message that the brokers did not take."""


def write_error(error: KafkaClientError, what: str, options: ClientOptions) -> MillstreamError:
    """Turn what the client says into an error of ours.

    Args:
        error: what it said.
        what: what was tried, such as `Kafka could not be written.`.
        options: the client's.
    """
    return error_of_kind(error.kind, what, f"{error} Brokers: {options.servers}.")


def message_error(failure: Failure, tables: Sequence[pa.Table], options: ClientOptions) -> MillstreamError:
    """Turn what became of a message into an error that names it.

    Args:
        failure: what became of it.
        tables: the messages that were written, in this order.
        options: of the client.
    """
    kind, text, topic, partition, row = failure
    where = f"topic {topic}" if partition < 0 else f"topic {topic}, partition {partition}"
    message = _message(tables, row)
    record = "" if message is None else f" The record: key {shown(message['key'])}, value {shown(message['value'])}."
    if kind == "record":
        size = "" if message is None else f" Its value has {len(message['value'] or b'')} bytes."
        return DataError(
            f"Kafka does not take a record: {text}",
            detail=f"{where}.{size}{record}",
            hint="Where it is too large: raise max.message.bytes of the topic, and message.max.bytes in options=; or "
            "filter or cut such records. Where the topic takes records of this size: records that travel together "
            "count as one, so give batch.size in options=, no more than the topic's max.message.bytes.",
        )
    return error_of_kind(kind, "Kafka could not be written.", f"{text}; {where}. Brokers: {options.servers}.{record}")


def error_of_kind(kind: str, what: str, detail: str) -> MillstreamError:
    """Give the error for a kind of trouble.

    Args:
        kind: of `KafkaClientError`.
        what: what was tried.
        detail: what the client said.
    """
    match kind:
        case "invalid":
            return ConfigurationError(
                "The Kafka client cannot work with these options.",
                detail=detail,
                hint="The options are those of librdkafka, by their names there; transaction_timeout= is at most "
                "transaction.max.timeout.ms of the brokers.",
            )
        case "authentication":
            return ConfigurationError(
                f"{what} The brokers refused the credentials.",
                detail=detail,
                hint="Check sasl.mechanism, sasl.username and sasl.password (or the certificates) in options=.",
            )
        case "authorization":
            return ConfigurationError(
                f"{what} The user may not.",
                detail=detail,
                hint="Give the user the rights DESCRIBE and WRITE on the topic; for exactly_once also WRITE and "
                "DESCRIBE on transactional ids, and CREATE, READ, WRITE and DESCRIBE_CONFIGS on topics, that begin "
                "with the prefix of control_topic=.",
            )
        case "unknown_topic":
            return DataError(
                f"{what} There is no such topic or partition.",
                detail=detail,
                hint="Make the topic before records come for it; a partitioner= gives numbers from 0 to below the "
                "number of partitions.",
            )
        case _:
            return SinkUnavailableError(
                what,
                detail=detail,
                hint="Check that the brokers run and that this machine reaches them, also by the addresses that they "
                "advertise. The batch is tried again.",
            )


def _message(tables: Sequence[pa.Table], row: int) -> dict[str, Any] | None:
    for table in tables:
        if row < table.num_rows:
            found: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
            return found
        row -= table.num_rows
    return None

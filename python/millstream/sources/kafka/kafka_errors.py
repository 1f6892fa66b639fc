"""What Kafka refuses, as errors that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.errors import ConfigurationError, MillstreamError, SourceUnavailableError

if TYPE_CHECKING:
    from millstream._core import KafkaClientError
    from millstream.model.kafka_client_options import ClientOptions


def as_error(error: KafkaClientError, what: str, options: ClientOptions) -> MillstreamError:
    """Turn what the client says into an error of ours.

    Args:
        error: what it said.
        what: what was tried, such as `Kafka could not be asked for its topics.`.
        options: the client's.
    """
    where = f"{error} Brokers: {options.servers}."
    match error.kind:
        case "invalid":
            return ConfigurationError(
                "The Kafka client cannot work with these options.",
                detail=f"{error}.",
                hint="The options are those of librdkafka, by their names there.",
            )
        case "authentication":
            return ConfigurationError(
                f"{what} The brokers refused the credentials.",
                detail=where,
                hint="Check sasl.mechanism, sasl.username and sasl.password (or the certificates) in options=.",
            )
        case "authorization":
            return ConfigurationError(
                f"{what} The user may not.",
                detail=where,
                hint="Give the user the rights DESCRIBE and READ on the topics, and READ on the group of group_id=.",
            )
        case "unknown_topic":
            return SourceUnavailableError(
                f"{what} There is no such topic or partition.",
                detail=where,
                hint="Check the topic's name; one that was just made, or whose leader moves, is found after a moment.",
            )
        case _:
            return SourceUnavailableError(
                what,
                detail=where,
                hint="Check that the brokers run and that this machine reaches them, also by the addresses that they "
                "advertise; with TLS or SASL, that security.protocol in options= fits the port.",
            )

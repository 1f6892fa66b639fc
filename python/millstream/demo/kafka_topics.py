"""The topics of the demonstration on Kafka, and what it reads and writes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.model.current import batch_time
from millstream.model.kafka_client_options import ClientOptions
from millstream.sinks.kafka.topics import wait_for_brokers
from millstream.sinks.kafka.write_errors import write_error

if TYPE_CHECKING:
    from millstream.context.streaming_context import StreamingContext
    from millstream.stream.dstream import DStream

LINES_TOPIC = "millstream-demo-lines"
COUNTS_TOPIC = "millstream-demo-counts"

TIMEOUT_S = 10.0
"""How long the brokers may take to answer."""


def make_topics(servers: str) -> None:
    """Make the topics that are not there yet, of one partition and one replica each.

    Args:
        servers: the brokers, `host:port`.

    Raises:
        ConfigurationError: the brokers refuse the client, or to make a topic.
        SinkUnavailableError: none answered.
    """
    from millstream._core import KafkaClientError, KafkaProducer

    options = ClientOptions(servers)
    producer = KafkaProducer(options.for_writing("consistent_random", TIMEOUT_S))
    wait_for_brokers(producer, options, TIMEOUT_S)
    try:
        for topic in (LINES_TOPIC, COUNTS_TOPIC):
            producer.make_topic(topic, 1, {}, TIMEOUT_S)
    except KafkaClientError as error:
        raise write_error(error, "The topics of the demonstration could not be made.", options) from error


def lines_from_kafka(ssc: StreamingContext, servers: str) -> DStream[str]:
    """Give the lines that are written to the topic from now on."""
    records = ssc.kafka_stream(servers, topics=[LINES_TOPIC], start="latest", value_decoder="utf8", name="lines")
    return records.map(lambda record: record.value)


def counts_to_kafka(counts: DStream[tuple[str, int]], servers: str) -> None:
    """Have the counts of each window written: the word is the key; the window's end and the count are JSON."""
    counts.map(lambda pair: (pair[0], {"window_end": batch_time().isoformat(), "count": pair[1]})).save_to_kafka(
        servers, COUNTS_TOPIC, value="json", name="counts-topic"
    )

"""Whether the topics that records are written to are there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from millstream.errors import ConfigurationError, SinkUnavailableError
from millstream.sinks.kafka.write_errors import write_error

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._core import KafkaProducer
    from millstream.model.kafka_client_options import ClientOptions


def wait_for_brokers(producer: KafkaProducer, options: ClientOptions, timeout_s: float) -> None:
    """Wait until a broker answers: one that was just started, or is about to be.

    Args:
        producer: whose connections are waited for.
        options: of the client.
        timeout_s: for how long, seconds.

    Raises:
        ConfigurationError: the brokers refuse the credentials; that is not waited for.
        SinkUnavailableError: none answered.
    """
    from millstream._core import KafkaClientError

    slices = math.ceil(timeout_s)
    for left in reversed(range(slices)):
        try:
            producer.brokers(timeout_s / slices)
            return
        except KafkaClientError as error:
            if error.kind != "unavailable" or not left:
                what = f"No broker of Kafka answered within {timeout_s:g} s."
                raise write_error(error, what, options) from error


class Topics:
    """Remembers which topics were seen; those that are new are asked for before anything is written to them.

    Why: a client waits half a minute for a topic that is not there, and some brokers make it.

    Args:
        options: of the client.
        timeout_s: how long brokers may take to answer, seconds.
    """

    def __init__(self, options: ClientOptions, timeout_s: float) -> None:
        self._options = options
        self._timeout_s = timeout_s
        self._seen: set[str] = set()

    def check(self, producer: KafkaProducer, names: Iterable[str]) -> None:
        """Look for topics that were not seen yet.

        Raises:
            ConfigurationError: there is no such topic, or it may not be used.
            SinkUnavailableError: the brokers did not answer.
        """
        new = [name for name in dict.fromkeys(names) if name not in self._seen]
        if not new:
            return
        from millstream._core import KafkaClientError

        try:
            found = producer.find(new, self._timeout_s)
        except KafkaClientError as error:
            raise write_error(error, "Kafka could not be asked for its topics.", self._options) from error
        for name, _, _, kind, text in found:
            if kind == "unknown_topic":
                raise self._unknown(producer, name)
            if kind == "authorization":
                raise ConfigurationError(
                    f"The topic {name} may not be used.",
                    detail=f"{text}. Brokers: {self._options.servers}.",
                    hint="Give the user the rights DESCRIBE and WRITE on the topic.",
                )
            if kind is not None:
                raise SinkUnavailableError(
                    f"The topic {name} cannot be written now.", detail=str(text), hint="The batch is tried again."
                )
            self._seen.add(name)

    def check_of(self, producer: KafkaProducer, tables: Sequence[pa.Table]) -> None:
        """Look for the topics that messages name."""
        for table in tables:
            if "topic" in table.column_names:
                for chunk in table.column("topic").chunks:
                    self.check(producer, chunk.dictionary.to_pylist())

    def _unknown(self, producer: KafkaProducer, name: str) -> ConfigurationError:
        from millstream._core import KafkaClientError

        try:
            names = [known for known in producer.list_names(self._timeout_s) if not known.startswith("__")]
        except KafkaClientError:
            names = []
        alike = get_close_matches(name, names, 5)
        known = ", ".join([*alike, *sorted(set(names) - set(alike))][:20]) or "none"
        return ConfigurationError(
            f"There is no topic {name}.",
            detail=f"The topics of {self._options.servers} are: {known}{', ...' if len(names) > 20 else ''}.",
            hint="Check the name, or make the topic before the stream starts.",
        )

"""What is said of the connections to the brokers, one line a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.environment.logger import logger

if TYPE_CHECKING:
    from millstream._core import KafkaProducer
    from millstream.model.kafka_client_options import ClientOptions


class ConnectionLog:
    """Logs what happens to the connections of a writer: an outage is one warning, however many producers see it.

    A producer tells each trouble once, but a writer makes new ones while the brokers do not answer. So the writer has
    one of these for its whole life.

    Args:
        options: of its producers.
    """

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._in_trouble = False

    def tell(self, producer: KafkaProducer, *, wrote: bool) -> None:
        """Log what is new.

        Args:
            producer: that was used.
            wrote: whether the brokers have taken what was to be written.
        """
        for kind, text in producer.events():
            if kind == "failed" and not self._in_trouble:
                self._in_trouble = True
                logger.warning("Kafka at %s gives an error: %s", self._options.servers, text)
        # Why not by an event: a new producer cannot tell the end of what it never saw. And where one of several brokers
        # is still away, the trouble goes on though the others take records.
        if self._in_trouble and wrote and producer.trouble is None:
            self._in_trouble = False
            logger.info("Kafka at %s answers again.", self._options.servers)

"""The word count over Kafka that is killed: run as `python -m tests.kill.kafka.program SETTINGS_AS_JSON`.

It is the program of `examples/kafka_word_count.py`, with shorter windows. It tells each point that it passes in a line
on standard output.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from examples.kafka_word_count import count_words

from millstream.sinks.kafka.control_topic import ControlTopic
from millstream.sinks.kafka.transactional_writer import TransactionalWriter
from tests.kill.life_settings import LifeSettings, tell

INTERVAL_S = 0.1
WINDOW_S, SLIDE_S = 3.0, 0.2

QUEUED_MAX = 10_000
"""More batch times than any run has: every due window gets a batch, however long the program or the broker was down."""


@dataclass(frozen=True, kw_only=True)
class Settings(LifeSettings):
    """What one life of the program is started with."""

    servers: str
    source: str
    target: str


def main(settings: Settings) -> None:
    points = settings.crash_points()
    points.around(TransactionalWriter, "open", lambda *args: "open sink")
    points.around(TransactionalWriter, "_take_over", lambda *args: "take the topic over")
    points.around(TransactionalWriter, "_commit", lambda *args: "commit transaction")
    points.around(ControlTopic, "make", lambda *args: "make control topic")
    ssc = settings.streaming_context(INTERVAL_S, retry_pause=0.05, max_queued_batches=QUEUED_MAX)
    count_words(ssc, settings.servers, settings.source, settings.target, window=WINDOW_S, slide=SLIDE_S)
    ssc.run()
    tell("ended")


if __name__ == "__main__":
    main(Settings(**json.loads(sys.argv[1])))

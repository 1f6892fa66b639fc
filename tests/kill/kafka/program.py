"""The word count over Kafka that is killed: run as `python -m tests.kill.kafka.program SETTINGS_AS_JSON`.

It is the program of `examples/kafka_word_count.py`, with shorter windows. It tells each point that it passes in a line
on standard output.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from examples.kafka_word_count import count_words

import millstream as ms
from millstream.sinks.kafka.control_topic import ControlTopic
from millstream.sinks.kafka.transactional_writer import TransactionalWriter
from tests.kill.archive import keep_released
from tests.kill.crash_points import CrashPoints
from tests.kill.program import CHECKPOINT_INTERVAL_S, _tell, shorten_segments

INTERVAL_S = 0.1
WINDOW_S, SLIDE_S = 3.0, 0.2


@dataclass(frozen=True)
class Settings:
    """What one life of the program is started with."""

    folder: str
    servers: str
    source: str
    target: str
    backend: str = "threads"
    crash: str | None = None
    count: int = 1

    def encoded(self) -> str:
        return json.dumps(asdict(self))


def main(settings: Settings) -> None:
    folder = Path(settings.folder)
    shorten_segments()
    keep_released(folder / "archive")
    points = CrashPoints(_tell, settings.crash, settings.count)
    points.install()
    points.around(TransactionalWriter, "open", lambda *args: "open sink")
    points.around(TransactionalWriter, "_take_over", lambda *args: "take the topic over")
    points.around(TransactionalWriter, "_commit", lambda *args: "commit transaction")
    points.around(ControlTopic, "make", lambda *args: "make control topic")
    ssc = ms.StreamingContext(
        INTERVAL_S,
        name="killed",
        backend=settings.backend,
        workers=2 if settings.backend == "processes" else None,
        partitions=2,
        checkpoint=folder / "checkpoint",
        checkpoint_interval=CHECKPOINT_INTERVAL_S,
        retry_pause=0.05,
    )
    count_words(ssc, settings.servers, settings.source, settings.target, window=WINDOW_S, slide=SLIDE_S)
    ssc.run()
    _tell("ended")


if __name__ == "__main__":
    main(Settings(**json.loads(sys.argv[1])))

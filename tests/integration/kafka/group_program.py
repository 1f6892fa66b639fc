"""A program in a group, for tests that kill it: each batch is a file, named by its time."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import millstream as ms


def write_to(out: Path) -> Callable[[Any, ms.Batch], None]:
    """Make the function of an output: it writes the records of a batch into a file with the name of its time."""

    def write(rdd: Any, batch: ms.Batch) -> None:
        rows = [(record.partition, record.value.decode()) for record in rdd.collect()]
        if rows:
            path = out / f"{batch.time_ms}.part"
            path.write_text(json.dumps(rows))
            # A batch that is run again writes the same records to the same name.
            os.replace(path, out / f"{batch.time_ms}.json")

    return write


def main(servers: str, topic: str, place: str) -> None:
    ssc = ms.StreamingContext(0.05, checkpoint=Path(place) / "checkpoint")
    ssc.kafka_group_stream(
        servers,
        group_id=f"g-{topic}",
        topics=[topic],
        start="earliest",
        name="in",
        options={"session.timeout.ms": 1_000, "heartbeat.interval.ms": 200},
    ).foreach_rdd(write_to(Path(place) / "out"))
    ssc.run()


if __name__ == "__main__":
    main(*sys.argv[1:])

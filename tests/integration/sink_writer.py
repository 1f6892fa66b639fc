"""A program that commits numbered batches to a sink until it is killed.

It says `staged T` before each commit and `committed T` behind it, and goes on behind the newest batch that the sink
knows of, as the engine does after a restart.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from millstream.model.batch import Batch
from millstream.model.partition import Partition
from millstream.model.ports.sink import Sink, SinkLineage

STEP_MS = 1_000
PARTS = 3


def records(time_ms: int) -> list[list[dict[str, Any]]]:
    """Give the partitions of a batch."""
    number = time_ms // STEP_MS
    return [[{"number": number * 100 + part * 10 + row} for row in range(4)] for part in range(PARTS)]


def made(kind: str, place: str, options: dict[str, Any]) -> Sink[Any]:
    """Make the sink."""
    if kind == "files":
        from millstream.sinks.json_files import JsonFiles

        return JsonFiles(place, storage_options=options)
    from millstream.sinks.sql.sql_sink import SqlSink

    return SqlSink(place, "records", **options)


def main() -> None:
    """Commit one batch after another."""
    kind, place, options, epoch, attempt = sys.argv[1:]
    sink = made(kind, place, json.loads(options))
    newest = sink.open(SinkLineage("lineage-1", "records", int(epoch)))
    time_ms = newest or 0
    print(f"opened {time_ms}", flush=True)
    while True:
        time_ms += STEP_MS
        batch = Batch(time_ms, int(attempt))
        receipts = [sink.stage(batch, index, Partition(part)) for index, part in enumerate(records(time_ms))]
        print(f"staged {time_ms}", flush=True)
        sink.commit(batch, receipts)
        print(f"committed {time_ms}", flush=True)


if __name__ == "__main__":
    main()

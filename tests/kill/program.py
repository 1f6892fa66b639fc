"""The program that is killed: run as `python -m tests.kill.program SETTINGS_AS_JSON`.

It tells each point that it passes in a line on standard output.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import sys
import threading
from dataclasses import dataclass
from operator import add, sub
from pathlib import Path
from typing import Any

import millstream as ms
from millstream.errors import MillstreamError
from tests.kill.life_settings import LifeSettings, tell

INTERVAL_S = 0.02
RECENT_S, RECENT_SLIDE_S = 2.0, 0.04
SUMS_S = 4.0
IDLE_S = 0.3
TIMED_OUT = -1
"""What stands in the place of a record where a key was idle for too long."""


@dataclass(frozen=True, kw_only=True)
class Settings(LifeSettings):
    """What one life of the program is started with."""

    port: int
    receiver_process: bool = False
    postgres_url: str | None = None


class SentBlocks(ms.Receiver[tuple[str, int]]):
    """Blocks over a socket, each acknowledged when it is stored."""

    name = "sent"

    def __init__(self, port: int) -> None:
        self._port = port

    def on_start(self) -> None:
        self._connection = socket.create_connection(("127.0.0.1", self._port))
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def on_stop(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _receive(self) -> None:
        # What is not acknowledged because the stream or the connection ends is sent again.
        with contextlib.suppress(OSError, MillstreamError), self._connection.makefile() as lines:
            for line in lines:
                position, rows = json.loads(line)
                self.store_many([(key, n) for key, n in rows], position=position)
                self._connection.sendall(f"{position}\n".encode())


def now_ms() -> int:
    return round(ms.batch_time().timestamp() * 1000)


def running(key: str, n: int | None, state: Any) -> dict[str, Any]:
    if n is None:
        return {"time_ms": now_ms(), "key": key, "n": TIMED_OUT, "total": state.get()}
    state.update(state.get(0) + n)
    return {"time_ms": now_ms(), "key": key, "n": n, "total": state.get()}


def build(ssc: ms.StreamingContext, settings: Settings) -> None:
    """Put the program together: every kind of state, every kind of sink."""
    folder = Path(settings.folder)
    sent = ssc.receiver_stream(SentBlocks(settings.port), process=settings.receiver_process, name="sent")
    read = ssc.file_stream(folder / "in", "jsonl", new_files_only=False, max_files_per_batch=2, name="read")
    pairs = sent.union(read.map(lambda row: (row[0], row[1])))
    pairs.map(lambda pair: [now_ms(), *pair]).save_as_json_files(folder / "raw", name="raw")
    pairs.map(lambda pair: {"time_ms": now_ms(), "key": pair[0], "n": pair[1]}).save_as_parquet_files(
        folder / "columns", name="columns"
    )
    counts = pairs.map(lambda pair: (pair[0], 1)).reduce_by_key_and_window(
        add, window=RECENT_S, slide=RECENT_SLIDE_S, name="counts"
    )
    counts.map(lambda pair: (now_ms(), *pair)).save_as_csv_files(
        folder / "recent", columns=["time_ms", "key", "count"], name="recent"
    )
    sums = pairs.reduce_by_key_and_window(add, sub, window=SUMS_S, slide=INTERVAL_S, name="window_sums")
    sums.map(lambda pair: f"{now_ms()} {pair[0]} {pair[1]}").save_as_text_files(folder / "sums", name="sums")
    steps: Any = pairs.map_with_state(ms.StateSpec(running, timeout=IDLE_S), name="running")
    steps.save_to_sql(f"sqlite:///{folder}/steps.db", "steps", name="steps")
    totals = pairs.update_state_by_key(lambda new, old: (old or 0) + sum(new), name="all_time")
    totals.save_to_sql(
        f"sqlite:///{folder}/totals.db", "totals", mode="upsert", columns=["key", "total"], name="totals"
    )
    if settings.postgres_url is not None:
        steps.save_to_sql(settings.postgres_url, "steps", name="steps_postgres")

    def keep_id(rows: list[Any], batch: ms.Batch) -> None:
        with contextlib.closing(sqlite3.connect(folder / "ids.db")) as database, database:
            database.execute("INSERT OR IGNORE INTO ids VALUES (?, ?, ?)", [batch.id, batch.time_ms, len(rows)])

    pairs.foreach_batch(keep_id, name="ids")


def main(settings: Settings) -> None:
    settings.crash_points()
    ssc = settings.streaming_context(INTERVAL_S)
    build(ssc, settings)
    ssc.run()
    tell("ended")


if __name__ == "__main__":
    main(Settings(**json.loads(sys.argv[1])))

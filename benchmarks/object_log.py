"""Durable appends to a log on an object store: a local S3 server in a process of its own, and memory.

Beside a log's appends stand bare conditional puts of the same bytes, in turn. Group commit: several threads append one
record after another, and what waits while a put is under way goes into the next object together. A real S3 answers a
put in 5 to 50 ms; `--delay-ms=20` has every put take at least so long, on memory.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.figures import median, option, percentile, report
from benchmarks.journal_append import seconds
from millstream.blocks.object_log import ObjectLog
from millstream.environment.lease import Owner
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.obstore_client import ObstoreClient

RECORD_BYTES = 200
BUCKET = "bench-bucket"
THREADS = (1, 8, 32)


@contextmanager
def s3_server() -> Iterator[dict[str, Any]]:
    """Start a local S3 server and give what obstore needs to know of it."""
    import boto3  # type: ignore[import-untyped]

    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            raise RuntimeError("The server did not start.")
        threading.Thread(target=server.stderr.read, daemon=True).start()
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=found[0], **keys).create_bucket(Bucket=BUCKET)
        yield {
            "endpoint": found[0],
            "access_key_id": "x",
            "secret_access_key": "x",
            "region": "us-east-1",
            "allow_http": True,
        }
    finally:
        server.kill()
        server.wait()


class SlowClient(ObstoreClient):
    """Takes at least so long for each put."""

    def __init__(self, url: str, delay_ms: float) -> None:
        super().__init__(url)
        self._delay_s = delay_ms / 1000.0

    def put_new(self, name: str, data: bytes, mark: str) -> bool:
        time.sleep(self._delay_s)
        return super().put_new(name, data, mark)


def opened(storage: ObjectStorage, folder: str) -> ObjectLog:
    """Open a new log."""
    return ObjectLog(storage, folder, Owner(1, bytes(16)))


def one_by_one(storage: ObjectStorage, rounds: int, rows: dict[str, object], store: str) -> None:
    """Append and put in turn."""
    log = opened(storage, "turns")
    payload = os.urandom(RECORD_BYTES)
    logged, bare = [], []
    for number in range(rounds):
        logged.append(seconds(partial(log.append, [(1, payload)])) * 1e3)
        bare.append(seconds(partial(storage.create, f"bare/{number}", payload * 2)) * 1e3)
    rows[f"{store}: append of one record p50 ms"] = median(logged)
    rows[f"{store}: bare conditional put p50 ms"] = median(bare)
    rows[f"{store}: append p99 ms"] = percentile(logged, 0.99)


def together(storage: ObjectStorage, appends: int, rows: dict[str, object], store: str) -> None:
    """Append from several threads."""
    for threads in THREADS:
        log = opened(storage, f"group-{threads}")
        before = len(storage.names(f"group-{threads}"))
        payload = os.urandom(RECORD_BYTES)

        def append(log: ObjectLog = log, payload: bytes = payload, count: int = appends // threads) -> None:
            for _ in range(count):
                log.append([(1, payload)])

        workers = [threading.Thread(target=append) for _ in range(threads)]
        began = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        taken = time.perf_counter() - began
        objects = len(storage.names(f"group-{threads}")) - before
        rows[f"{store}: {threads} threads, one record an append: appends/s"] = appends // threads * threads / taken
        rows[f"{store}: {threads} threads: objects/s"] = objects / taken


def in_groups(storage: ObjectStorage, rounds: int, rows: dict[str, object], store: str) -> None:
    """Append many records a call."""
    log = opened(storage, "calls")
    records = [(1, os.urandom(RECORD_BYTES)) for _ in range(10_000)]
    taken = [seconds(partial(log.append, records)) for _ in range(rounds)]
    rows[f"{store}: 10,000 records a call: thousand records/s"] = 10 / median(taken)
    began = time.perf_counter()
    count = sum(1 for _ in log.read())
    rows[f"{store}: read back: thousand records/s"] = count / 1000 / (time.perf_counter() - began)


def main() -> None:
    """Run and report."""
    rounds = int(option("rounds", 200))
    delay_ms = option("delay-ms", 20.0)
    rows: dict[str, object] = {}
    with s3_server() as options:
        storage = ObjectStorage.open(f"s3://{BUCKET}/app", options)
        one_by_one(storage, rounds, rows, "local S3 server")
        together(storage, 4 * rounds, rows, "local S3 server")
        in_groups(storage, max(1, rounds // 10), rows, "local S3 server")
    storage = ObjectStorage(ObstoreClient("memory://bench"))
    one_by_one(storage, 10 * rounds, rows, "memory")
    slow = f"puts of {delay_ms:.0f} ms"
    together(ObjectStorage(SlowClient("memory://bench-slow", delay_ms)), 4 * rounds, rows, slow)
    report("object_log", rows)


if __name__ == "__main__":
    main()

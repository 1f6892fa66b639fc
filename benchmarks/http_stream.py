"""Posts to http_stream over kept connections: the stream on one core, the senders on another.

Bodies are JSON arrays of small objects. What is timed is what was answered 202 in a while, and the CPU time of the
stream's process meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

import millstream as ms
from benchmarks.figures import option, report

CONNECTIONS = 8


def send(port: int, records: int, seconds: float) -> None:
    """Post from several threads, each one body after the other; print how many were answered 202."""
    import http.client
    import threading

    body = json.dumps([{"id": n, "user": "ann", "amount": 12.5} for n in range(records)])
    ends = time.monotonic() + seconds
    taken = [0] * CONNECTIONS

    def post(index: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.monotonic() < ends:
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            taken[index] += answer.status == 202

    threads = [threading.Thread(target=post, args=(index,)) for index in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(taken))


def measured(records: int, seconds: float, *, checkpoint: bool) -> tuple[float, float]:
    """Give requests a second, and CPU seconds a second of the stream's process."""
    with tempfile.TemporaryDirectory() as place:
        ssc = ms.StreamingContext(0.1, name="posts", checkpoint=place if checkpoint else None)
        posts = ssc.http_stream(name="posts")
        posts.count().collect_to(lambda counts: None)
        ssc.start()
        port = int(posts.url().rsplit(":", 1)[1].rstrip("/"))
        began, cpu_began = time.perf_counter(), time.process_time()
        command = [sys.executable, "-m", "benchmarks.http_stream", "--sender", str(port), str(records), str(seconds)]
        taken = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        cpu_s, wall_s = time.process_time() - cpu_began, time.perf_counter() - began
        ssc.stop()
        return taken / seconds, cpu_s / wall_s


def main() -> None:
    """Run and report."""
    cores = sorted(os.sched_getaffinity(0))
    if "--sender" in sys.argv:
        port, count, lasts_s = sys.argv[sys.argv.index("--sender") + 1 :]
        os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
        send(int(port), int(count), float(lasts_s))
        return
    os.sched_setaffinity(0, cores[:1])
    seconds = option("seconds", 4.0)
    rows: dict[str, object] = {}
    for checkpoint in (False, True):
        for records in (1, 100, 1_000):
            per_s, cpu = measured(records, seconds, checkpoint=checkpoint)
            place = "in memory" if not checkpoint else "with a checkpoint"
            rows[f"{records} a body, {place}: requests/s, records/s, CPU"] = (
                f"{per_s:,.0f}, {per_s * records:,.0f}, {cpu:.2f}"
            )
    report("http_stream", rows)


if __name__ == "__main__":
    main()

"""A 2 ms interval for a minute: does every batch time have a batch of its own, and how old are records at the output?

100 records are due in the middle of every interval; they are pushed by a thread, and the time from when they were
due to the output callback is counted, for every record.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import millstream as ms
from benchmarks.figures import option, percentile, report
from millstream.observe.events import BatchCompleted, BatchTimesMerged


class Times(ms.StreamingListener):
    """Counts batches and merged batch times."""

    def __init__(self) -> None:
        self.batches = 0
        self.merged = 0

    def on_batch_completed(self, event: BatchCompleted) -> None:
        self.batches += 1

    def on_batch_times_merged(self, event: BatchTimesMerged) -> None:
        self.merged += event.count


def main() -> None:
    """Run and report."""
    seconds, interval_s, records = option("seconds", 60), option("interval", 0.002), int(option("records", 100))
    ssc = ms.StreamingContext(interval_s)
    times, ages = Times(), list[float]()
    ssc.add_listener(times)
    source = ssc.memory_stream()

    def arrived(rows: list[Any]) -> None:
        now = time.perf_counter()
        ages.extend((now - due) * 1000.0 for due in rows)

    source.map(lambda due: (due, 1)).filter(lambda pair: pair[1] == 1).map(lambda pair: pair[0]).collect_to(arrived)
    over = threading.Event()

    def push() -> None:
        due = time.perf_counter()
        end = due + seconds
        while due < end:
            due += interval_s
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            source.push_many([due] * records)
        over.set()

    ssc.start()
    threading.Thread(target=push).start()
    over.wait()
    ssc.stop()
    ages = ages[len(ages) // 50 :]
    report(
        "tick",
        {
            "interval ms": interval_s * 1000.0,
            "batches": times.batches,
            "batch times with a batch of their own, % (target >= 99)": 100.0
            * times.batches
            / (times.batches + times.merged),
            "due to output p50 ms (target <= 2.5)": percentile(ages, 0.5),
            "due to output p99 ms (target <= 6)": percentile(ages, 0.99),
            "records": len(ages),
        },
    )


if __name__ == "__main__":
    main()

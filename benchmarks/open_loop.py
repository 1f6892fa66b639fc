"""100 k records/s pushed one by one by a Python thread, in bursts of at most 1 ms, through three operators.

Open loop: the thread pushes what is due by now, whatever the stream does, and each record's age is counted from the
time at which it was due. `--busy=1` adds a thread that is busy in Python all the time.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import millstream as ms
from benchmarks.figures import option, percentile, report


def main() -> None:
    """Run and report."""
    seconds, interval_s, rate = option("seconds", 30), option("interval", 0.005), option("rate", 100_000)
    busy_threads = int(option("busy", 0))
    ssc = ms.StreamingContext(interval_s)
    ages: list[float] = []
    source = ssc.memory_stream()

    def arrived(rows: list[Any]) -> None:
        now = time.perf_counter()
        ages.extend([(now - due) * 1000.0 for due in rows])

    source.map(lambda due: (due, 1)).filter(lambda pair: pair[1] == 1).map(lambda pair: pair[0]).collect_to(arrived)
    over = threading.Event()

    def push() -> None:
        began, pushed, step = time.perf_counter(), 0, 1.0 / rate
        total, put = int(seconds * rate), source.push
        while pushed < total:
            due_count = min(total, int((time.perf_counter() - began) * rate))
            for number in range(pushed, due_count):
                put(began + number * step)
            pushed = max(pushed, due_count)
            time.sleep(0.001)
        over.set()

    def spin() -> None:
        count = 0
        while not over.is_set():
            count += 1

    ssc.start()
    for target in (push, *[spin] * busy_threads):
        threading.Thread(target=target).start()
    over.wait()
    ssc.stop()
    ages = ages[len(ages) // 20 :]
    target_ms = "p99 ms (target <= 15)" if busy_threads else "p99 ms (target <= 9)"
    report(
        "open_loop",
        {
            "records/s": float(rate),
            "interval ms": interval_s * 1000.0,
            "busy threads beside it": busy_threads,
            "p50 ms (target <= 4.5)": percentile(ages, 0.5),
            target_ms: percentile(ages, 0.99),
            "records counted": len(ages),
        },
    )


if __name__ == "__main__":
    main()

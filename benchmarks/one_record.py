"""Driver work of a batch of one record through flat_map, map, reduce_by_key to an output callback.

The clock is moved by hand, so what is timed is the work of a batch and nothing else: plan, run, commit, finish.
"""

from __future__ import annotations

import gc
import time
from operator import add

import millstream as ms
from benchmarks.figures import option, percentile, report
from millstream.testing import ManualClock


def batch_times_ms(batches: int) -> list[float]:
    """Time `batches` batches of one record."""
    clock = ManualClock()
    ssc = ms.StreamingContext(0.002, environment=ms.Environment(clock), process_tuning=True)
    lines = ssc.memory_stream()
    counts = lines.flat_map(lambda line: line.split()).map(lambda word: (word, 1)).reduce_by_key(add)
    seen: list[list[tuple[str, int]]] = []
    counts.collect_to(seen.append)
    ssc.start()
    times = []
    for _ in range(batches):
        lines.push("word")
        began = time.perf_counter()
        clock.advance(0.002)
        times.append((time.perf_counter() - began) * 1000.0)
        seen.clear()
    ssc.stop()
    return times


def main() -> None:
    """Run and report."""
    batch_times_ms(500)
    gc.collect()
    times = batch_times_ms(int(option("batches", 20_000)))
    report(
        "one_record",
        {"p50 ms (target <= 0.3)": percentile(times, 0.5), "p99 ms (target <= 1)": percentile(times, 0.99)},
    )


if __name__ == "__main__":
    main()

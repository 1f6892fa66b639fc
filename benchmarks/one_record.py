"""Driver work of a batch of one record through flat_map, map, reduce_by_key to an output callback.

The clock is moved by hand, so what is timed is the work of a batch and nothing else: plan, run, commit, finish; and,
where somebody listens, the listener's own work, which otherwise has a thread of its own.
"""

from __future__ import annotations

import gc
import time
from operator import add

import millstream as ms
from benchmarks.figures import option, percentile, report
from millstream.testing import ManualClock


class BatchListener(ms.StreamingListener):
    """Hears of each batch that it is done, as most listeners do."""

    def on_batch_completed(self, event: ms.BatchCompleted) -> None:
        """Hear it."""


class EveryListener(ms.StreamingListener):
    """Hears everything."""

    def on_event(self, event: object) -> None:
        """Hear it."""


def batch_times_ms(batches: int, listener: ms.StreamingListener | None = None) -> list[float]:
    """Time `batches` batches of one record."""
    clock = ManualClock()
    ssc = ms.StreamingContext(0.002, environment=ms.Environment(clock), process_tuning=True)
    lines = ssc.memory_stream()
    counts = lines.flat_map(lambda line: line.split()).map(lambda word: (word, 1)).reduce_by_key(add)
    seen: list[list[tuple[str, int]]] = []
    counts.collect_to(seen.append)
    if listener is not None:
        ssc.add_listener(listener)
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
    batches = int(option("batches", 20_000))
    times = batch_times_ms(batches)
    p50_ms = percentile(times, 0.5)
    report(
        "one_record",
        {
            "p50 ms (target <= 0.3)": p50_ms,
            "p99 ms (target <= 1)": percentile(times, 0.99),
            "p50 us more with a listener to batches (target < 10)": _more_us(batches, BatchListener(), p50_ms),
            "p50 us more with a listener to everything": _more_us(batches, EveryListener(), p50_ms),
        },
    )


def _more_us(batches: int, listener: ms.StreamingListener, p50_ms: float) -> float:
    return (percentile(batch_times_ms(batches, listener), 0.5) - p50_ms) * 1000.0


if __name__ == "__main__":
    main()

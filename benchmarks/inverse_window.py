"""Inverse windowed reduce, 600 s window, 2 s slide, 1 k keys a batch: what do more keys in the window cost?

Each batch has 1,000 keys, drawn from 1,000 keys in one run and from 100,000 in the other. After the window is full
every batch adds one part and takes one away. The consumer takes the first ten pairs, as print() does.
"""

from __future__ import annotations

import time
from operator import add, sub

import millstream as ms
from benchmarks.figures import median, option, report
from millstream.testing import ManualClock

WINDOW_S, SLIDE_S, KEYS_A_BATCH = 600, 2, 1_000


def batch_ms(keys: int, measured: int) -> tuple[float, int]:
    """Give the median time of a batch once the window is full, and the keys that the window holds."""
    clock, held = ManualClock(), [0]
    ssc = ms.StreamingContext(float(SLIDE_S), environment=ms.Environment(clock))
    pairs = ssc.memory_stream()
    counts = pairs.reduce_by_key_and_window(add, sub, window=WINDOW_S, slide=SLIDE_S)
    counts.foreach_rdd(lambda rdd: (rdd.take(10), held.__setitem__(0, rdd.count()) if held[0] < 0 else None))
    ssc.start()
    full = WINDOW_S // SLIDE_S
    times = []
    for number in range(full + measured):
        start = number * KEYS_A_BATCH
        pairs.push_many([((start + i) % keys, 1) for i in range(KEYS_A_BATCH)])
        held[0] = -1 if number == full + measured - 1 else 0
        began = time.perf_counter()
        clock.advance(SLIDE_S)
        times.append((time.perf_counter() - began) * 1000.0)
    ssc.stop(graceful=False)
    return median(times[full:-1]), held[0]


def main() -> None:
    """Run and report."""
    measured = int(option("batches", 200))
    rounds = [(batch_ms(1_000, measured), batch_ms(100_000, measured)) for _ in range(int(option("rounds", 5)))]
    report(
        "inverse_window",
        {
            "keys held": f"{rounds[0][0][1]} and {rounds[0][1][1]}",
            "ms a batch, few keys": median([few for (few, _), _ in rounds]),
            "ms a batch, many keys": median([many for _, (many, _) in rounds]),
            "many to few (target <= 1.3)": median([many / few for (few, _), (many, _) in rounds]),
        },
    )


if __name__ == "__main__":
    main()

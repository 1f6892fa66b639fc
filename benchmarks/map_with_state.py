"""map_with_state with 200 k keys held and 10 k touched a batch, with a Python function, on one core."""

from __future__ import annotations

import random
import time
from typing import Any

import millstream as ms
from benchmarks.figures import median, option, percentile, report
from millstream.testing import ManualClock

KEYS, TOUCHED = 200_000, 10_000


def count(key: int, value: int | None, state: Any) -> tuple[int, int]:
    """Add to the running total of a key."""
    total: int = state.get(0) + value
    state.update(total)
    return key, total


def main() -> None:
    """Run and report."""
    clock = ManualClock()
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    pairs = ssc.memory_stream()
    spec = ms.StateSpec.function(count).initial_state([(key, 0) for key in range(KEYS)])
    seen: list[int] = []
    pairs.map_with_state(spec).foreach_rdd(lambda rdd: seen.append(rdd.count()))
    ssc.start()
    chance, times = random.Random(1), []
    for _ in range(int(option("batches", 60)) + 3):
        pairs.push_many([(key, 1) for key in chance.sample(range(KEYS), TOUCHED)])
        began = time.process_time()
        clock.advance(1.0)
        times.append((time.process_time() - began) * 1000.0)
    ssc.stop(graceful=False)
    assert set(seen) == {TOUCHED}
    report(
        "map_with_state",
        {
            "keys held, touched a batch": f"{KEYS}, {TOUCHED}",
            "CPU ms a batch, median (target <= 40)": median(times[3:]),
            "CPU ms a batch, p90": percentile(times[3:], 0.9),
        },
    )


if __name__ == "__main__":
    main()

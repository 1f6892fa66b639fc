"""Memory over 7,200 batches on a manual clock, with windows and state: the slope after warm-up."""

from __future__ import annotations

import gc
import random
from operator import add, sub
from pathlib import Path
from typing import Any

import millstream as ms
from benchmarks.figures import option, report
from millstream.testing import ManualClock


def resident_mb() -> float:
    """Give the resident memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def slope_mb(points: list[tuple[int, float]]) -> float:
    """Give the slope of a straight line through the points, in MB per 1,000 batches (least squares)."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    return 1_000.0 * sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def running(key: int, value: int | None, state: Any) -> int | None:
    """Keep a running total."""
    if value is None:
        return None
    state.update(state.get(0) + value)
    return None


def main() -> None:
    """Run and report."""
    batches = int(option("batches", 7_200))
    clock = ManualClock()
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    pairs = ssc.memory_stream()
    windowed = pairs.reduce_by_key_and_window(add, sub, window=60, slide=2)
    windowed.foreach_rdd(lambda rdd: rdd.take(3))
    pairs.window(30, 5).count().foreach_rdd(lambda rdd: rdd.collect())
    pairs.map_with_state(ms.StateSpec(running, timeout=20)).foreach_rdd(lambda rdd: rdd.count())
    pairs.update_state_by_key(lambda values, old: (old or 0) + sum(values) if values else None).foreach_rdd(
        lambda rdd: rdd.count()
    )
    ssc.start()
    chance, points = random.Random(1), list[tuple[int, float]]()
    for number in range(batches):
        pairs.push_many([(chance.randrange(2_000), 1) for _ in range(100)])
        clock.advance(1.0)
        if number >= batches // 6 and number % 100 == 0:
            gc.collect()
            points.append((number, resident_mb()))
    ssc.stop(graceful=False)
    report(
        "memory",
        {
            "batches": batches,
            "resident MB, first and last": f"{points[0][1]:.1f} and {points[-1][1]:.1f}",
            "slope MB per 1,000 batches (target < 1)": slope_mb(points),
        },
    )


if __name__ == "__main__":
    main()

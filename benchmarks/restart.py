"""Restart of a program with 1 M keys of state, and with few: from `start()` to the output of the first new batch."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import millstream as ms
from benchmarks.figures import median, option, report
from millstream.testing import ManualClock


def count(key: str, value: int | None, state: Any) -> tuple[str, int] | None:
    """Add to the running total of a key."""
    if value is None:
        return None
    total: int = state.get(0) + value
    state.update(total)
    return key, total


class Runs:
    """Runs of one program on one checkpoint.

    Args:
        path: the checkpoint.
        spec: what is done to the state.
        options: further arguments of `StreamingContext`.
    """

    def __init__(self, path: Path, spec: ms.StateSpec[Any, Any, Any, Any], options: dict[str, Any]) -> None:
        self.path = path
        self.spec = spec
        self.options = options
        self.clock = ManualClock()

    def run(self, pairs: list[tuple[str, int]]) -> float:
        """Run one batch, and give the seconds from `start()` to its output; executors are there before."""
        seen: list[float] = []
        with ms.Context(**self.options) as context:
            context.parallelize([1, 2]).map(abs).collect()
            environment = ms.Environment(self.clock)
            ssc = ms.StreamingContext(
                1.0, context=context, name="restart", checkpoint=self.path, environment=environment
            )
            stream = ssc.memory_stream(name="pairs")
            counts = stream.map_with_state(self.spec, name="counts")
            counts.foreach_rdd(lambda rdd: seen.append(time.perf_counter() + 0 * rdd.count()))
            began = time.perf_counter()
            ssc.start()
            stream.push_many(pairs)
            self.clock.advance(1.0)
            ssc.stop()
        return seen[0] - began


def restarts(keys: int, timeout: float | None, **options: Any) -> float:
    """Give the median of a few restarts with so many keys, seconds."""
    with tempfile.TemporaryDirectory() as path:
        spec = ms.StateSpec(count, timeout=timeout, partitions=2)
        runs = Runs(Path(path), spec, options)
        runs.run([(f"key {number}", number) for number in range(keys)])
        return median([runs.run([("key 1", 1)]) for _ in range(3)])


def main() -> None:
    """Run and report."""
    keys = int(option("keys", 1_000_000))
    report(
        "restart",
        {
            "little state: s to the first new batch (target <= 0.5)": restarts(100, None),
            f"{keys} keys, threads (target <= 2)": restarts(keys, None),
            f"{keys} keys with a timeout, threads": restarts(keys, 3_600.0),
            f"{keys} keys, processes, 2 workers (target <= 2)": restarts(keys, None, backend="processes", workers=2),
        },
    )


if __name__ == "__main__":
    main()

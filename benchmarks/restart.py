"""Restart of a program with 1 M keys of state, and with few: from `start()` to the output of the first new batch.

After a graceful stop in the process that ran before; and after a SIGKILL in the middle of a batch, in a process of its
own that has done nothing else. That one also reads the changes that batches journalled since the newest checkpoint, and
runs the batch again that was cut short.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import millstream as ms
from benchmarks.figures import argument, median, option, report
from millstream.testing import ManualClock

BATCHES = 20
"""So many batches change state before the kill."""

CHANGED = 10_000
"""So many keys change in each, or all if there are fewer."""

KILLED_AT_S, BACK_AT_S = 1_000.0, 1_060.0
"""What the clock says at the start of the program that is killed, and of its successor."""


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
        now_s: what its clock says at first.
    """

    def __init__(
        self, path: Path, spec: ms.StateSpec[Any, Any, Any, Any], options: dict[str, Any], now_s: float = 0.0
    ) -> None:
        self.path = path
        self.spec = spec
        self.options = options
        self.clock = ManualClock(now_s)

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

            def look(rdd: Any, batch: ms.Batch) -> None:
                rdd.count()
                if not batch.attempt:  # One that runs again is not new.
                    seen.append(time.perf_counter())

            counts.foreach_rdd(look)
            began = time.perf_counter()
            ssc.start()
            stream.push_many(pairs)
            self.clock.advance(1.0)
            ssc.stop()
        return seen[0] - began

    def run_until_killed(self, keys: int) -> None:
        """Fill the state and write a checkpoint; change some of it in some batches, and die in one more."""
        self.run([(f"key {number}", number) for number in range(keys)])
        changed = [(f"key {number}", 1) for number in range(min(keys, CHANGED))]
        done: list[int] = []

        def look(rdd: Any, batch: ms.Batch) -> None:
            done.append(rdd.count())
            if len(done) > BATCHES:
                os.kill(os.getpid(), signal.SIGKILL)

        with ms.Context(**self.options) as context:
            environment = ms.Environment(self.clock)
            ssc = ms.StreamingContext(
                1.0,
                context=context,
                name="restart",
                checkpoint=self.path,
                checkpoint_interval=3_600.0,
                environment=environment,
            )
            stream = ssc.memory_stream(name="pairs")
            stream.map_with_state(self.spec, name="counts").foreach_rdd(look)
            ssc.start()
            for _ in range(BATCHES + 1):
                stream.push_many(changed)
                self.clock.advance(1.0)


def restarts(keys: int, timeout: float | None, **options: Any) -> float:
    """Give the median of a few restarts with so many keys, seconds."""
    with tempfile.TemporaryDirectory() as path:
        spec = ms.StateSpec(count, timeout=timeout, partitions=2)
        runs = Runs(Path(path), spec, options)
        runs.run([(f"key {number}", number) for number in range(keys)])
        return median([runs.run([("key 1", 1)]) for _ in range(3)])


def restart_after_kill(keys: int) -> float:
    """Give the median of a few restarts after a kill, each in a process of its own, seconds."""
    seconds: list[float] = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as path:
            command = [sys.executable, "-m", "benchmarks.restart", f"--keys={keys}", f"--checkpoint={path}"]
            killed = subprocess.run([*command, "--part=killed"], check=False)
            if killed.returncode != -signal.SIGKILL:
                raise RuntimeError(f"The program that was to be killed ended with {killed.returncode}.")
            after = subprocess.run([*command, "--part=after"], check=True, stdout=subprocess.PIPE, text=True)
            seconds.append(float(after.stdout))
    return median(seconds)


def run_part(part: str, keys: int) -> None:
    """Be one of the two programs of `restart_after_kill`."""
    spec: ms.StateSpec[Any, Any, Any, Any] = ms.StateSpec(count, partitions=2)
    path = Path(argument("checkpoint") or "")
    if part == "killed":
        Runs(path, spec, {}, KILLED_AT_S).run_until_killed(keys)
    else:
        print(Runs(path, spec, {}, BACK_AT_S).run([("key 1", 1)]))


def main() -> None:
    """Run and report."""
    if part := argument("part"):
        run_part(part, int(option("keys", 0)))
        return
    keys = int(option("keys", 1_000_000))
    report(
        "restart",
        {
            "little state: s to the first new batch (target <= 0.5)": restarts(100, None),
            f"{keys} keys, threads (target <= 2)": restarts(keys, None),
            f"{keys} keys with a timeout, threads": restarts(keys, 3_600.0),
            f"{keys} keys, processes, 2 workers (target <= 2)": restarts(keys, None, backend="processes", workers=2),
            "little state, after a kill, in a new process (target <= 0.5)": restart_after_kill(100),
            f"{keys} keys, after a kill, in a new process (target <= 2)": restart_after_kill(keys),
        },
    )


if __name__ == "__main__":
    main()

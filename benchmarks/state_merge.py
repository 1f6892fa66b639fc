"""Merging the state log of a table of 1 M keys: an increment of what changed, and a new snapshot."""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Callable

from benchmarks.figures import median, option, report
from millstream.encoding.codec import Codec
from millstream.state.chunk import encode_delta, encode_snapshot
from millstream.state.delta import Delta, Snapshot
from millstream.state.merge import merged

KEYS, CHANGED, DELTAS = 1_000_000, 10_000, 10


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Give the median CPU time of a call."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1e3)
    return median(times)


def held_ms(work: Callable[[], object]) -> float:
    """Give the longest time for which this thread could not run while another one works."""
    done, results = threading.Event(), []

    def run() -> None:
        results.append(work())
        done.set()

    worker = threading.Thread(target=run)
    worker.start()
    longest, last = 0.0, time.perf_counter()
    while not done.is_set():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    worker.join()
    return longest * 1e3


def main() -> None:
    """Run and report."""
    rounds = int(option("rounds", 5))
    chance, codec = random.Random(1), Codec()
    gc.disable()  # As the engine does while it runs.
    values = {f"key-{i}": (i, i * 1.5) for i in range(KEYS)}
    names = list(values)
    base = encode_snapshot(Snapshot(1_000, values, ((1_000, tuple(names)),)), codec)
    deltas = []
    for number in range(DELTAS):
        changed = dict.fromkeys(chance.sample(names, CHANGED // DELTAS), (number, 0.5))
        deltas.append(Delta(2_000 + number, changed, (), tuple(changed), expired_before_ms=0))
    chunks = [encode_delta(delta, codec) for delta in deltas]
    encoding_ms = milliseconds(lambda: [encode_delta(delta, codec) for delta in deltas], rounds)
    increment_ms = milliseconds(lambda: merged(chunks, final=False), rounds)
    full_ms = milliseconds(lambda: merged([base, *chunks], final=True), rounds)
    snapshot_ms = milliseconds(lambda: encode_snapshot(Snapshot(1_000, values), codec), rounds)
    report(
        "state_merge",
        {
            "keys held, changed, in deltas": f"{KEYS}, {CHANGED}, {DELTAS}",
            "deltas encoded, CPU ms": encoding_ms,
            "increment of the deltas, CPU ms": increment_ms,
            "new snapshot from snapshot and deltas, CPU ms (target < 1000)": full_ms,
            "increment / new snapshot (target <= 0.05)": increment_ms / full_ms,
            "snapshot encoded from Python objects, CPU ms": snapshot_ms,
            "(deltas + increment) / snapshot encoded (target <= 0.05)": (encoding_ms + increment_ms) / snapshot_ms,
            "longest wait of another thread meanwhile, ms": held_ms(lambda: merged([base, *chunks], final=True)),
        },
    )


if __name__ == "__main__":
    main()

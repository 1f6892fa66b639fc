"""The encoding of checkpoints beside msgspec's MessagePack, which knows fewer types: pairs, decisions, dataclasses."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.figures import median, option, report
from millstream.encoding.codec import decode, encode

PAIRS = 1_000_000
DECISIONS = {"kind": "planned", "batch_ms": 1_700_000_000_000, "splits": [("t", 0, 10), ("t", 1, 12)], "attempt": 1}


@dataclass
class Session:
    """A state as programs keep it."""

    user: str
    since_ms: int
    hits: int
    total: float


def seconds(work: Callable[[], Any], rounds: int) -> float:
    """Give the median CPU seconds of a call."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        result = work()
        times.append(time.process_time() - began)
        del result  # Taking a million objects apart is no part of the work.
    return median(times)


def main() -> None:
    """Run and report."""
    rounds = int(option("rounds", 5))
    pairs = {f"key-{i}": (i, i * 1.5) for i in range(PAIRS)}
    sessions = {f"key-{i}": Session(f"user-{i}", i, i % 10, i * 0.5) for i in range(PAIRS // 10)}
    # The engine keeps the collector off while it runs; with it on, most of msgspec's time is the collector's.
    gc.disable()
    data, other, sessions_data, small = (
        encode(pairs),
        msgspec.msgpack.encode(pairs),
        encode(sessions),
        encode(DECISIONS),
    )
    rows = {
        "pairs encoded, M/s (target >= 2)": PAIRS / 1e6 / seconds(lambda: encode(pairs), rounds),
        "  by msgspec": PAIRS / 1e6 / seconds(lambda: msgspec.msgpack.encode(pairs), rounds),
        "pairs decoded, M/s (target >= 2)": PAIRS / 1e6 / seconds(lambda: decode(data), rounds),
        "  and by msgspec": PAIRS / 1e6 / seconds(lambda: msgspec.msgpack.decode(other), rounds),
        "  only a dict of such keys, in Python": PAIRS / 1e6 / dict_seconds(rounds),
        "dataclasses encoded, M/s": PAIRS / 1e7 / seconds(lambda: encode(sessions), rounds),
        "dataclasses decoded, M/s": PAIRS / 1e7 / seconds(lambda: decode(sessions_data), rounds),
        "small dict of decisions encoded, us (target <= 2)": each(lambda: encode(DECISIONS)),
        "small dict of decisions decoded, us (target <= 2)": each(lambda: decode(small)),
    }
    report("codec", rows)


def dict_seconds(rounds: int) -> float:
    """Give the CPU seconds that the dict alone takes, of keys whose hashes are not known yet."""
    times = []
    for _ in range(rounds):
        keys = [f"key-{i}" for i in range(PAIRS)]
        began = time.process_time()
        made = dict.fromkeys(keys)
        times.append(time.process_time() - began)
        del made
    return median(times)


def each(work: Callable[[], Any], calls: int = 100_000) -> float:
    """Give the CPU microseconds of a call."""
    return seconds(lambda: [work() for _ in range(calls)], 3) / calls * 1e6


if __name__ == "__main__":
    main()

"""Word count in plain lambdas on one core, against the hand-written loop over the same lines.

Three ways over the same batches of lines, in turn, several times; CPU seconds are compared.
"""

from __future__ import annotations

import time
from typing import Any

import millstream as ms
from benchmarks.figures import median, option, report
from benchmarks.text import lines_of_standard_library
from millstream.testing import ManualClock


def hand_written(batches: list[list[str]]) -> dict[str, int]:
    """The loop that nobody can beat in Python."""
    last: dict[str, int] = {}
    for lines in batches:
        d: dict[str, int] = {}
        for line in lines:
            for w in line.split():
                d[w] = d.get(w, 0) + 1
        last = d
    return last


def proven(stream: ms.DStream[str]) -> ms.DStream[tuple[str, int]]:
    """The program, with functions whose source millstream can prove."""
    return stream.flat_map(lambda line: line.split()).map(lambda w: (w, 1)).reduce_by_key(lambda a, b: a + b)


def opaque(stream: ms.DStream[str]) -> ms.DStream[tuple[str, int]]:
    """The program, with functions that have no source."""
    split: Any = eval("lambda line: line.split()")
    pair: Any = eval("lambda w: (w, 1)")
    plus: Any = eval("lambda a, b: a + b")
    counts: ms.DStream[tuple[str, int]] = stream.flat_map(split).map(pair).reduce_by_key(plus)
    return counts


def streamed(program: Any, batches: list[list[str]], take: int | None = 10) -> list[Any]:
    """Run a program over the batches; give what it puts out for the last one: the first pairs, or with None all."""
    clock, last = ManualClock(), []
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    counts = program(ssc.queue_stream(list(batches)))
    counts.foreach_rdd(lambda rdd: last.append(rdd.collect() if take is None else rdd.take(take)))
    ssc.start()
    for _ in batches:
        clock.advance(1.0)
    ssc.stop(graceful=False)
    return list(last[-1])


def cpu_s(run: Any, *arguments: Any) -> float:
    """Time one run in CPU seconds."""
    began = time.process_time()
    run(*arguments)
    return time.process_time() - began


def main() -> None:
    """Run and report."""
    lines = lines_of_standard_library(int(option("lines", 1_000_000)))
    size = len(lines) // 4
    batches = [lines[at : at + size] for at in range(0, size * 4, size)]
    words = sum(len(line.split()) for line in lines[: size * 4])
    assert dict(streamed(proven, batches, None)) == hand_written(batches) == dict(streamed(opaque, batches, None))
    ratios: dict[str, list[float]] = {"proven": [], "opaque": []}
    hands = []
    for _ in range(int(option("rounds", 7))):
        hand = cpu_s(hand_written, batches)
        hands.append(hand)
        ratios["proven"].append(hand / cpu_s(streamed, proven, batches))
        ratios["opaque"].append(hand / cpu_s(streamed, opaque, batches))
    report(
        "word_count",
        {
            "hand-written loop, million words a CPU second": words / median(hands) / 1e6,
            "provable source, share of the loop's speed (target >= 0.85)": median(ratios["proven"]),
            "opaque functions, share of the loop's speed (target >= 0.58)": median(ratios["opaque"]),
        },
    )


if __name__ == "__main__":
    main()

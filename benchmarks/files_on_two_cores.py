"""Word count from files on two worker processes, against two independent processes with half the files each.

The independent processes run the same program on the threads backend, each to its own counts, and never meet: that is
the most that two cores can give. Start-up is left out on both sides: workers are warm, and the independent processes
wait for a sign. Functions have no provable source here, so that Python does the work on both sides.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from operator import add
from pathlib import Path
from typing import Any

import millstream as ms
from benchmarks.figures import median, option, report
from benchmarks.text import lines_of_standard_library


def counts_of(context: ms.Context, pattern: str) -> int:
    """Count words in the files and give how many distinct ones there are."""
    split: Any = eval("lambda line: line.split()")
    pair: Any = eval("lambda word: (word, 1)")
    counts: ms.RDD[tuple[str, int]] = context.text_file(pattern).flat_map(split).map(pair).reduce_by_key(add)
    return counts.count()


def independent(pattern: str) -> None:
    """Be one of the independent processes: warm up, then count once for each line on stdin."""
    with ms.Context() as context:
        counts_of(context, pattern)
        print("ready", flush=True)
        for _ in sys.stdin:
            counts_of(context, pattern)
            print("done", flush=True)


def two_processes(patterns: list[str]) -> Any:
    """Start the independent processes; calling the result runs both once and gives the seconds."""
    peers = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.files_on_two_cores", f"--independent={pattern}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for pattern in patterns
    ]

    def say(word: str) -> None:
        for peer in peers:
            assert peer.stdin is not None
            peer.stdin.write(word + "\n")
            peer.stdin.flush()

    def hear() -> None:
        for peer in peers:
            assert peer.stdout is not None
            peer.stdout.readline()

    hear()

    def once() -> float:
        began = time.perf_counter()
        say("go")
        hear()
        return time.perf_counter() - began

    return once


def main() -> None:
    """Run and report."""
    for argument in sys.argv[1:]:
        if argument.startswith("--independent="):
            independent(argument.partition("=")[2])
            return
    lines = lines_of_standard_library(int(option("lines", 1_000_000)))
    with tempfile.TemporaryDirectory() as directory, ms.Context("processes", workers=2) as context:
        size = len(lines) // 4
        for number in range(4):
            path = Path(directory, f"half{number % 2}-{number}.txt")
            path.write_text("\n".join(lines[number * size : (number + 1) * size]), encoding="utf-8")
        alone = two_processes([f"{directory}/half0-*.txt", f"{directory}/half1-*.txt"])
        counts_of(context, f"{directory}/*.txt")
        ours, theirs = [], []
        for _ in range(int(option("rounds", 7))):
            theirs.append(alone())
            began = time.perf_counter()
            counts_of(context, f"{directory}/*.txt")
            ours.append(time.perf_counter() - began)
    report(
        "files_on_two_cores",
        {
            "two independent processes, s": median(theirs),
            "two workers, s": median(ours),
            "share of the independent processes' speed (target >= 0.9)": median(
                [b / a for a, b in zip(ours, theirs, strict=True)]
            ),
        },
    )


if __name__ == "__main__":
    main()

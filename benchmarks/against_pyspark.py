"""millstream beside PySpark's DStreams (4.3.0, Java 17) on the same input, in one run.

PySpark lives in an environment of its own, benchmarks/.pyspark, which the first run makes from the package registry.
Needs Java 17 or later on PATH.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import millstream as ms
from benchmarks.figures import median, option, report
from benchmarks.text import lines_of_standard_library
from benchmarks.word_count import opaque, proven
from millstream.testing import ManualClock

HERE = Path(__file__).parent
ENVIRONMENT = HERE / ".pyspark"
PYSPARK = "pyspark==4.3.0"


def pyspark(*arguments: object) -> dict[str, Any]:
    """Run one work on PySpark and give its figures."""
    command = [str(ENVIRONMENT / "bin" / "python"), str(HERE / "peers" / "pyspark_streams.py"), *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def prepare() -> None:
    """Make PySpark's environment when it is missing."""
    if shutil.which("java") is None:
        sys.exit(
            "against_pyspark needs Java 17 or later on PATH (Debian, Ubuntu: apt install openjdk-17-jre-headless)."
        )
    if not (ENVIRONMENT / "bin" / "python").exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([str(ENVIRONMENT / "bin" / "pip"), "install", "--quiet", PYSPARK], check=True)


def processing_ms(build: Any, batches: list[Any]) -> list[float]:
    """Give the processing times of a program's batches here; the first is left out."""
    clock, times = ManualClock(), []
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    build(ssc.queue_stream(list(batches)))
    ssc.start()
    for _ in range(len(batches)):
        began = time.perf_counter()
        clock.advance(1.0)
        times.append((time.perf_counter() - began) * 1000.0)
    ssc.stop(graceful=False)
    return times[1:]


def file_processing_ms(program: Any, directory: Path, batches: int) -> list[float]:
    """Give the processing times of a program over text files, one a batch, on one core; the first two are left out."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    files = sorted((directory / "waiting").iterdir())[: batches + 2]
    target = directory / program.__name__
    target.mkdir()
    clock, times = ManualClock(time.time()), []
    ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
    program(ssc.text_file_stream(target)).foreach_rdd(lambda rdd: rdd.take(10))
    ssc.start()
    for path in files:
        shutil.copy(path, target / f".{path.name}")
        (target / f".{path.name}").rename(target / path.name)
        began = time.perf_counter()
        clock.advance(1.0)
        times.append((time.perf_counter() - began) * 1000.0)
    ssc.stop(graceful=False)
    os.sched_setaffinity(0, cores)
    return times[2:]


def word_count(lines_count: int, batches: int) -> dict[str, object]:
    """Word count over text files, one a batch, on one core to which both are pinned."""
    text = "\n".join(lines_of_standard_library(lines_count))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "waiting").mkdir()
        for number in range(batches + 2):
            (directory / "waiting" / f"part-{number:03}.txt").write_text(text, encoding="utf-8")
        ours = median(file_processing_ms(proven, directory, batches))
        called = median(file_processing_ms(opaque, directory, batches))
        theirs = float(pyspark("word_count", directory, batches)["median_ms"])
    return {
        "word count: plain lambdas, ms a batch": ours,
        "word count: functions without source, ms a batch": called,
        "word count: PySpark, ms a batch": theirs,
        "word count: plain lambdas, times as fast (target >= 15)": theirs / ours,
        "word count: functions without source, times as fast": theirs / called,
    }


def state(keys: int, touched: int, batches: int) -> dict[str, object]:
    """update_state_by_key here and there, and map_with_state, which PySpark has not."""
    chance = random.Random(1)
    rows = [[(key, 1) for key in chance.sample(range(keys), touched)] for _ in range(batches + 1)]
    initial = [(key, 0) for key in range(keys)]

    def total(values: list[int], old: int | None) -> int:
        return (old or 0) + sum(values)

    def mapped(key: int, value: int | None, kept: Any) -> None:
        kept.update(kept.get(0) + value)

    spec: ms.StateSpec[int, int, int, None] = ms.StateSpec(mapped, initial_state=initial)
    updated = median(
        processing_ms(
            lambda s: s.update_state_by_key(total, initial_state=initial).foreach_rdd(lambda rdd: rdd.count()),
            list(rows),
        )
    )
    touched_only = median(
        processing_ms(lambda s: s.map_with_state(spec).foreach_rdd(lambda rdd: rdd.count()), list(rows))
    )
    theirs = pyspark("state", keys, touched, batches)
    return {
        "state: map_with_state, ms a batch": touched_only,
        "state: update_state_by_key (every key), ms a batch": updated,
        "state: PySpark updateStateByKey, ms a batch": float(theirs["median_ms"]),
    }


def intervals(candidates: list[float]) -> dict[str, object]:
    """The smallest interval at which PySpark keeps up: 99 % of the batches, and no queue at the end."""
    smallest, figures = None, {}
    for seconds in candidates:
        figures = pyspark("interval", seconds)
        if figures["batches_share"] < 0.99 or figures["scheduling_last_ms"] > 1_000 * seconds:
            break
        smallest = seconds, figures["total_p50_ms"]
    return {
        "interval: PySpark's smallest that keeps up, s": "none" if smallest is None else smallest[0],
        "interval: its total delay there, p50 ms": "-" if smallest is None else smallest[1],
    }


def main() -> None:
    """Run and report."""
    prepare()
    batches = int(option("batches", 5))
    rows = word_count(int(option("lines", 200_000)), batches)
    rows |= state(200_000, 10_000, batches)
    rows |= intervals([0.5, 0.2, 0.1, 0.05, 0.02])
    report("against_pyspark", rows)


if __name__ == "__main__":
    main()

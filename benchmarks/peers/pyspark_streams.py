"""PySpark's DStreams on the work of our benchmarks. Runs in an environment of its own; prints one line of JSON.

Usage: pyspark_streams.py word_count LINES BATCHES | interval SECONDS | state KEYS TOUCHED BATCHES
"""

from __future__ import annotations

import json
import os
import random
import sys
import sysconfig
import time
import warnings
from pathlib import Path
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.listener import StreamingListener


class Delays(StreamingListener):
    """Collects the figures of completed batches."""

    def __init__(self) -> None:
        self.processing_ms: list[int] = []
        self.scheduling_ms: list[int] = []

    def onBatchCompleted(self, batchCompleted: Any) -> None:  # noqa: N802, N803 - Spark's names
        info = batchCompleted.batchInfo()
        self.processing_ms.append(info.processingDelay())
        self.scheduling_ms.append(info.schedulingDelay())


def context(cores: int) -> SparkContext:
    """Start Spark in this process tree, without its UI."""
    conf = SparkConf().setMaster(f"local[{cores}]").setAppName("peer").set("spark.ui.enabled", "false")
    sc = SparkContext(conf=conf)
    sc.setLogLevel("ERROR")
    return sc


def lines_of_standard_library(count: int) -> list[str]:
    """Give the same lines as our own benchmark."""
    lines: list[str] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    return (lines * (count // len(lines) + 1))[:count]


def run(ssc: StreamingContext, delays: Delays, batches: int, limit_s: float) -> None:
    """Run until so many batches have completed."""
    ssc.addStreamingListener(delays)
    ssc.start()
    end = time.monotonic() + limit_s
    while len(delays.processing_ms) < batches and time.monotonic() < end:
        time.sleep(0.05)
    ssc.stop(stopSparkContext=True, stopGraceFully=False)


def word_count(lines_count: int, batches: int) -> dict[str, Any]:
    """Count the words of `batches` batches on one core; the first two, which start the workers, are left out."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sc = context(1)
    lines = lines_of_standard_library(lines_count)
    words = sum(len(line.split()) for line in lines)
    rdd = sc.parallelize(lines, 1).cache()
    rdd.count()
    ssc, delays = StreamingContext(sc, 1.0), Delays()
    stream = ssc.queueStream([rdd] * (batches + 2), default=sc.parallelize([], 1))
    counts = stream.flatMap(lambda line: line.split()).map(lambda w: (w, 1)).reduceByKey(lambda a, b: a + b, 1)
    counts.foreachRDD(lambda rdd: rdd.take(10) and None)
    run(ssc, delays, batches + 2, 300)
    times = sorted(delays.processing_ms[2 : batches + 2])
    return {"words": words, "median_ms": times[len(times) // 2]}


def interval(seconds: float) -> dict[str, Any]:
    """Run 100 records a batch for 20 s at an interval, after 10 s of warm-up: does it keep up?"""
    sc = context(2)
    rdd = sc.parallelize([float(i) for i in range(100)], 1).cache()
    rdd.count()
    ssc, delays = StreamingContext(sc, seconds), Delays()
    stream = ssc.queueStream([rdd], default=rdd)
    out = stream.map(lambda due: (due, 1)).filter(lambda pair: pair[1] == 1).map(lambda pair: pair[0])
    out.foreachRDD(lambda rdd: rdd.collect() and None)
    ssc.addStreamingListener(delays)
    ssc.start()
    time.sleep(10)
    warm = len(delays.processing_ms)
    time.sleep(20)
    done, processing, scheduling = (
        len(delays.processing_ms) - warm,
        delays.processing_ms[warm:],
        delays.scheduling_ms[warm:],
    )
    ssc.stop(stopSparkContext=True, stopGraceFully=False)
    return {
        "batches_share": done / (20 / seconds),
        "processing_p50_ms": sorted(processing)[len(processing) // 2],
        "scheduling_last_ms": scheduling[-1],
        "total_p50_ms": sorted(a + b for a, b in zip(processing, scheduling, strict=False))[len(processing) // 2],
    }


def state(keys: int, touched: int, batches: int) -> dict[str, Any]:
    """UpdateStateByKey with so many keys held; the first three batches are left out."""
    sc = context(1)
    chance = random.Random(1)
    initial = sc.parallelize([(key, 0) for key in range(keys)], 1)
    rdds = [sc.parallelize([(key, 1) for key in chance.sample(range(keys), touched)], 1) for _ in range(batches + 3)]
    ssc, delays = StreamingContext(sc, 1.0), Delays()
    ssc.checkpoint("/tmp/millstream-benchmark-pyspark")
    totals = ssc.queueStream(rdds, default=sc.parallelize([], 1)).updateStateByKey(
        lambda values, old: (old or 0) + sum(values), numPartitions=1, initialRDD=initial
    )
    totals.foreachRDD(lambda rdd: rdd.count() and None)
    run(ssc, delays, batches + 3, 300)
    times = sorted(delays.processing_ms[3 : batches + 3])
    return {"median_ms": times[len(times) // 2]}


def main() -> None:
    """Run the work that the command line names."""
    warnings.simplefilter("ignore")
    work, *numbers = sys.argv[1:]
    if work == "word_count":
        result = word_count(int(numbers[0]), int(numbers[1]))
    elif work == "interval":
        result = interval(float(numbers[0]))
    else:
        result = state(*map(int, numbers))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

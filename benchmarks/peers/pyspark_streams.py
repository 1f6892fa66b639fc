"""PySpark's DStreams on the work of our benchmarks. Runs in an environment of its own; prints one line of JSON.

Usage: pyspark_streams.py word_count DIRECTORY BATCHES | interval SECONDS | state KEYS TOUCHED BATCHES
"""

from __future__ import annotations

import json
import os
import random
import sys
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


def run(ssc: StreamingContext, delays: Delays, batches: int, limit_s: float) -> None:
    """Run until so many batches have completed."""
    ssc.addStreamingListener(delays)
    ssc.start()
    end = time.monotonic() + limit_s
    while len(delays.processing_ms) < batches and time.monotonic() < end:
        time.sleep(0.05)
    ssc.stop(stopSparkContext=True, stopGraceFully=False)


def word_count(directory: str, batches: int) -> dict[str, Any]:
    """Count the words of text files, one a batch, on one core; the first two, which start the workers, are left out.

    `DIRECTORY/waiting` has the files; one after the other they are moved into `DIRECTORY/spark`.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    files = sorted(Path(directory, "waiting").iterdir())[: batches + 2]
    target = Path(directory, "spark")
    target.mkdir()
    sc = context(1)
    ssc = StreamingContext(sc, 1.0)
    lines = ssc.textFileStream(f"file://{target}")
    counts = lines.flatMap(lambda line: line.split()).map(lambda w: (w, 1)).reduceByKey(lambda a, b: a + b, 1)
    taken = []

    def take(rdd: Any) -> None:
        began = time.perf_counter()
        if rdd.take(10):
            taken.append((time.perf_counter() - began) * 1000.0)

    counts.foreachRDD(take)
    ssc.start()
    time.sleep(3)
    for number, path in enumerate(files):
        os.utime(path)
        path.rename(target / path.name)
        end = time.monotonic() + 60
        while len(taken) <= number and time.monotonic() < end:
            time.sleep(0.02)
    ssc.stop(stopSparkContext=True, stopGraceFully=False)
    times = sorted(taken[2:])
    return {"median_ms": times[len(times) // 2]}


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
        result = word_count(numbers[0], int(numbers[1]))
    elif work == "interval":
        result = interval(float(numbers[0]))
    else:
        result = state(*map(int, numbers))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

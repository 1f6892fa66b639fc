"""Structured Streaming's word count over a Kafka topic, with a Python UDF. Prints one line of JSON.

Usage: word_count.py SERVERS TOPIC RECORDS_A_BATCH BATCHES JARS
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, explode, udf
from pyspark.sql.types import ArrayType, StringType

sys.path.insert(0, str(Path(__file__).parents[3]))
from benchmarks.figures import tree_cpu_s


def word_count(servers: str, topic: str, records: int, batches: int, jars: str) -> dict[str, Any]:
    """Count the words of each batch; the first two batches, which start the workers, are left out."""
    spark = (
        SparkSession.builder.master("local[2]")
        .appName("peer")
        .config("spark.ui.enabled", "false")
        .config("spark.jars", ",".join(map(str, Path(jars).glob("*.jar"))))
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.memory", "2g")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    words = udf(lambda line: line.split(), ArrayType(StringType()))
    times: list[float] = []
    cpu_s: list[float] = []
    seen: list[int] = []

    def count(batch: DataFrame, number: int) -> None:
        began = time.perf_counter()
        counts = batch.select(explode(words(col("value").cast("string"))).alias("word")).groupBy("word").count()
        seen.append(len(counts.collect()))
        times.append((time.perf_counter() - began) * 1000.0)
        cpu_s.append(tree_cpu_s(os.getpid()))

    lines = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", servers)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", str(records))
        .load()
    )
    with tempfile.TemporaryDirectory() as checkpoint:
        query = (
            lines.writeStream.foreachBatch(count)
            .option("checkpointLocation", checkpoint)
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
    spark.stop()
    kept = sorted(times[2 : batches + 2])
    spent = (cpu_s[batches + 1] - cpu_s[1]) / batches
    return {"median_ms": kept[len(kept) // 2], "cpu_s": spent, "batches": len(times), "words": seen[-1]}


if __name__ == "__main__":
    servers, topic, records, batches, jars = sys.argv[1:]
    print(json.dumps(word_count(servers, topic, int(records), int(batches), jars)))

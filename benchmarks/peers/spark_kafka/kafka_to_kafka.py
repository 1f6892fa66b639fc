"""Structured Streaming from one Kafka topic to another, batch after batch, until standard input ends.

Usage: kafka_to_kafka.py SERVERS SOURCE TARGET JARS
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession


def forward(servers: str, source: str, target: str, jars: str) -> None:
    """Hand records on as they are; a trigger of 0 s begins a batch when the one before has ended."""
    spark = (
        SparkSession.builder.master("local[2]")
        .appName("peer")
        .config("spark.ui.enabled", "false")
        .config("spark.jars", ",".join(map(str, Path(jars).glob("*.jar"))))
        .config("spark.driver.memory", "2g")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    records = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", servers)
        .option("subscribe", source)
        .option("startingOffsets", "earliest")
        .load()
    )
    with tempfile.TemporaryDirectory() as checkpoint:
        query = (
            records.select("key", "value")
            .writeStream.format("kafka")
            .option("kafka.bootstrap.servers", servers)
            .option("topic", target)
            .option("checkpointLocation", checkpoint)
            .trigger(processingTime="0 seconds")
            .start()
        )
        sys.stdin.read()
        query.stop()
    spark.stop()


if __name__ == "__main__":
    forward(*sys.argv[1:])

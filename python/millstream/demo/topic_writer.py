"""The topic writer: writes a corpus to a topic of Kafka, line by line and at a steady rate.

Runs in a process of its own: `python -m millstream.demo.topic_writer SERVERS`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from itertools import islice

from millstream.demo.kafka_topics import LINES_TOPIC, TIMEOUT_S, make_topics
from millstream.demo.pace import Pace
from millstream.demo.server_arguments import positive
from millstream.demo.source_end import end_of_source
from millstream.demo.text_corpus import TextCorpus
from millstream.errors import MillstreamError
from millstream.model.kafka_client_options import ClientOptions
from millstream.sinks.kafka.plain_writer import PlainWriter

TICK_S = 0.05
"""How often lines that are due are written: the brokers answer for them in a fraction of it."""


async def write_until_stopped(corpus: TextCorpus, rate_lines_per_s: float, servers: str) -> None:
    """Write the whole corpus from its beginning, and again, until a signal comes or the parent process ends.

    Args:
        corpus: what is written.
        rate_lines_per_s: lines a second, > 0.
        servers: the brokers, `host:port`.

    Raises:
        ConfigurationError: the brokers refuse the client, or the topic.
        SinkUnavailableError: they did not answer.
    """
    import pyarrow as pa

    make_topics(servers)
    writer = PlainWriter(
        ClientOptions(servers), LINES_TOPIC, "consistent_random", write_timeout_s=TIMEOUT_S, start_timeout_s=TIMEOUT_S
    )
    writer.open()
    print(json.dumps({"topic": LINES_TOPIC}), flush=True)
    until = end_of_source(with_parent=True)
    lines, pace = corpus.lines(), Pace(rate_lines_per_s, asyncio.get_running_loop().time())
    while not until.is_set():
        count = pace.take(asyncio.get_running_loop().time())
        if count:
            values = [line.rstrip(b"\n") for line in islice(lines, count)]
            writer.write(
                [pa.table({"key": pa.nulls(count, pa.large_binary()), "value": pa.array(values, pa.large_binary())})]
            )
        await asyncio.sleep(max(TICK_S, 1.0 / rate_lines_per_s))


def main() -> int:
    """Write for a parent process: one line of JSON on standard output says when it begins."""
    parser = argparse.ArgumentParser(prog="python -m millstream.demo.topic_writer", description=__doc__)
    parser.add_argument("servers", metavar="SERVERS", help="the brokers, HOST:PORT")
    parser.add_argument("--rate", type=positive, default=1_000.0, metavar="LINES", help="lines a second")
    options = parser.parse_args()
    try:
        asyncio.run(write_until_stopped(TextCorpus.of_python(), options.rate, options.servers))
    except MillstreamError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

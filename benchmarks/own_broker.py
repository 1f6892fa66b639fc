"""A broker of Kafka for one benchmark."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.kafka.broker import KafkaCluster, missing
from tests.servers.kafka.kafka_tool import KafkaTool


@contextmanager
def own_broker() -> Iterator[KafkaTool]:
    """Start a broker on this machine; where there is none, the process ends with a message."""
    if (reason := missing()) is not None:
        sys.exit(f"No Kafka broker: {reason}.")
    with tempfile.TemporaryDirectory() as directory:
        cluster = KafkaCluster(Path(directory) / "cluster")
        try:
            cluster.start()
            yield KafkaTool(cluster)
        finally:
            cluster.stop()

"""Make the archive of classes that a broker's start needs: `python -m tests.servers.kafka.class_archive`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.servers.kafka.broker import KAFKA, KafkaCluster

if __name__ == "__main__":
    archive = KAFKA / "classes.jsa"
    with tempfile.TemporaryDirectory() as directory:
        cluster = KafkaCluster(Path(directory) / "cluster", java_options=[f"-XX:ArchiveClassesAtExit={archive}"])
        try:
            cluster.start()
        finally:
            cluster.stop()
    print(f"== kafka: {archive.stat().st_size >> 20} MiB of classes into {archive.relative_to(KAFKA.parent)}")

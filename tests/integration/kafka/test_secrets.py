"""Nothing that a stream writes, logs, tells or raises has a secret in it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from tests.integration.kafka.kafka_run import LIMIT_S, Reports
from tests.servers.kafka.broker import PASSWORD
from tests.servers.kafka.kafka_tool import KafkaTool
from tests.servers.kafka.schema_registry import schema_registry

import millstream as ms
from millstream.testing import ManualClock

REGISTRY_SECRET = "registry-secret-of-the-tests"


class Everything(Reports):
    """Keeps the text of all events."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def on_event(self, event: Any) -> None:
        self.said.append(repr(event))

    on_batch_submitted = on_batch_started = on_output_started = on_output_completed = on_event
    on_batch_attempt_failed = on_streaming_started = on_streaming_stopped = on_checkpoint_written = on_event
    on_receiver_started = on_receiver_failed = on_receiver_stopped = on_event


@pytest.mark.parametrize(("style", "backend"), [("direct", "processes"), ("group", "threads")])
def test_a_program_with_a_checkpoint(
    kafka: KafkaTool, tmp_path: Path, caplog: pytest.LogCaptureFixture, style: str, backend: str
) -> None:
    topic, cluster = kafka.topic(), kafka.cluster
    seen: list[list[Any]] = []
    listener = Everything()
    with schema_registry() as registry, caplog.at_level(logging.DEBUG):
        number = registry.register("s", {"schema": "{}", "schemaType": "JSON"})["id"]
        kafka.produce(topic, [bytes([0]) + number.to_bytes(4, "big") + b"[7]"] * 3)
        decoder = ms.SchemaRegistryDecoder(
            registry.url, options={"basic.auth.user.info": f"me:{REGISTRY_SECRET}", "max.retries": 0}
        )
        options: Any = {"topics": [topic], "start": "earliest", "options": cluster.secure_options, "name": "in"}
        for _ in range(2):
            clock = ManualClock(len(seen) * 1_000.0)
            with (
                ms.Context(backend, workers=1 if backend == "processes" else None) as context,
                ms.StreamingContext(
                    1.0,
                    context=context,
                    checkpoint=tmp_path,
                    environment=ms.Environment(clock),
                    retry_pause=0.001,
                ) as ssc,
            ):
                ssc.add_listener(listener)
                if style == "direct":
                    records = ssc.kafka_stream(
                        cluster.secure_servers, **options, group_id=f"g-{topic}", value_decoder=decoder
                    )
                else:
                    records = ssc.kafka_group_stream(cluster.secure_servers, **options, group_id=f"g-{topic}")
                records.map(lambda record: str(record.value)).count_by_value().collect_to(seen)
                ssc.start()
                deadline = clock_limit()
                while not any(rows for rows in seen) and not deadline():
                    clock.advance(1.0)
            assert any(seen)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert written, "there is a checkpoint"
    told = "\n".join([caplog.text, *listener.said, repr(decoder), repr(records), repr(ssc)]).encode()
    for secret in (PASSWORD.encode(), REGISTRY_SECRET.encode()):
        assert secret not in written
        assert secret not in told


def clock_limit() -> Any:
    """Give what tells whether the time of the test is over."""
    import time

    end = time.monotonic() + LIMIT_S
    return lambda: time.monotonic() > end

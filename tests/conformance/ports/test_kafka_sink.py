from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.integration.kafka.kafka_reader import values
from tests.servers.kafka.kafka_tool import KafkaTool

from millstream.model.ports.sink import Sink
from millstream.sinks.kafka.kafka_sink import KafkaSink
from millstream.testing.conformance import SinkSuite


class TestKafkaSink(SinkSuite):
    @pytest.fixture(autouse=True)
    def outside(self, kafka: KafkaTool) -> None:
        self.kafka = kafka
        self.topic = kafka.topic()

    def make_sink(self) -> Sink[Any]:
        # Histories and outputs of all tests have the same names.
        return KafkaSink(self.kafka.servers, self.topic, control_topic=self.topic)

    def committed(self) -> Sequence[Any]:
        return values(self.kafka.servers, self.topic)

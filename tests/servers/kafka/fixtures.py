"""Fixtures of tests that need a Kafka broker; a machine that cannot start one skips them, except in CI."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator

import pytest

from tests.servers.kafka.broker import KafkaCluster, missing
from tests.servers.kafka.kafka_tool import KafkaTool

_NUMBERS = itertools.count()


def _needed() -> None:
    reason = missing()
    if reason is None:
        return
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"In CI the tests with Kafka must run, and {reason}.")
    pytest.skip(f"No Kafka broker: {reason}.")


@pytest.fixture(scope="session")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One broker, with a plain listener and a secure one, for all tests that leave it alive."""
    _needed()
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka"), secure=True, session_ms=30_000)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def kafka(kafka_cluster: KafkaCluster, request: pytest.FixtureRequest) -> KafkaTool:
    """A hand on the broker, with names of topics of its own."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.nodeid.rpartition("::")[2])
    return KafkaTool(kafka_cluster, f"{next(_NUMBERS)}-{name}"[:150].strip("-"))


@pytest.fixture
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One broker that the test may kill."""
    _needed()
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def three_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three brokers of which the test may kill one."""
    _needed()
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka"), brokers=3)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()

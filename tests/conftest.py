"""What tests of every kind share."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.servers.kafka.fixtures import kafka, kafka_cluster, own_cluster, three_brokers
from tests.servers.postgres_server import PostgresServer, running_postgres
from tests.servers.s3_server import S3Server, running_s3

__all__ = ["kafka", "kafka_cluster", "own_cluster", "three_brokers"]

# The machine may be shared: how long an example takes says nothing about it.
settings.register_profile("millstream", deadline=None, print_blob=True)
settings.load_profile("millstream")

# A shell has what it starts in the background ignore Ctrl-C; programs of the tests, and tests themselves, wait for it.
signal.signal(signal.SIGINT, signal.default_int_handler)

_NUMBERS = itertools.count()
_TESTS = itertools.count()

COLLECTED_EVERY = 100
"""In every so-manieth test the garbage of all tests before is looked for."""


def pytest_sessionfinish() -> None:
    """Collect garbage while the session lasts.

    pytest does so behind its end, and a worker of pytest-xdist that is busy then for 5 s interrupts itself.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


BACKENDS = ["threads"]
if importlib.util.find_spec("millstream.execution.processes") is not None:
    BACKENDS.append("processes")


@pytest.fixture(autouse=True)
def collected_alone() -> Iterator[None]:
    """Have collections of garbage look at what the test makes: each start of a stream collects.

    The items and modules of the whole suite are some 400,000 objects, and to look at all takes a quarter of a second.
    """
    if next(_TESTS) % COLLECTED_EVERY == 0:
        gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def emptied(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let go of what a test keeps on its instance, clients with threads too: pytest holds instances to the end."""
    yield
    if request.instance is not None:
        vars(request.instance).clear()


@pytest.fixture(scope="session", params=BACKENDS)
def backend_name(request: pytest.FixtureRequest) -> str:
    """Each backend, by the name that contexts are given."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """A new, empty database."""
    name = f"d{next(_NUMBERS)}"
    postgres_server.do(f'CREATE DATABASE "{name}"')
    return postgres_server.url(name)


@pytest.fixture
def postgres_schema_url(postgres_server: PostgresServer) -> str:
    """A new, empty schema, which costs a hundredth of a database."""
    name = f"s{next(_NUMBERS)}"
    postgres_server.do(f'CREATE SCHEMA "{name}"')
    return f"{postgres_server.url()}?options=-csearch_path%3D{name}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One S3 server for all tests; each test makes a bucket of its own."""
    with running_s3() as server:
        yield server

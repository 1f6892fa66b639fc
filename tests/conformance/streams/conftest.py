"""The backends that the stream conformance tests run on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import millstream as ms
from millstream.testing import run_batches
from tests.conformance.streams.runs import Batches, RunBatches

settings.register_profile(
    "streams",
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("streams")


@pytest.fixture(scope="session", params=["threads", "processes"])
def run(request: pytest.FixtureRequest) -> Iterator[RunBatches]:
    """`run_batches` on one backend, whose workers all tests share."""
    with ms.Context(request.param, workers=2 if request.param == "processes" else None) as context:

        def on_backend(build: Any, *inputs: Batches, **options: Any) -> Batches:
            return run_batches(build, *inputs, context=context, **options)

        yield on_backend

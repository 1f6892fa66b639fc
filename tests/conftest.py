"""What tests of every kind share."""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import settings

# The machine may be shared: how long an example takes says nothing about it.
settings.register_profile("millstream", deadline=None, print_blob=True)
settings.load_profile("millstream")

BACKENDS = ["threads"]
if importlib.util.find_spec("millstream.execution.processes") is not None:
    BACKENDS.append("processes")


@pytest.fixture(scope="session", params=BACKENDS)
def backend_name(request: pytest.FixtureRequest) -> str:
    """Each backend, by the name that contexts are given."""
    name: str = request.param
    return name

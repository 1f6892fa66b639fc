"""What the stream tests share: a context of each backend, and a stream on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import millstream as ms
from millstream.testing import ManualClock


@pytest.fixture(scope="session")
def context(backend_name: str) -> Iterator[ms.Context]:
    """A context of each backend, whose workers all tests share."""
    with ms.Context(backend_name, workers=2 if backend_name == "processes" else None) as shared:
        yield shared


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest.fixture
def either(context: ms.Context, clock: ManualClock) -> Iterator[ms.StreamingContext]:
    """A streaming context on each backend, with a batch a second of the clock."""
    with ms.StreamingContext(1.0, context=context, environment=ms.Environment(clock), retry_pause=0.001) as made:
        yield made
        made.stop(graceful=False)

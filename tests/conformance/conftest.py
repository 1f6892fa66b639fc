"""What conformance tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from millstream.context.context import Context


@pytest.fixture(scope="session")
def context(backend_name: str) -> Iterator[Context]:
    """A context on each backend, shared by all tests: starting workers takes longer than most of them."""
    with Context(backend_name, workers=2 if backend_name == "processes" else None, partitions=2) as context:
        yield context

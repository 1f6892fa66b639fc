"""What the stream conformance tests share: random batches and the run over a backend."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from hypothesis import strategies as st

Batches: TypeAlias = list[list[Any]]


class RunBatches(Protocol):
    """`run_batches` on the backend under test."""

    def __call__(self, build: Any, *inputs: Batches, **options: Any) -> Batches: ...


def numbers(batches_max: int = 4) -> st.SearchStrategy[Batches]:
    """Batches of small integers."""
    return st.lists(st.lists(st.integers(-20, 20), max_size=8), min_size=1, max_size=batches_max)


def key_values(batches_max: int = 4) -> st.SearchStrategy[Batches]:
    """Batches of pairs with few keys, so that keys meet again."""
    pair = st.tuples(st.integers(0, 4), st.integers(-9, 9))
    return st.lists(st.lists(pair, max_size=8), min_size=1, max_size=batches_max)

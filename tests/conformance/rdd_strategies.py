"""Random records and partition counts, and an order for comparing what has none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import hypothesis
from hypothesis import strategies as st

F = TypeVar("F", bound=Callable[..., None])

EXAMPLES = 40
"""An example costs several round trips to the workers, and every test runs on every backend."""


def given(*strategies: st.SearchStrategy[Any]) -> Callable[[F], F]:
    """Run a test for random arguments, as `hypothesis.given` does, with fewer examples."""

    def decorated(test: F) -> F:
        return hypothesis.settings(max_examples=EXAMPLES)(hypothesis.given(*strategies)(test))  # type: ignore[return-value]

    return decorated


partition_counts = st.integers(1, 5)

keys = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.0, -0.0, 1.0, 0.5, True, False, None]),
    st.text("ab", max_size=2),
    st.tuples(st.integers(0, 1), st.sampled_from("xy")),
)
"""Keys of many types, among them different ones that are equal: 1, 1.0 and True; 0, 0.0, -0.0 and False."""

numbers = st.lists(st.integers(-1000, 1000), max_size=40)
records = st.lists(keys, max_size=40)
pairs = st.lists(st.tuples(keys, st.integers(-9, 9)), max_size=40)


def unordered(items: Iterable[Any]) -> list[str]:
    """Give the items in an order of their own, so that two runs can be compared as bags."""
    return sorted(map(repr, items))


def slices(items: list[Any], partitions: int) -> list[list[Any]]:
    """Cut a list as `parallelize` does."""
    bounds = [len(items) * p // partitions for p in range(partitions + 1)]
    return [items[bounds[p] : bounds[p + 1]] for p in range(partitions)]


def grouped(items: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    """Group pairs in plain Python."""
    groups: dict[Any, list[Any]] = {}
    for key, value in items:
        groups.setdefault(key, []).append(value)
    return groups

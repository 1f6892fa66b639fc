"""Every window operator against plain Python over the records of the last batches, on every backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import add, sub
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.streams.runs import Batches, RunBatches, key_values

Make = Callable[[Any, int, int], Any]


def _windows(batches: Batches, window: int, slide: int) -> Batches:
    """The records of each window; None between the slides."""
    return [
        [row for batch in batches[max(0, at - window) : at] for row in batch] if at % slide == 0 else None  # type: ignore[misc]
        for at in range(1, len(batches) + 1)
    ]


def _by_key(rows: list[Any]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for key, value in rows:
        groups.setdefault(key, []).append(value)
    return groups


WINDOWS: dict[str, tuple[Make, Callable[[list[Any]], list[Any]]]] = {
    "window": (lambda s, w, slide: s.window(w, slide), lambda rows: rows),
    "window of reduced": (
        lambda s, w, slide: s.window(w, slide).reduce_by_key(add),
        lambda rows: [(k, sum(vs)) for k, vs in _by_key(rows).items()],
    ),
    "reduce_by_window": (
        lambda s, w, slide: s.values().reduce_by_window(add, w, slide),
        lambda rows: [sum(v for _, v in rows)] if rows else [],
    ),
    "reduce_by_window inverse": (
        lambda s, w, slide: s.values().reduce_by_window(add, w, slide, inverse=sub),
        lambda rows: [sum(v for _, v in rows)] if rows else [],
    ),
    "count_by_window": (lambda s, w, slide: s.count_by_window(w, slide), lambda rows: [len(rows)]),
    "count_by_value_and_window": (
        lambda s, w, slide: s.count_by_value_and_window(w, slide),
        lambda rows: list(Counter(rows).items()),
    ),
    "group_by_key_and_window": (
        lambda s, w, slide: s.group_by_key_and_window(w, slide).map_values(sorted),
        lambda rows: [(k, sorted(vs)) for k, vs in _by_key(rows).items()],
    ),
    "reduce_by_key_and_window": (
        lambda s, w, slide: s.reduce_by_key_and_window(max, window=w, slide=slide),
        lambda rows: [(k, max(vs)) for k, vs in _by_key(rows).items()],
    ),
    "reduce_by_key_and_window inverse": (
        lambda s, w, slide: s.reduce_by_key_and_window(add, sub, window=w, slide=slide),
        lambda rows: [(k, sum(vs)) for k, vs in _by_key(rows).items()],
    ),
    "reduce_by_key_and_window filter": (
        lambda s, w, slide: s.reduce_by_key_and_window(add, sub, window=w, slide=slide, filter=lambda kv: kv[1] > 0),
        lambda rows: [(k, sum(vs)) for k, vs in _by_key(rows).items() if sum(vs) > 0],
    ),
}


@pytest.mark.parametrize("operator", WINDOWS)
@given(
    batches=key_values(batches_max=8), window=st.integers(1, 5), slide=st.integers(1, 4), partitions=st.integers(1, 3)
)
def test_window_equals_plain_python(
    run: RunBatches, operator: str, batches: Batches, window: int, slide: int, partitions: int
) -> None:
    build, oracle = WINDOWS[operator]
    result = run(lambda ssc, s: build(s, window, slide), batches, partitions=partitions)
    expected = [[] if rows is None else oracle(rows) for rows in _windows(batches, window, slide)]
    assert [sorted(batch) for batch in result] == [sorted(batch) for batch in expected]


@given(batches=key_values(batches_max=6), window=st.integers(1, 3), outer=st.integers(1, 3))
def test_window_over_a_window(run: RunBatches, batches: Batches, window: int, outer: int) -> None:
    result = run(lambda ssc, s: s.reduce_by_key_and_window(add, sub, window=window, slide=1).window(outer, 1), batches)
    inner = [[(k, sum(vs)) for k, vs in _by_key(rows).items()] for rows in _windows(batches, window, 1)]
    assert [sorted(batch) for batch in result] == [sorted(rows) for rows in _windows(inner, outer, 1)]


@given(batches=key_values(batches_max=6), window=st.integers(1, 3))
def test_two_windows_over_one_stream_do_not_disturb_each_other(run: RunBatches, batches: Batches, window: int) -> None:
    result = run(
        lambda ssc, s: (
            s.window(window, 1)
            .map(lambda kv: ("raw", *kv))
            .union(s.reduce_by_key_and_window(add, sub, window=window + 1, slide=1).map(lambda kv: ("sum", *kv)))
        ),
        batches,
    )
    raw = _windows(batches, window, 1)
    sums = [_by_key(rows) for rows in _windows(batches, window + 1, 1)]
    expected = [
        [("raw", *kv) for kv in rows] + [("sum", k, sum(vs)) for k, vs in groups.items()]
        for rows, groups in zip(raw, sums, strict=True)
    ]
    assert [sorted(batch) for batch in result] == [sorted(batch) for batch in expected]

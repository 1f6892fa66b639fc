"""Every stream operator against the same thing in plain Python, over random batches, on every backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.streams.runs import Batches, RunBatches, key_values, numbers

Make = Callable[..., Any]


def _sorted(batches: list[list[Any]]) -> list[list[Any]]:
    return [sorted(batch, key=repr) for batch in batches]


NARROW: dict[str, tuple[Make, Callable[[list[int]], list[Any]]]] = {
    "map": (lambda ssc, s: s.map(lambda x: x * 2 + 1), lambda rows: [x * 2 + 1 for x in rows]),
    "flat_map": (
        lambda ssc, s: s.flat_map(lambda x: range(x % 3)),
        lambda rows: [y for x in rows for y in range(x % 3)],
    ),
    "filter": (lambda ssc, s: s.filter(lambda x: x % 2), lambda rows: [x for x in rows if x % 2]),
    "union": (lambda ssc, s: s.union(s.map(lambda x: -x)), lambda rows: rows + [-x for x in rows]),
    "key and value": (
        lambda ssc, s: s.map(lambda x: (x % 3, x)).map_values(lambda v: v + 1).flat_map_values(lambda v: [v, v]),
        lambda rows: [(x % 3, v) for x in rows for v in (x + 1, x + 1)],
    ),
    "keys": (lambda ssc, s: s.map(lambda x: (x, 1)).keys(), lambda rows: rows),
    "values": (lambda ssc, s: s.map(lambda x: (1, x)).values(), lambda rows: rows),
    "transform": (
        lambda ssc, s: s.transform(lambda rdd: rdd.map(lambda x: x + 1).filter(lambda x: x > 0)),
        lambda rows: [x + 1 for x in rows if x + 1 > 0],
    ),
    "repartition": (lambda ssc, s: s.repartition(3).map(lambda x: x), lambda rows: rows),
}


@pytest.mark.parametrize("operator", NARROW)
@given(batches=numbers(), partitions=st.integers(1, 4))
def test_narrow_operator_equals_plain_python(run: RunBatches, operator: str, batches: Batches, partitions: int) -> None:
    build, oracle = NARROW[operator]
    result = run(build, batches, partitions=partitions)
    assert _sorted(result) == _sorted([oracle(batch) for batch in batches])


def _grouped(rows: list[tuple[int, int]]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for key, value in rows:
        groups.setdefault(key, []).append(value)
    return groups


KEYED: dict[str, tuple[Make, Callable[[list[tuple[int, int]]], list[Any]]]] = {
    "reduce_by_key": (
        lambda ssc, s: s.reduce_by_key(add),
        lambda rows: [(k, sum(vs)) for k, vs in _grouped(rows).items()],
    ),
    "reduce_by_key twice": (
        lambda ssc, s: s.reduce_by_key(add).reduce_by_key(max),
        lambda rows: [(k, sum(vs)) for k, vs in _grouped(rows).items()],
    ),
    "combine_by_key": (
        lambda ssc, s: s.combine_by_key(lambda v: [v], lambda c, v: [*c, v], lambda a, b: a + b).map_values(sorted),
        lambda rows: [(k, sorted(vs)) for k, vs in _grouped(rows).items()],
    ),
    "group_by_key": (
        lambda ssc, s: s.group_by_key().map_values(sorted),
        lambda rows: [(k, sorted(vs)) for k, vs in _grouped(rows).items()],
    ),
    "group then combine": (
        lambda ssc, s: s.group_by_key().combine_by_key(len, lambda c, v: c + 1, add),
        lambda rows: [(k, len(vs)) for k, vs in _grouped(rows).items()],
    ),
    "count_by_value": (lambda ssc, s: s.count_by_value(), lambda rows: list(Counter(rows).items())),
    "partition_by": (lambda ssc, s: s.partition_by(3), lambda rows: rows),
    "partition_by function": (lambda ssc, s: s.partition_by(2, lambda k: k + 1), lambda rows: rows),
    "count": (lambda ssc, s: s.count(), lambda rows: [len(rows)]),
    "reduce": (
        lambda ssc, s: s.values().reduce(add),
        lambda rows: [sum(v for _, v in rows)] if rows else [],
    ),
}


@pytest.mark.parametrize("operator", KEYED)
@given(batches=key_values(), partitions=st.integers(1, 4))
def test_keyed_operator_equals_plain_python(run: RunBatches, operator: str, batches: Batches, partitions: int) -> None:
    build, oracle = KEYED[operator]
    result = run(build, batches, partitions=partitions)
    assert _sorted(result) == _sorted([oracle(batch) for batch in batches])


def _sides(left: list[Any], right: list[Any]) -> dict[int, tuple[list[int], list[int]]]:
    a, b = _grouped(left), _grouped(right)
    return {key: (a.get(key, []), b.get(key, [])) for key in {*a, *b}}


def _join(keep_left: bool, keep_right: bool) -> Callable[[list[Any], list[Any]], list[Any]]:
    def oracle(left: list[Any], right: list[Any]) -> list[Any]:
        rows = []
        for key, (a, b) in _sides(left, right).items():
            ours: list[Any] = [*a] or ([None] if keep_right else [])
            theirs: list[Any] = [*b] or ([None] if keep_left else [])
            rows += [(key, (x, y)) for x in ours for y in theirs]
        return rows

    return oracle


JOINS: dict[str, tuple[Make, Callable[[list[Any], list[Any]], list[Any]]]] = {
    "join": (lambda ssc, a, b: a.join(b), _join(False, False)),
    "left_outer_join": (lambda ssc, a, b: a.left_outer_join(b), _join(True, False)),
    "right_outer_join": (lambda ssc, a, b: a.right_outer_join(b), _join(False, True)),
    "full_outer_join": (lambda ssc, a, b: a.full_outer_join(b), _join(True, True)),
    "join of reduced": (
        lambda ssc, a, b: a.reduce_by_key(add).join(b),
        lambda a, b: _join(False, False)([(k, sum(v)) for k, v in _grouped(a).items()], b),
    ),
    "transform_with": (lambda ssc, a, b: a.transform_with(b, lambda x, y: x.union(y)), lambda a, b: a + b),
    "union": (lambda ssc, a, b: ssc.union(a, b), lambda a, b: a + b),
}


@pytest.mark.parametrize("operator", JOINS)
@given(left=key_values(), right=key_values(), partitions=st.integers(1, 3))
def test_join_equals_plain_python(
    run: RunBatches, operator: str, left: Batches, right: Batches, partitions: int
) -> None:
    build, oracle = JOINS[operator]
    result = run(build, left, right, partitions=partitions)
    count = max(len(left), len(right))
    padded = [[*side, *([[]] * (count - len(side)))] for side in (left, right)]
    assert _sorted(result) == _sorted([oracle(a, b) for a, b in zip(*padded, strict=True)])


@given(left=key_values(), right=key_values(), partitions=st.integers(1, 3))
def test_cogroup_equals_plain_python(run: RunBatches, left: Batches, right: Batches, partitions: int) -> None:
    result = run(
        lambda ssc, a, b: a.cogroup(b).map_values(lambda sides: tuple(sorted(side) for side in sides)),
        left,
        right,
        partitions=partitions,
    )
    count = max(len(left), len(right))
    padded = [[*side, *([[]] * (count - len(side)))] for side in (left, right)]
    expected = [
        [(k, (sorted(x), sorted(y))) for k, (x, y) in _sides(a, b).items()] for a, b in zip(*padded, strict=True)
    ]
    assert _sorted(result) == _sorted(expected)

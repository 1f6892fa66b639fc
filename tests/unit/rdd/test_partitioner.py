from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.errors import ArgumentTypeError, ConfigurationError, InternalError, UserCodeError
from millstream.rdd.lineage import Held
from millstream.rdd.partitioner import (
    ByFunction,
    ByRange,
    KeyGroups,
    Partitioner,
    key_of,
    partitioner_for,
    partitions_checked,
)

keys = st.one_of(st.integers(-5, 5), st.sampled_from([True, 0.0, -0.0, 1.0]))


def by_range(partitions: int, bounds: list[Any], *, ascending: bool = True) -> ByRange:
    ranges = ByRange(partitions, ascending=ascending)
    ranges.bounds = bounds
    return ranges


def absolute(key: Any) -> int:
    return int(abs(key))


partitioners = st.sampled_from([
    KeyGroups(1), KeyGroups(3), KeyGroups(1024), ByFunction(3, absolute),
    by_range(3, [-1, 2]), by_range(3, [-1, 2], ascending=False), by_range(4, [0]), ByRange(1, ascending=True),
])  # fmt: skip


@given(st.lists(st.tuples(keys, st.integers())), partitioners)
def test_splitting_agrees_with_partition_of_and_keeps_the_order(
    pairs: list[tuple[Any, int]], partitioner: Partitioner
) -> None:
    parts = partitioner.split_pairs(pairs)
    assert parts == [[p for p in pairs if partitioner.partition_of(p[0]) == n] for n in range(partitioner.partitions)]
    combined = dict(pairs)
    dicts = partitioner.split_dict(combined)
    assert [list(part.items()) for part in dicts] == [
        [(k, v) for k, v in combined.items() if partitioner.partition_of(k) == n] for n in range(partitioner.partitions)
    ]


@given(keys, keys, partitioners)
def test_equal_keys_go_together(one: Any, two: Any, partitioner: Partitioner) -> None:
    assert one != two or partitioner.partition_of(one) == partitioner.partition_of(two)


def test_partitioners_are_equal_when_they_assign_alike() -> None:
    assert KeyGroups(3) == KeyGroups(3) != KeyGroups(4)
    assert len({KeyGroups(3), KeyGroups(3), ByFunction(3, absolute), ByFunction(3, absolute)}) == 2
    assert ByFunction(3, absolute) == ByFunction(3, absolute) != ByFunction(3, lambda key: key)
    assert ByFunction(3, absolute) != KeyGroups(3)
    ranges = by_range(2, [1])
    assert ranges == ranges
    assert ranges != by_range(2, [1])


def test_ranges_put_a_bound_into_the_partition_it_ends() -> None:
    ascending, descending = by_range(3, [10, 20]), by_range(3, [10, 20], ascending=False)
    assert [ascending.partition_of(key) for key in (5, 10, 11, 20, 21)] == [0, 0, 1, 1, 2]
    assert [descending.partition_of(key) for key in (5, 10, 11, 20, 21)] == [2, 1, 1, 0, 0]


def test_ranges_without_bounds_cannot_be_used() -> None:
    with pytest.raises(InternalError):
        ByRange(2, ascending=True).partition_of(1)


def test_a_partition_function_is_held_to_what_it_must_give() -> None:
    with pytest.raises(ArgumentTypeError, match="must return an int"):
        ByFunction(2, lambda key: "1").partition_of("a")  # type: ignore[arg-type,return-value]
    with pytest.raises(UserCodeError, match="ZeroDivisionError"):
        ByFunction(2, lambda key: 1 // key).partition_of(0)
    assert ByFunction(3, lambda key: -1).partition_of("a") == 2


def test_who_decides_over_partitions() -> None:
    plain, two, five = Held([[]]), Held([[]] * 2, KeyGroups(2)), Held([[]] * 5, KeyGroups(5))
    ranged = Held([[]] * 7, by_range(7, []))
    assert partitioner_for([two, five], 3, 9) == KeyGroups(3)
    assert partitioner_for([plain, two, five], None, 9) == KeyGroups(5)
    assert partitioner_for([plain], None, 9) == KeyGroups(9)
    assert partitioner_for([ranged], None, 9) is ranged.partitioner
    assert partitioner_for([ranged, two], None, 9) == KeyGroups(2)


@pytest.mark.parametrize("record", ["ab", ["a", 1], ("a",), ("a", 1, 2), None])
def test_key_of_refuses_what_is_no_pair(record: Any) -> None:
    assert key_of(("a", 1)) == "a"
    with pytest.raises(ArgumentTypeError, match="not a pair"):
        key_of(record)


@pytest.mark.parametrize(("partitions", "kind"), [
    (0, ConfigurationError), (-1, ConfigurationError), (1025, ConfigurationError),
    ("2", ArgumentTypeError), (2.0, ArgumentTypeError), (True, ArgumentTypeError),
])  # fmt: skip
def test_bad_numbers_of_partitions(partitions: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="partitions"):
        partitions_checked(partitions, 1)
    assert partitions_checked(None, 7) == 7
    assert partitions_checked(1024, 7) == 1024

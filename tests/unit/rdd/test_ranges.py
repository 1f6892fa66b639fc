from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millstream.rdd.ranges import SampleKeys, bounds_of


@given(st.lists(st.lists(st.integers(0, 50), max_size=80), min_size=1, max_size=4), st.integers(1, 6))
def test_bounds_ascend_and_are_no_more_than_asked_for(parts: list[list[int]], ranges: int) -> None:
    samples = [SampleKeys(20)([(key, None) for key in part]) for part in parts]
    bounds = bounds_of(samples, ranges)
    assert len(bounds) <= ranges - 1
    assert bounds == sorted(set(bounds))
    assert set(bounds) <= {key for part in parts for key in part}


@given(st.integers(0, 300), st.integers(1, 40))
def test_a_sample_is_of_the_size_asked_for_and_always_the_same(count: int, size: int) -> None:
    pairs = [(number, "value") for number in range(count)]
    total, keys = SampleKeys(size)(pairs)
    assert total == count
    assert len(keys) == min(size, count)
    assert set(keys) <= set(range(count))
    assert SampleKeys(size)(pairs) == (total, keys)
    if count <= size:
        assert keys == list(range(count))


def test_a_sample_is_spread_over_the_partition_whatever_its_period() -> None:
    _, keys = SampleKeys(100)([(number % 2, None) for number in range(10_000)])
    assert 40 <= sum(keys) <= 60


def test_partitions_weigh_as_much_as_they_hold() -> None:
    small, large = (10, list(range(10))), (990, list(range(100, 110)))
    assert all(bound >= 100 for bound in bounds_of([small, large], 4))


def test_one_frequent_key_takes_the_bounds_of_several_ranges() -> None:
    assert bounds_of([(10, [5] * 10)], 4) == [5]
    assert bounds_of([(0, [])], 4) == []

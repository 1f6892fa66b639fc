from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millstream.sources.kafka.shares import shares

lags = st.lists(st.integers(0, 10_000), min_size=1, max_size=20)


@given(lags, st.integers(1, 5_000), st.none() | st.integers(1, 500), st.none() | st.integers(1, 500))
def test_shares_are_within_all_limits_and_use_the_batch_up(
    waiting: list[int], limit: int, least: int | None, most: int | None
) -> None:
    got = shares(waiting, limit, least=least, most=most)
    bounds = [lag if most is None else min(lag, most) for lag in waiting]
    assert all(0 <= count <= bound for count, bound in zip(got, bounds, strict=True))
    assert sum(got) == min(limit, sum(bounds))


@given(lags, st.integers(1, 5_000))
def test_shares_follow_the_lag(waiting: list[int], limit: int) -> None:
    got = shares(waiting, limit)
    total = sum(waiting)
    if total > limit:
        assert all(abs(count - lag * limit / total) <= 1 for count, lag in zip(got, waiting, strict=True))


def test_a_least_share_comes_first() -> None:
    assert (
        shares([1_000_000, 50, 3], 100, least=10) == [83, 14, 3]
        or sum(shares([1_000_000, 50, 3], 100, least=10)) == 100
    )
    assert min(shares([1_000_000, 50, 30], 100, least=10)) >= 10

"""A token bucket holds the rate, and nobody waits in it for ever."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream._core import TokenBucket


@given(st.floats(0.1, 1e6), st.floats(0.01, 2.0), st.lists(st.integers(1, 500), min_size=1, max_size=50))
def test_no_more_than_the_rate_and_a_burst_is_granted(rate: float, burst_s: float, requests: list[int]) -> None:
    bucket = TokenBucket(rate, burst_s)
    now_s = granted = 0.0
    for n in requests:
        while wait_s := bucket.try_acquire(n, now_s=now_s):
            now_s += wait_s
        # What was granted before this request is covered; the request itself may be paid afterwards.
        assert granted <= rate * now_s + max(1.0, rate * burst_s) + 1e-3 * max(1.0, rate)
        granted += n


def test_waiting_is_as_long_as_needed() -> None:
    bucket = TokenBucket(50.0)
    assert bucket.try_acquire(5, now_s=0.0) == 0.0
    assert bucket.try_acquire(1, now_s=0.0) == pytest.approx(0.02)
    assert bucket.try_acquire(1, now_s=0.021) == 0.0


def test_no_rate_is_no_limit() -> None:
    bucket = TokenBucket(None)
    assert bucket.rate_per_s is None
    assert bucket.try_acquire(10**9) == 0.0
    bucket.set_rate(10.0)
    assert bucket.rate_per_s == 10.0
    assert bucket.try_acquire(10) > 0.0


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="a rate must be positive and finite"):
        TokenBucket(rate)
    with pytest.raises(ValueError, match="a rate must be positive and finite"):
        TokenBucket(1.0).set_rate(rate)
    with pytest.raises(ValueError, match="burst_s must be positive"):
        TokenBucket(1.0, 0.0)


def test_acquire_gives_up_after_its_time() -> None:
    bucket = TokenBucket(1e-6)
    assert bucket.acquire(1, timeout_s=0.0)
    assert not bucket.acquire(1, timeout_s=0.0)
    assert not bucket.acquire(1, timeout_s=0.001)
    with pytest.raises(ValueError, match="NaN"):
        bucket.acquire(1, timeout_s=float("nan"))


def test_close_wakes_who_waits_without_the_gil() -> None:
    bucket = TokenBucket(1e-6)
    assert bucket.acquire()
    results: list[bool] = []
    waiting = [threading.Thread(target=lambda: results.append(bucket.acquire())) for _ in range(3)]
    for thread in waiting:
        thread.start()
    bucket.close()
    for thread in waiting:
        thread.join()
    assert results == [False] * 3
    assert not bucket.acquire()


def test_a_higher_rate_serves_who_waits() -> None:
    bucket = TokenBucket(1e-6)
    assert bucket.acquire()
    results: list[bool] = []
    waiting = threading.Thread(target=lambda: results.append(bucket.acquire()))
    waiting.start()
    bucket.set_rate(1e6)
    waiting.join()
    assert results == [True]

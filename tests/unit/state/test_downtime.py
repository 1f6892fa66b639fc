"""Downtimes: what they come to over many starts, and how long a key was idle."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from millstream.state.downtime import Downtime, idle_since, uptime_ms, with_downtime

starts = st.lists(st.tuples(st.integers(0, 6), st.integers(-4, 12)), max_size=6)
"""Of each life, how far its batches come, and how long after its newest batch the next one begins; clocks go back."""


def spans(lives: list[tuple[int, int]]) -> tuple[tuple[Downtime, ...], int]:
    downtimes: tuple[Downtime, ...] = ()
    planned = 0
    for ran, down in lives:
        planned += ran
        downtimes = with_downtime(downtimes, planned, planned + down)
    return downtimes, planned


@given(starts)
def test_downtimes_are_in_order_and_apart(lives: list[tuple[int, int]]) -> None:
    downtimes, _ = spans(lives)
    assert all(span.after_ms < span.until_ms for span in downtimes)
    assert all(a.until_ms <= b.after_ms for a, b in pairwise(downtimes))


@given(starts, st.integers(0, 12))
def test_a_start_changes_the_uptime_of_no_batch_before_it(lives: list[tuple[int, int]], down: int) -> None:
    downtimes, planned = spans(lives)
    later = with_downtime(downtimes, planned, planned + down)
    times = range(planned + 1)
    assert [uptime_ms(time, later) for time in times] == [uptime_ms(time, downtimes) for time in times]


@given(starts, st.integers(1, 9), st.integers(0, 15))
def test_keys_are_due_that_were_idle_for_longer_than_the_timeout(
    lives: list[tuple[int, int]], timeout: int, later: int
) -> None:
    downtimes, planned = spans(lives)
    now = planned + later
    before = idle_since(now - timeout, downtimes, now)
    for touched in range(now + 1):
        was_idle = uptime_ms(now, downtimes) - uptime_ms(touched, downtimes)
        assert (touched < before) == (was_idle > timeout)

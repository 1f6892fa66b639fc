from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.errors import InternalError
from millstream.recovery.decisions import BatchDone, BatchPlanned, BatchPrepared, Decision, InputPlan, SplitPlan
from millstream.recovery.journal import MemoryJournal


def batch(time_ms: int) -> tuple[Decision, Decision, Decision]:
    inputs = (InputPlan("a", blocks=(time_ms,)), InputPlan("files", splits=(SplitPlan({"path": "x"}, 3),), position=7))
    return BatchPlanned(time_ms, time_ms - 10, time_ms, inputs), BatchPrepared(time_ms, 0), BatchDone(time_ms)


def test_what_was_appended_is_given_back_in_order() -> None:
    journal = MemoryJournal()
    first, second = batch(10), batch(20)
    order = [first[0], first[1], second[0], first[2], second[1]]
    for decision in order:
        journal.append(decision)
    assert list(journal.decisions()) == order


def test_only_the_last_batch_that_is_done_and_later_ones_are_kept() -> None:
    journal = MemoryJournal()
    for time_ms in (10, 20, 30):
        for decision in batch(time_ms):
            journal.append(decision)
    running = batch(40)[0]
    journal.append(running)
    assert list(journal.decisions()) == [*batch(30), running]


@given(st.integers(0, 40), st.booleans())
def test_the_journal_stays_small_also_when_the_next_batch_runs_ahead(count: int, ahead: bool) -> None:
    journal = MemoryJournal()
    for k in range(1, count + 1):
        planned, prepared, done = batch(10 * k)
        if not ahead or k == 1:
            journal.append(planned)
        journal.append(prepared)
        if ahead:
            journal.append(batch(10 * k + 10)[0])
        journal.append(done)
        kept = list(journal.decisions())
        assert all(decision in kept for decision in (planned, prepared, done))
        assert len(kept) <= 4


def test_a_repeated_end_is_kept_once() -> None:
    journal = MemoryJournal()
    for decision in (*batch(10), *batch(20), BatchDone(20)):
        journal.append(decision)
    assert list(journal.decisions()) == list(batch(20))


def test_an_end_out_of_order_is_refused() -> None:
    journal = MemoryJournal()
    journal.append(BatchDone(20))
    with pytest.raises(InternalError, match="out of order"):
        journal.append(BatchDone(10))


def test_reading_is_not_disturbed_by_appending() -> None:
    journal = MemoryJournal()
    journal.append(batch(10)[0])
    reading = journal.decisions()
    journal.append(batch(20)[0])
    assert list(reading) == [batch(10)[0]]

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.control.scenario import block, end, live, planned, started

from millstream.control.admission import Admission
from millstream.control.facts import BatchDue, BatchFinished, BatchPlanned, BlockStored
from millstream.control.grid import BatchGrid
from millstream.control.instructions import HoldInputs, Instruction, PlanBatch, ReportSkipped, ResumeInputs
from millstream.control.unplanned_blocks import UnplannedBlocks
from millstream.errors import InternalError

NO_BLOCKS: dict[str, tuple[int, ...]] = {"a": (), "b": ()}


def test_overdue_batch_times_are_merged_into_the_latest_and_reported() -> None:
    machine = started()
    live(machine, 10)
    machine.handle(block(1, 20))
    machine.handle(block(2, 40))
    assert machine.handle(BatchDue(50)) == (
        ReportSkipped(from_ms=20, to_ms=40, count=3, slides_count=0),
        PlanBatch(50, 10, {"a": (1, 2), "b": ()}),
    )


def test_overdue_times_of_slides_get_batches_of_their_own() -> None:
    machine = started(slides_ms=(30,))
    machine.handle(block(1, 20))
    machine.handle(block(2, 40))
    assert machine.handle(BatchDue(80)) == (
        ReportSkipped(10, 20, count=2, slides_count=0),
        PlanBatch(30, 0, {"a": (1,), "b": ()}),
        HoldInputs(),
    )
    machine.handle(BatchPlanned(30, {}))
    assert end(machine, 30) == (ReportSkipped(40, 50, 2, 0), PlanBatch(60, 30, {"a": (2,), "b": ()}))
    machine.handle(BatchPlanned(60, {}))
    assert end(machine, 60) == (ReportSkipped(70, 70, 1, 0), ResumeInputs(), PlanBatch(80, 60, NO_BLOCKS))


def test_when_too_many_slides_are_overdue_the_oldest_are_skipped_and_counted() -> None:
    machine = started(slides_ms=(20,), max_queued_batches=2)
    first = machine.handle(BatchDue(1_010))
    assert first[:2] == (ReportSkipped(10, 970, count=97, slides_count=48), PlanBatch(980, 0, NO_BLOCKS))


def test_a_clock_that_goes_backwards_plans_nothing() -> None:
    machine = started()
    live(machine, 50)
    assert [machine.handle(BatchDue(time_ms)) for time_ms in (50, 40, 10, 0, -10)] == [()] * 5
    assert machine.handle(BatchDue(60)) == (PlanBatch(60, 50, NO_BLOCKS),)


def test_a_due_time_that_goes_backwards_while_a_batch_runs_is_forgotten() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(BatchDue(30))
    machine.handle(BatchDue(20))
    assert end(machine, 10)[-1] == PlanBatch(30, 10, NO_BLOCKS)


def test_inputs_are_held_once_when_too_many_batches_wait_and_resumed_when_none_does() -> None:
    machine = started(max_queued_batches=3)
    planned(machine, 10)
    given_by_time = {time_ms: machine.handle(BatchDue(time_ms)) for time_ms in range(20, 80, 10)}
    assert given_by_time == {20: (), 30: (), 40: (), 50: (HoldInputs(),), 60: (), 70: ()}
    assert end(machine, 10) == (ReportSkipped(20, 60, 5, 0), ResumeInputs(), PlanBatch(70, 10, NO_BLOCKS))
    machine.handle(BatchPlanned(70, {}))
    assert [machine.handle(BatchDue(time_ms)) for time_ms in (100, 110)] == [(), (HoldInputs(),)]


def test_after_a_long_sleep_only_what_waits_behind_slides_holds_the_inputs() -> None:
    assert HoldInputs() not in started().handle(BatchDue(100_000))
    assert HoldInputs() in started(slides_ms=(1_000,)).handle(BatchDue(100_050))


@given(
    slides=st.lists(st.integers(2, 12), max_size=3),
    kept_max=st.integers(1, 5),
    after=st.integers(0, 60),
    overdue=st.integers(1, 60),
    interval_ms=st.sampled_from([1, 2, 500]),
    zero_ms=st.sampled_from([0, 1_700_000_000_000, -7]),
)
def test_the_plan_of_overdue_times_is_the_latest_and_the_latest_slides_before_it(
    slides: list[int], kept_max: int, after: int, overdue: int, interval_ms: int, zero_ms: int
) -> None:
    grid = BatchGrid(interval_ms, zero_ms, tuple(slide * interval_ms for slide in slides), kept_max)
    due = after + overdue
    with_slide = [k for k in range(after + 1, due) if any(k % slide == 0 for slide in slides)]
    wanted = [*with_slide[-kept_max:], due]
    planned_steps, step, skipped = [], after, 0
    while step < due:
        planned_ms = grid.next_time(zero_ms + step * interval_ms, zero_ms + due * interval_ms)
        before, step = step, (planned_ms - zero_ms) // interval_ms
        planned_steps.append(step)
        if step > before + 1:
            report = grid.skipped(zero_ms + before * interval_ms, planned_ms)
            assert (report.from_ms, report.to_ms) == (
                zero_ms + (before + 1) * interval_ms,
                zero_ms + (step - 1) * interval_ms,
            )
            merged = range(before + 1, step)
            assert report.count == len(merged)
            assert report.slides_count == sum(k % slide == 0 for k in merged for slide in slides)
            skipped += report.count
    assert planned_steps == wanted
    assert skipped + len(planned_steps) == overdue


def test_the_cost_of_a_plan_does_not_depend_on_how_long_the_driver_slept() -> None:
    grid = BatchGrid(2, 0, slides_ms=(10, 600), kept_slides_max=3)
    year_ms = 365 * 86_400_000
    assert grid.next_time(0, year_ms) == year_ms - 30  # a loop over all of them would not come back


def test_a_block_goes_to_the_first_batch_at_or_after_its_slot() -> None:
    machine = started()
    for stored in (block(1, 10), block(2, 30), block(3, 20, name="b"), block(4, 20)):
        machine.handle(stored)
    assert machine.handle(BatchDue(10)) == (PlanBatch(10, 0, {"a": (1,), "b": ()}),)
    machine.handle(BatchPlanned(10, {}))
    machine.handle(BatchDue(20))
    assert end(machine, 10) == (PlanBatch(20, 10, {"a": (4,), "b": (3,)}),)
    machine.handle(BatchPlanned(20, {}))
    machine.handle(BatchDue(30))
    assert end(machine, 20) == (PlanBatch(30, 20, {"a": (2,), "b": ()}),)


def test_a_block_that_comes_after_its_batch_was_planned_goes_to_the_next() -> None:
    machine = started()
    machine.handle(BatchDue(10))
    machine.handle(block(1, 10))
    machine.handle(BatchPlanned(10, {}))
    machine.handle(BatchDue(20))
    assert end(machine, 10) == (PlanBatch(20, 10, {"a": (1,), "b": ()}),)


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (block(2, 15), "not a batch time"),
        (block(1, 20), "stored twice"),
        (block(2, 20, name="files"), "not a receiver"),
        (block(2, 20, name="nobody"), "not a receiver"),
    ],
)
def test_a_block_that_cannot_be_is_refused(stored: BlockStored, why: str) -> None:
    machine = started()
    machine.handle(block(1, 10))
    with pytest.raises(InternalError, match=why):
        machine.handle(stored)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("store"), st.sampled_from("ab"), st.integers(0, 12)),
            st.tuples(st.just("take"), st.just(""), st.integers(0, 12)),
        )
    )
)
def test_blocks_are_taken_once_in_the_order_in_which_they_were_stored(steps: list[tuple[str, str, int]]) -> None:
    blocks = UnplannedBlocks("ab")
    waiting: list[BlockStored] = []
    for number, (step, name, time_ms) in enumerate(steps):
        if step == "store":
            waiting.append(BlockStored(name, number, time_ms, 1))
            blocks.store(waiting[-1])
        else:
            taken = blocks.take(time_ms)
            for key in "ab":
                ready = [stored for stored in waiting if stored.input == key and stored.batch_ms <= time_ms]
                assert list(taken[key].values()) == ready
            waiting = [stored for stored in waiting if stored.batch_ms > time_ms]
        assert blocks.newest_ms == max((stored.batch_ms for stored in waiting), default=None)
        assert sum(map(len, blocks.left().values())) == len(waiting)


def test_nothing_is_planned_while_nothing_is_due() -> None:
    machine = started()
    given_back: tuple[Instruction, ...] = machine.handle(block(1, 10))
    assert given_back == ()
    assert live(machine, 10) == ()
    assert machine.handle(BatchFinished(10)) == ()


def test_inputs_are_not_held_for_ever_where_batches_of_slides_take_longer_than_the_slide() -> None:
    admission = Admission(BatchGrid(10, 0, slides_ms=(20,), kept_slides_max=3), max_queued_batches=3)
    steps: list[str] = []
    for now_ms in range(50, 2_000, 50):  # Each batch takes five intervals.
        admission.note_due(now_ms)
        steps += ["hold"] * len(admission.hold())
        steps += ["resume" for told in admission.take_next()[1] if isinstance(told, ResumeInputs)]
    assert admission.is_waiting
    assert steps[:4] == ["hold", "resume", "hold", "resume"]

from __future__ import annotations

import pytest
from tests.unit.control.scenario import FINAL, TRANSIENT, block, end, live, planned, prepared, started

from millstream.control.facts import (
    BatchDue,
    BatchFailed,
    BatchPlanned,
    CommitFailed,
    Fact,
    PlanFailed,
    ReceiversStopped,
    RetryDue,
    StopRequested,
    StopTimedOut,
)
from millstream.control.failure import Failure
from millstream.control.instructions import (
    HoldInputs,
    Left,
    PlanBatch,
    ReportSkipped,
    ResumeInputs,
    RollBackBatch,
    RunBatch,
    ScheduleRetry,
    StopReceivers,
    StopStream,
)
from millstream.control.machine import Machine, Mode
from millstream.errors import InternalError

GRACEFUL = StopRequested(graceful=True)
AT_ONCE = StopRequested(graceful=False)
CLEAN = StopStream(None, Left((), {}, None))


def test_a_graceful_stop_processes_what_was_received_in_one_last_batch() -> None:
    machine = started()
    live(machine, 10)
    assert machine.handle(GRACEFUL) == (StopReceivers(),)
    assert machine.handle(block(1, 20)) == ()
    assert machine.handle(ReceiversStopped()) == ()
    assert machine.handle(block(2, 20, name="b")) == ()
    assert machine.handle(BatchDue(20)) == (PlanBatch(20, 10, {"a": (1,), "b": (2,)}),)
    assert machine.handle(BatchPlanned(20, {})) == (RunBatch(20, 0, ("x", "y")),)
    assert machine.handle(BatchDue(30)) == ()
    assert end(machine, 20) == (CLEAN,)


def test_a_graceful_stop_with_nothing_received_needs_no_last_batch() -> None:
    machine = started()
    live(machine, 10)
    machine.handle(GRACEFUL)
    assert machine.handle(ReceiversStopped()) == ()
    assert machine.handle(BatchDue(20)) == (CLEAN,)


def test_batches_go_on_while_receivers_end() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(GRACEFUL)
    machine.handle(block(1, 20))
    machine.handle(BatchDue(20))
    assert end(machine, 10) == (PlanBatch(20, 10, {"a": (1,), "b": ()}),)
    machine.handle(ReceiversStopped())
    machine.handle(BatchPlanned(20, {}))
    assert end(machine, 20) == ()
    assert machine.handle(BatchDue(30)) == (CLEAN,)


def test_the_last_batch_waits_for_the_batch_in_flight_and_takes_the_batch_times_between() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(GRACEFUL)
    machine.handle(BatchDue(30))
    machine.handle(ReceiversStopped())
    assert machine.handle(BatchDue(40)) == ()
    last = end(machine, 10)
    assert last == (ReportSkipped(20, 30, 2, 0), PlanBatch(40, 10, {"a": (), "b": ()}))
    machine.handle(BatchPlanned(40, {}))
    assert end(machine, 40) == (CLEAN,)


def test_windows_that_are_overdue_at_a_graceful_stop_are_planned() -> None:
    machine = started(slides_ms=(20,))
    machine.handle(block(1, 10))
    machine.handle(GRACEFUL)
    machine.handle(ReceiversStopped())
    assert machine.handle(BatchDue(30))[-1] == PlanBatch(20, 0, {"a": (1,), "b": ()})
    machine.handle(BatchPlanned(20, {}))
    assert end(machine, 20) == (PlanBatch(30, 20, {"a": (), "b": ()}),)
    machine.handle(BatchPlanned(30, {}))
    assert end(machine, 30) == (CLEAN,)


@pytest.mark.parametrize("last_due_ms", [10, 20, 30])
def test_no_block_is_left_behind_by_a_clock_that_went_backwards(last_due_ms: int) -> None:
    machine = started()
    live(machine, 30)
    machine.handle(GRACEFUL)
    machine.handle(block(1, 20))
    machine.handle(ReceiversStopped())
    assert machine.handle(BatchDue(last_due_ms)) == (PlanBatch(40, 30, {"a": (1,), "b": ()}),)
    machine.handle(BatchPlanned(40, {}))
    assert end(machine, 40) == (CLEAN,)


def test_no_block_is_left_behind_that_is_later_than_the_last_batch_time() -> None:
    machine = started()
    machine.handle(block(1, 50))
    machine.handle(GRACEFUL)
    machine.handle(ReceiversStopped())
    assert machine.handle(BatchDue(20))[-1] == PlanBatch(50, 0, {"a": (1,), "b": ()})
    machine.handle(block(2, 50))
    machine.handle(BatchPlanned(50, {}))
    assert end(machine, 50) == (PlanBatch(60, 50, {"a": (2,), "b": ()}),)
    machine.handle(BatchPlanned(60, {}))
    assert end(machine, 60) == (CLEAN,)


def test_a_batch_is_retried_also_during_a_graceful_stop() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(GRACEFUL)
    machine.handle(ReceiversStopped())
    machine.handle(BatchDue(20))
    assert machine.handle(BatchFailed(10, 0, TRANSIENT))[1] == ScheduleRetry(10, 100)
    machine.handle(RetryDue(10))
    assert end(machine, 10, attempt=1) == (CLEAN,)


def test_a_batch_that_fails_for_good_ends_a_graceful_stop_with_its_error() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(GRACEFUL)
    assert machine.handle(BatchFailed(10, 0, FINAL)) == (
        RollBackBatch(10, 0, ("x", "y")),
        StopStream(FINAL, Left((10,), {}, FINAL)),
    )


def test_no_inputs_are_held_once_receivers_stop_but_held_ones_are_resumed() -> None:
    machine = started(max_queued_batches=1)
    planned(machine, 10)
    assert machine.handle(BatchDue(30)) == (HoldInputs(),)
    machine.handle(GRACEFUL)
    machine.handle(BatchDue(40))
    assert ResumeInputs() in end(machine, 10)
    machine.handle(BatchPlanned(40, {}))
    assert machine.handle(BatchDue(90)) == ()


def test_an_ungraceful_stop_finishes_the_batch_in_flight_and_plans_no_other() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(block(1, 20, records=4))
    machine.handle(block(2, 20, records=3))
    machine.handle(BatchDue(20))
    assert machine.handle(AT_ONCE) == (StopReceivers(),)
    assert machine.handle(BatchDue(30)) == ()
    assert machine.handle(ReceiversStopped()) == ()
    assert end(machine, 10) == (StopStream(None, Left((), {"a": 7}, None)),)


def test_an_ungraceful_stop_of_an_idle_stream_is_immediate() -> None:
    machine = started()
    assert machine.handle(AT_ONCE) == (StopReceivers(), CLEAN)


def test_an_ungraceful_stop_does_not_run_a_batch_that_is_being_planned() -> None:
    machine = started()
    machine.handle(BatchDue(10))
    machine.handle(AT_ONCE)
    assert machine.handle(BatchPlanned(10, {"a": 2, "files": 9})) == (
        StopStream(None, Left((10,), {"a": 2, "files": 9}, None)),
    )


@pytest.mark.parametrize("failure", [TRANSIENT, FINAL])
def test_an_ungraceful_stop_retries_nothing_and_tells_what_failed(failure: Failure) -> None:
    left = StopStream(None, Left((10,), {}, failure))
    machine = started()
    machine.handle(BatchDue(10))
    machine.handle(AT_ONCE)
    assert machine.handle(PlanFailed(10, failure)) == (left,)
    machine = started()
    planned(machine, 10)
    machine.handle(AT_ONCE)
    assert machine.handle(BatchFailed(10, 0, failure)) == (RollBackBatch(10, 0, ("x", "y")), left)
    machine = started()
    prepared(machine, 10)
    machine.handle(AT_ONCE)
    assert machine.handle(CommitFailed(10, "x", failure)) == (left,)


def test_an_ungraceful_stop_does_not_wait_for_a_retry() -> None:
    machine = started()
    machine.handle(block(1, 10, records=4))
    planned(machine, 10)
    machine.handle(BatchFailed(10, 0, TRANSIENT))
    assert machine.handle(AT_ONCE) == (StopReceivers(), StopStream(None, Left((10,), {}, TRANSIENT)))


def test_an_ungraceful_stop_counts_the_blocks_of_a_batch_that_never_was_planned() -> None:
    machine = started()
    machine.handle(block(1, 10, records=4))
    machine.handle(BatchDue(10))
    machine.handle(block(2, 20, records=5))
    machine.handle(PlanFailed(10, TRANSIENT))
    assert machine.handle(AT_ONCE)[1] == StopStream(None, Left((10,), {"a": 9}, TRANSIENT))


@pytest.mark.parametrize("facts", [[], [ReceiversStopped()], [ReceiversStopped(), BatchDue(20)]])
def test_a_second_stop_cuts_a_graceful_one_short(facts: list[Fact]) -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(block(1, 20))
    machine.handle(GRACEFUL)
    for fact in facts:
        machine.handle(fact)
    assert machine.handle(AT_ONCE) == ()
    assert machine.mode is Mode.HALTING
    assert end(machine, 10) == (StopStream(None, Left((), {"a": 1}, None)),)


def test_a_second_stop_ends_a_graceful_one_that_only_waits_for_receivers() -> None:
    machine = started()
    machine.handle(GRACEFUL)
    assert machine.handle(AT_ONCE) == (CLEAN,)


@pytest.mark.parametrize("repeated", [[GRACEFUL, GRACEFUL], [AT_ONCE, AT_ONCE], [AT_ONCE, GRACEFUL]])
def test_a_stop_that_is_no_more_urgent_changes_nothing(repeated: list[Fact]) -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(repeated[0])
    before = machine.mode
    assert machine.handle(repeated[1]) == ()
    assert machine.mode is before


def bring_to(mode: Mode) -> Machine:
    """A machine with a batch that runs and blocks that wait, in one of the modes of stopping."""
    machine = started()
    machine.handle(block(1, 10, records=2))
    planned(machine, 10)
    machine.handle(block(2, 20, records=3))
    machine.handle(AT_ONCE if mode is Mode.HALTING else GRACEFUL)
    if mode in (Mode.AWAITING_LAST_DUE, Mode.FLUSHING):
        machine.handle(ReceiversStopped())
    if mode is Mode.FLUSHING:
        machine.handle(BatchDue(20))
    assert machine.mode is mode
    return machine


@pytest.mark.parametrize("mode", [Mode.STOPPING_RECEIVERS, Mode.AWAITING_LAST_DUE, Mode.FLUSHING, Mode.HALTING])
def test_a_stop_that_takes_too_long_ends_with_what_is_left(mode: Mode) -> None:
    machine = bring_to(mode)
    assert machine.handle(StopTimedOut()) == (StopStream(None, Left((10,), {"a": 3}, None)),)
    assert machine.handle(StopTimedOut()) == ()
    assert machine.mode is Mode.STOPPED


@pytest.mark.parametrize("mode", [Mode.AWAITING_LAST_DUE, Mode.FLUSHING])
def test_receivers_stop_once(mode: Mode) -> None:
    with pytest.raises(InternalError, match="stopped already"):
        bring_to(mode).handle(ReceiversStopped())


@pytest.mark.parametrize("impossible", [ReceiversStopped(), StopTimedOut()])
def test_nothing_of_a_stop_happens_while_nobody_asked_for_one(impossible: Fact) -> None:
    with pytest.raises(InternalError):
        started().handle(impossible)

from __future__ import annotations

import pytest
from tests.unit.control.scenario import (
    FINAL,
    PROGRAM,
    TRANSIENT,
    USER,
    block,
    end,
    live,
    planned,
    prepared,
    started,
)

from millstream.control.facts import (
    BatchDue,
    BatchFailed,
    BatchFinished,
    BatchPlanned,
    BatchPrepared,
    CommitFailed,
    Fact,
    FinishFailed,
    OutputCommitted,
    PlanFailed,
    ProgramStarted,
    RetryDue,
)
from millstream.control.failure import Failure
from millstream.control.instructions import (
    CommitOutput,
    FinishBatch,
    Left,
    PlanBatch,
    RollBackBatch,
    RunBatch,
    ScheduleRetry,
    StartReceiver,
    StopReceivers,
    StopStream,
)
from millstream.control.machine import Machine, Mode
from millstream.errors import InternalError


def stopped(failure: Failure | None, *times_ms: int, last: Failure | None = None) -> StopStream:
    return StopStream(failure, Left(times_ms, {}, last or failure))


def test_one_batch_from_its_block_to_its_end() -> None:
    machine = Machine()
    assert machine.handle(PROGRAM) == (StartReceiver("a"), StartReceiver("b"))
    assert machine.handle(block(7, 10)) == ()
    assert machine.handle(BatchDue(10)) == (PlanBatch(10, 0, {"a": (7,), "b": ()}),)
    assert machine.handle(BatchPlanned(10, {"a": 1})) == (RunBatch(10, 0, ("x", "y")),)
    assert machine.handle(BatchPrepared(10, 0)) == (CommitOutput(10, "x"),)
    assert machine.handle(OutputCommitted(10, "x")) == (CommitOutput(10, "y"),)
    assert machine.handle(OutputCommitted(10, "y")) == (FinishBatch(10),)
    assert machine.handle(BatchFinished(10)) == ()
    assert machine.handle(BatchDue(20)) == (PlanBatch(20, 10, {"a": (), "b": ()}),)


def test_a_batch_that_comes_due_while_another_runs_waits_for_its_end() -> None:
    machine = started()
    planned(machine, 10)
    assert machine.handle(BatchDue(20)) == ()
    assert end(machine, 10) == (PlanBatch(20, 10, {"a": (), "b": ()}),)


def test_a_transient_failure_is_rolled_back_and_retried_with_growing_pauses_up_to_the_limit() -> None:
    machine = started(batch_retries=3, retry_initial_ms=100, retry_max_ms=300)
    planned(machine, 10)
    for attempt, delay_ms in enumerate((100, 200, 300)):
        undone = RollBackBatch(10, attempt, ("x", "y"))
        assert machine.handle(BatchFailed(10, attempt, TRANSIENT)) == (undone, ScheduleRetry(10, delay_ms))
        assert machine.handle(RetryDue(10)) == (RunBatch(10, attempt + 1, ("x", "y")),)
    assert machine.handle(BatchFailed(10, 3, TRANSIENT)) == (
        RollBackBatch(10, 3, ("x", "y")),
        StopReceivers(),
        stopped(TRANSIENT, 10),
    )


def test_a_batch_that_succeeds_in_a_retry_goes_on_as_if_nothing_had_happened() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(BatchFailed(10, 0, TRANSIENT))
    machine.handle(RetryDue(10))
    assert end(machine, 10, attempt=1) == ()
    assert machine.handle(BatchDue(20)) == (PlanBatch(20, 10, {"a": (), "b": ()}),)


def test_an_error_of_user_code_is_retried_once() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(BatchFailed(10, 0, USER))
    machine.handle(RetryDue(10))
    assert machine.handle(BatchFailed(10, 1, USER))[1:] == (StopReceivers(), stopped(USER, 10))


def test_an_error_of_user_code_is_retried_once_also_between_transient_ones() -> None:
    machine = started(batch_retries=5)
    planned(machine, 10)
    for attempt, failure in enumerate((TRANSIENT, USER, TRANSIENT)):
        assert len(machine.handle(BatchFailed(10, attempt, failure))) == 2
        machine.handle(RetryDue(10))
    assert machine.handle(BatchFailed(10, 3, USER))[-1] == stopped(USER, 10)


def test_each_batch_has_its_own_retries() -> None:
    machine = started(batch_retries=1)
    for time_ms in (10, 20, 30):
        planned(machine, time_ms)
        assert machine.handle(BatchFailed(time_ms, 0, USER))[1] == ScheduleRetry(time_ms, 100)
        machine.handle(RetryDue(time_ms))
        end(machine, time_ms, attempt=1)


@pytest.mark.parametrize(("failure", "retries"), [(FINAL, 3), (USER, 0), (TRANSIENT, 0)])
def test_what_cannot_be_retried_stops_the_stream_with_its_error(failure: Failure, retries: int) -> None:
    machine = started(batch_retries=retries)
    planned(machine, 10)
    assert machine.handle(BatchFailed(10, 0, failure, "y")) == (
        RollBackBatch(10, 0, ("x", "y")),
        StopReceivers(),
        stopped(failure, 10),
    )


def test_a_plan_that_failed_is_repeated_with_the_same_blocks() -> None:
    machine = started()
    machine.handle(block(1, 10))
    plan = machine.handle(BatchDue(10))
    assert plan == (PlanBatch(10, 0, {"a": (1,), "b": ()}),)
    machine.handle(block(2, 10))
    machine.handle(BatchDue(20))
    assert machine.handle(PlanFailed(10, TRANSIENT)) == (ScheduleRetry(10, 100),)
    assert machine.handle(RetryDue(10)) == plan


def test_plan_run_commit_and_end_have_retries_of_their_own() -> None:
    machine = started(batch_retries=1)
    machine.handle(BatchDue(10))
    failures: list[tuple[Fact, Fact]] = [
        (PlanFailed(10, TRANSIENT), BatchPlanned(10, {})),
        (BatchFailed(10, 0, TRANSIENT), BatchPrepared(10, 1)),
        (CommitFailed(10, "x", TRANSIENT), OutputCommitted(10, "x")),
        (CommitFailed(10, "y", TRANSIENT), OutputCommitted(10, "y")),
        (FinishFailed(10, TRANSIENT), BatchFinished(10)),
    ]
    for failed, done in failures:
        assert machine.handle(failed)[-1] == ScheduleRetry(10, 100)
        assert len(machine.handle(RetryDue(10))) == 1
        machine.handle(done)
    assert machine.handle(BatchDue(20)) == (PlanBatch(20, 10, {"a": (), "b": ()}),)


def test_a_commit_that_failed_is_repeated_and_never_rolled_back() -> None:
    machine = started(batch_retries=2)
    prepared(machine, 10)
    for delay_ms in (100, 200):
        assert machine.handle(CommitFailed(10, "x", TRANSIENT)) == (ScheduleRetry(10, delay_ms),)
        assert machine.handle(RetryDue(10)) == (CommitOutput(10, "x"),)
    assert machine.handle(CommitFailed(10, "x", TRANSIENT)) == (StopReceivers(), stopped(TRANSIENT, 10))


def test_outputs_that_committed_are_neither_staged_nor_discarded_nor_committed_again() -> None:
    machine = started()
    prepared(machine, 10)
    machine.handle(OutputCommitted(10, "x"))
    lost = machine.handle(BatchFailed(10, 0, TRANSIENT, "y"))
    assert lost == (RollBackBatch(10, 0, ("y",)), ScheduleRetry(10, 100))
    assert machine.handle(RetryDue(10)) == (RunBatch(10, 1, ("y",)),)
    assert machine.handle(BatchPrepared(10, 1)) == (CommitOutput(10, "y"),)
    assert machine.handle(OutputCommitted(10, "y")) == (FinishBatch(10),)


def test_staged_output_that_keeps_getting_lost_uses_up_the_retries_of_the_run() -> None:
    machine = started(batch_retries=2)
    planned(machine, 10)
    for attempt in range(2):
        machine.handle(BatchPrepared(10, attempt))
        machine.handle(BatchFailed(10, attempt, TRANSIENT, "x"))
        machine.handle(RetryDue(10))
    machine.handle(BatchPrepared(10, 2))
    assert machine.handle(BatchFailed(10, 2, TRANSIENT, "x"))[-1] == stopped(TRANSIENT, 10)


def test_an_end_that_failed_for_good_stops_the_stream() -> None:
    machine = started()
    prepared(machine, 10)
    machine.handle(OutputCommitted(10, "x"))
    machine.handle(OutputCommitted(10, "y"))
    assert machine.handle(FinishFailed(10, FINAL)) == (StopReceivers(), stopped(FINAL, 10))


@pytest.mark.parametrize(
    "late",
    [
        BatchPlanned(10, {}),
        PlanFailed(10, FINAL),
        BatchPrepared(10, 0),
        BatchFailed(10, 0, FINAL),
        OutputCommitted(10, "x"),
        CommitFailed(10, "x", FINAL),
        BatchFinished(10),
        FinishFailed(10, FINAL),
        RetryDue(10),
    ],
)
def test_facts_about_a_batch_that_ended_are_ignored(late: Fact) -> None:
    machine = started()
    live(machine, 10)
    assert machine.handle(late) == ()
    planned(machine, 20)
    assert machine.handle(late) == ()
    assert end(machine, 20) == ()


@pytest.mark.parametrize("late", [BatchPrepared(10, 0), BatchFailed(10, 0, FINAL)])
def test_facts_about_an_earlier_attempt_are_ignored(late: Fact) -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(BatchFailed(10, 0, TRANSIENT))
    assert machine.handle(late) == ()
    machine.handle(RetryDue(10))
    assert machine.handle(late) == ()
    assert end(machine, 10, attempt=1) == ()


@pytest.mark.parametrize(
    "impossible",
    [
        PROGRAM,
        BatchDue(15),
        BatchPlanned(10, {}),
        BatchPlanned(20, {}),
        PlanFailed(10, TRANSIENT),
        BatchPrepared(10, 1),
        BatchFailed(10, 1, TRANSIENT),
        BatchFailed(10, 0, TRANSIENT, "z"),
        OutputCommitted(10, "x"),
        CommitFailed(10, "x", TRANSIENT),
        BatchFinished(10),
        FinishFailed(10, TRANSIENT),
        RetryDue(10),
    ],
)
def test_a_fact_that_is_impossible_while_a_batch_runs_is_refused(impossible: Fact) -> None:
    machine = started()
    planned(machine, 10)
    with pytest.raises(InternalError) as raised:
        machine.handle(impossible)
    assert repr(impossible) in str(raised.value)
    assert "10 is running" in str(raised.value)
    assert end(machine, 10) == ()


@pytest.mark.parametrize(
    "impossible",
    [
        BatchPrepared(10, 0),
        OutputCommitted(10, "y"),
        OutputCommitted(10, "z"),
        CommitFailed(10, "y", TRANSIENT),
        BatchFinished(10),
        RetryDue(10),
    ],
)
def test_a_fact_that_is_impossible_while_an_output_commits_is_refused(impossible: Fact) -> None:
    machine = started()
    prepared(machine, 10)
    with pytest.raises(InternalError, match="10 is committing"):
        machine.handle(impossible)


@pytest.mark.parametrize(
    "impossible", [BatchPrepared(10, 1), BatchFailed(10, 1, TRANSIENT), BatchPlanned(10, {}), OutputCommitted(10, "x")]
)
def test_nothing_can_happen_to_a_batch_that_waits_for_its_retry(impossible: Fact) -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(BatchFailed(10, 0, TRANSIENT))
    with pytest.raises(InternalError, match="waiting for a retry"):
        machine.handle(impossible)


@pytest.mark.parametrize(
    ("bring", "impossible"),
    [
        (("planning",), [BatchPlanned(10, {}), PlanFailed(10, TRANSIENT)]),
        (("committing",), [OutputCommitted(10, "x"), CommitFailed(10, "x", TRANSIENT), BatchFailed(10, 0, TRANSIENT)]),
        (("finishing",), [BatchFinished(10), FinishFailed(10, TRANSIENT)]),
    ],
)
def test_a_step_that_waits_for_its_retry_cannot_end(bring: tuple[str], impossible: list[Fact]) -> None:
    machine = started()
    machine.handle(BatchDue(10))
    failed: Fact = PlanFailed(10, TRANSIENT)
    if bring != ("planning",):
        machine.handle(BatchPlanned(10, {}))
        machine.handle(BatchPrepared(10, 0))
        failed = CommitFailed(10, "x", TRANSIENT)
    if bring == ("finishing",):
        machine.handle(OutputCommitted(10, "x"))
        machine.handle(OutputCommitted(10, "y"))
        failed = FinishFailed(10, TRANSIENT)
    machine.handle(failed)
    for fact in impossible:
        with pytest.raises(InternalError, match="waiting for a retry"):
            machine.handle(fact)


def test_a_fact_before_the_start_is_refused() -> None:
    with pytest.raises(InternalError, match="not started"):
        Machine().handle(BatchDue(10))


@pytest.mark.parametrize(
    "program",
    [
        ProgramStarted(0, 0, (), ("x",)),
        ProgramStarted(10, 0, (), ("x",), max_queued_batches=0),
        ProgramStarted(10, 0, (), ("x",), slides_ms=(10,)),
        ProgramStarted(10, 0, (), ("x",), slides_ms=(25,)),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(program: ProgramStarted) -> None:
    with pytest.raises(InternalError, match="must be"):
        Machine().handle(program)


def test_after_the_end_every_fact_is_accepted_and_gives_nothing() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(BatchFailed(10, 0, FINAL))
    assert machine.mode is Mode.STOPPED
    for fact in (PROGRAM, BatchDue(15), BatchPlanned(90, {}), OutputCommitted(10, "z"), block(1, 3), RetryDue(10)):
        assert machine.handle(fact) == ()

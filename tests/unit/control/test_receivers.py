from __future__ import annotations

import pytest
from tests.unit.control.scenario import FINAL, TRANSIENT, USER, block, end, planned, started

from millstream.control.facts import (
    BatchDue,
    BatchPlanned,
    Fact,
    ReceiverFailed,
    ReceiverRestartDue,
    ReceiversStopped,
    ReceiverStarted,
    ReceiverStopped,
    StopRequested,
)
from millstream.control.instructions import Left, PlanBatch, RestartReceiver, StartReceiver, StopReceivers, StopStream
from millstream.control.machine import Machine, Mode
from millstream.errors import InternalError


def fail_and_restart(machine: Machine) -> int:
    """Let receiver a fail and start again; give the pause between."""
    (restart,) = machine.handle(ReceiverFailed("a", TRANSIENT))
    assert isinstance(restart, RestartReceiver)
    assert machine.handle(ReceiverRestartDue("a")) == (StartReceiver("a"),)
    return restart.delay_ms


def test_a_receiver_is_restarted_after_every_failure_with_growing_pauses() -> None:
    machine = started(receiver_restart_initial_ms=50, receiver_restart_max_ms=300)
    assert [fail_and_restart(machine) for _ in range(6)] == [50, 100, 200, 300, 300, 300]


def test_restarts_have_no_limit() -> None:
    machine = started()
    assert {fail_and_restart(machine) for _ in range(2_000)} == {50, 100, 200, 300}


def test_the_pause_starts_anew_after_the_receiver_started_and_stored_a_block() -> None:
    machine = started()
    assert [fail_and_restart(machine) for _ in range(2)] == [50, 100]
    assert machine.handle(ReceiverStarted("a")) == ()
    assert fail_and_restart(machine) == 200  # started is not enough: it may fail at once, over and over
    machine.handle(block(1, 10))
    assert fail_and_restart(machine) == 300  # a block that was under way is not enough
    machine.handle(ReceiverStarted("a"))
    machine.handle(block(2, 10))
    assert fail_and_restart(machine) == 50


def test_receivers_are_counted_each_for_itself() -> None:
    machine = started()
    fail_and_restart(machine)
    assert machine.handle(ReceiverFailed("b", USER)) == (RestartReceiver("b", 50),)


def test_a_pause_that_the_receiver_asked_for_comes_before_the_backoff() -> None:
    machine = started()
    assert machine.handle(ReceiverFailed("a", USER, delay_ms=7)) == (RestartReceiver("a", 7),)


def test_a_failure_of_a_receiver_whose_restart_is_on_its_way_says_nothing_new() -> None:
    machine = started()
    machine.handle(ReceiverFailed("a", TRANSIENT))
    assert machine.handle(ReceiverFailed("a", TRANSIENT)) == ()
    assert machine.handle(ReceiverRestartDue("a")) == (StartReceiver("a"),)


def test_a_receiver_that_stopped_by_its_own_will_is_not_restarted() -> None:
    machine = started()
    machine.handle(ReceiverStarted("a"))
    assert machine.handle(ReceiverStopped("a")) == ()
    assert machine.handle(ReceiverStopped("a")) == ()
    assert machine.handle(ReceiverFailed("a", TRANSIENT)) == ()
    assert machine.handle(block(1, 10)) == ()


def test_a_receiver_that_stops_during_its_pause_is_not_started_again() -> None:
    machine = started()
    machine.handle(ReceiverFailed("a", TRANSIENT))
    machine.handle(ReceiverStopped("a"))
    assert machine.handle(ReceiverRestartDue("a")) == ()


@pytest.mark.parametrize("graceful", [True, False])
def test_nothing_is_restarted_once_a_stop_was_requested(graceful: bool) -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(ReceiverFailed("a", TRANSIENT))
    machine.handle(StopRequested(graceful))
    facts: list[Fact] = [
        ReceiverRestartDue("a"),
        ReceiverFailed("b", TRANSIENT),
        ReceiverStarted("b"),
        ReceiverStopped("b"),
    ]
    assert [machine.handle(fact) for fact in facts] == [()] * 4


def test_a_final_failure_of_a_receiver_stops_the_stream_after_the_batch_in_flight() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(block(1, 10, records=5))
    machine.handle(BatchDue(20))
    assert machine.handle(ReceiverFailed("a", FINAL)) == (StopReceivers(),)
    assert machine.handle(ReceiverFailed("b", FINAL)) == ()
    assert end(machine, 10) == (StopStream(FINAL, Left((), {"a": 5}, None)),)


def test_a_final_failure_of_a_receiver_stops_an_idle_stream_at_once() -> None:
    machine = started()
    assert machine.handle(ReceiverFailed("a", FINAL)) == (StopReceivers(), StopStream(FINAL, Left((), {}, None)))


def test_a_final_failure_during_a_graceful_stop_is_raised_after_what_was_received_is_processed() -> None:
    machine = started()
    machine.handle(block(1, 10))
    machine.handle(StopRequested(True))
    assert machine.handle(ReceiverFailed("a", FINAL)) == ()
    machine.handle(ReceiversStopped())
    assert machine.handle(BatchDue(10)) == (PlanBatch(10, 0, {"a": (1,), "b": ()}),)
    machine.handle(BatchPlanned(10, {}))
    assert end(machine, 10) == (StopStream(FINAL, Left((), {}, None)),)
    assert machine.mode is Mode.STOPPED


def test_a_receiver_that_breaks_because_it_was_stopped_at_once_is_no_failure_of_the_stream() -> None:
    machine = started()
    planned(machine, 10)
    machine.handle(StopRequested(False))
    assert machine.handle(ReceiverFailed("a", FINAL)) == ()
    assert end(machine, 10) == (StopStream(None, Left((), {}, None)),)


@pytest.mark.parametrize(
    "impossible",
    [ReceiverRestartDue("a"), ReceiverStarted("a"), ReceiverFailed("files", TRANSIENT), ReceiverStopped("nobody")],
)
def test_a_fact_that_is_impossible_for_a_running_receiver_is_refused(impossible: Fact) -> None:
    machine = started()
    machine.handle(ReceiverStarted("a"))
    with pytest.raises(InternalError, match="receiver"):
        machine.handle(impossible)


def test_a_receiver_does_not_start_during_its_pause() -> None:
    machine = started()
    machine.handle(ReceiverFailed("a", TRANSIENT))
    with pytest.raises(InternalError, match="waiting for its restart"):
        machine.handle(ReceiverStarted("a"))

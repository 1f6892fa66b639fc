"""How the machine limits its inputs."""

from __future__ import annotations

import pytest
from tests.unit.control.scenario import PROGRAM, planned, started

from millstream.control.facts import (
    BatchDue,
    BatchFinished,
    BatchPrepared,
    InputSpec,
    OutputCommitted,
    RateMeasured,
    StopRequested,
)
from millstream.control.instructions import (
    HoldInputs,
    Instruction,
    ReportSkipped,
    ResumeInputs,
    SetRate,
    StartReceiver,
    StopReceivers,
    StopStream,
)
from millstream.control.machine import Machine, Mode
from millstream.errors import UserCodeError
from millstream.model.ports.rate_controller import BatchMeasured, RateController


class Script(RateController):
    """Gives rates from a list; raises what is an error."""

    def __init__(self, *rates: object) -> None:
        self.rates = list(rates)
        self.heard: list[BatchMeasured] = []

    def next(self) -> float | None:
        rate = self.rates.pop(0)
        if isinstance(rate, Exception):
            raise rate
        return rate  # type: ignore[return-value]

    def first_rate(self, interval_ms: int) -> float | None:
        return self.next()

    def next_rate(self, batch: BatchMeasured) -> float | None:
        self.heard.append(batch)
        return self.next()


def finished(machine: Machine, time_ms: int, *, processing_ms: float = 4.0, **records: int) -> tuple[Instruction, ...]:
    """A whole batch, with its measure; gives what the measure led to."""
    planned(machine, time_ms)
    machine.handle(BatchPrepared(time_ms, 0))
    machine.handle(OutputCommitted(time_ms, "x"))
    machine.handle(OutputCommitted(time_ms, "y"))
    answer = machine.handle(RateMeasured(BatchMeasured(time_ms, 10, records, processing_ms, 0.0)))
    return answer + machine.handle(BatchFinished(time_ms))


def test_first_limits_are_set_before_receivers_start() -> None:
    machine = Machine()
    controllers = {"a": Script(100.0), "files": Script(None), "b": Script(7.0)}
    fact = PROGRAM.__class__(10, 0, PROGRAM.inputs, PROGRAM.outputs, rate_controllers=controllers)
    assert machine.handle(fact) == (
        SetRate("a", 100.0, 0.0),
        SetRate("b", 7.0, 0.0),
        StartReceiver("a"),
        StartReceiver("b"),
    )


def test_limits_that_change_are_told_and_others_not() -> None:
    machine = started(rate_controllers={"a": Script(100.0, 101.0, 80.0, None, None, 80.0)})
    told = [finished(machine, time_ms, a=3) for time_ms in (10, 20, 30, 40, 50)]
    assert told == [(), (SetRate("a", 80.0, 0.0),), (SetRate("a", None, 0.0),), (), (SetRate("a", 80.0, 0.0),)]


def test_an_unhurried_input_is_limited_by_what_was_measured_only() -> None:
    machine = started(
        inputs=(InputSpec("a", "receiver", unhurried=True), InputSpec("b", "receiver")),
        rate_controllers={"a": Script(*[50.0] * 5)},
    )
    assert finished(machine, 10, a=0) == ()
    assert finished(machine, 20, b=5) == ()
    assert finished(machine, 30, processing_ms=0.0, a=5) == ()
    assert finished(machine, 40, a=1) == (SetRate("a", 50.0, 0.0),)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), "fast", ZeroDivisionError("division")])
def test_a_controller_that_fails_stops_the_stream_in_order(rate: object) -> None:
    machine = started(rate_controllers={"a": Script(100.0, rate)})
    *_, stopped = finished(machine, 10, a=3)
    assert isinstance(stopped, StopStream)
    assert stopped.failure is not None
    assert isinstance(stopped.failure.error, UserCodeError)
    assert "rate controller of a" in str(stopped.failure.error)
    assert stopped.left.batch_times_ms == ()


def test_a_controller_that_fails_at_the_start_stops_the_stream() -> None:
    machine = Machine()
    fact = PROGRAM.__class__(10, 0, PROGRAM.inputs, PROGRAM.outputs, rate_controllers={"a": Script(-1.0)})
    first, last = machine.handle(fact)
    assert first == StopReceivers()
    assert isinstance(last, StopStream)
    assert machine.mode is Mode.STOPPED


def test_a_stream_that_stops_asks_no_controller() -> None:
    controller = Script(100.0)
    machine = started(rate_controllers={"a": controller})
    machine.handle(StopRequested(graceful=True))
    finished(machine, 10, a=3)
    assert controller.heard == []


def test_inputs_are_held_for_one_batch_after_one_that_took_too_long() -> None:
    machine = started()
    assert finished(machine, 10, processing_ms=39.0) == ()
    assert finished(machine, 20, processing_ms=55.0) == (HoldInputs(),)
    due = machine.handle(BatchDue(70))
    assert due[0] == ReportSkipped(30, 60, 4, 0)
    assert ResumeInputs() not in due


def test_held_inputs_go_on_with_the_batch_after() -> None:
    machine = started()
    finished(machine, 20, processing_ms=55.0)
    finished(machine, 70, processing_ms=5.0)
    assert machine.handle(BatchDue(80))[0] == ResumeInputs()

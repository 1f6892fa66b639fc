from __future__ import annotations

import ast
import random
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.control.scenario import FINAL, PROGRAM, TRANSIENT, USER, block, live, planned, started

import millstream.control.machine
from millstream.control.facts import (
    BatchDue,
    BatchFailed,
    BatchFinished,
    BatchPlanned,
    BatchPrepared,
    BlockStored,
    CommitFailed,
    Fact,
    FinishFailed,
    OutputCommitted,
    PlanFailed,
    RateMeasured,
    ReceiverFailed,
    ReceiverRestartDue,
    ReceiversStopped,
    ReceiverStarted,
    ReceiverStopped,
    RetryDue,
    StopRequested,
    StopTimedOut,
)
from millstream.control.failure import Failure, failure_kind
from millstream.control.machine import Machine, Mode
from millstream.errors import (
    BackendUnavailableError,
    ConfigurationError,
    CorruptSegmentError,
    FencedError,
    InternalError,
    MillstreamError,
    SinkUnavailableError,
    UserCodeError,
)
from millstream.model.ports.rate_controller import BatchMeasured

PURE = (
    "admission",
    "batches",
    "facts",
    "failure",
    "grid",
    "instructions",
    "machine",
    "rates",
    "receivers",
    "retries",
    "unplanned_blocks",
)
MODELS = {"millstream.errors", "millstream.model.ports.rate_controller"}
ALLOWED = {"__future__", "math", "abc", "collections", "dataclasses", "enum", "typing"}


@pytest.mark.parametrize("name", PURE)
def test_the_machine_imports_nothing_that_could_make_it_impure(name: str) -> None:
    source = Path(millstream.control.machine.__file__).with_name(f"{name}.py").read_text()
    for node in ast.walk(ast.parse(source)):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        for module in modules:
            inside = module.removeprefix("millstream.control.") in PURE or module in MODELS
            assert inside or module.split(".")[0] in ALLOWED, f"{name} imports {module}"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SinkUnavailableError("No answer."), "transient"),
        (BackendUnavailableError("Lost."), "transient"),
        (UserCodeError("It raised.", operator="map"), "user"),
        (ZeroDivisionError(), "user"),
        (OSError("gone"), "user"),
        (ConfigurationError("Wrong."), "final"),
        (CorruptSegmentError("Damaged."), "final"),
        (FencedError("Another driver."), "final"),
        (InternalError("Broken."), "final"),
        (MillstreamError("Something."), "final"),
        (KeyboardInterrupt(), "final"),
        (SystemExit(1), "final"),
    ],
)
def test_what_an_error_means(error: BaseException, kind: str) -> None:
    assert failure_kind(error) == kind
    assert Failure.of(error) == Failure(error, failure_kind(error))


TIMES = st.sampled_from([-10, 0, 5, 10, 20, 30, 40, 100])
NAMES = st.sampled_from(["a", "b", "files", "x", "y", "?"])
FAILURES = st.sampled_from([USER, TRANSIENT, FINAL])
ATTEMPTS = st.integers(0, 2)
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.just(PROGRAM),
    st.builds(BatchDue, TIMES),
    st.builds(BlockStored, NAMES, st.integers(0, 5), TIMES, st.just(1)),
    st.builds(BatchPlanned, TIMES, st.just({})),
    st.builds(PlanFailed, TIMES, FAILURES),
    st.builds(BatchPrepared, TIMES, ATTEMPTS),
    st.builds(BatchFailed, TIMES, ATTEMPTS, FAILURES, st.none() | NAMES),
    st.builds(OutputCommitted, TIMES, NAMES),
    st.builds(CommitFailed, TIMES, NAMES, FAILURES),
    st.builds(BatchFinished, TIMES),
    st.builds(FinishFailed, TIMES, FAILURES),
    st.builds(RetryDue, TIMES),
    st.builds(RateMeasured, st.builds(BatchMeasured, TIMES, st.just(10), st.just({}), st.just(5.0), st.just(90.0))),
    st.builds(ReceiverStarted, NAMES),
    st.builds(ReceiverFailed, NAMES, FAILURES, st.none() | st.just(5)),
    st.builds(ReceiverStopped, NAMES),
    st.builds(ReceiverRestartDue, NAMES),
    st.builds(StopRequested, st.booleans()),
    st.just(ReceiversStopped()),
    st.just(StopTimedOut()),
)


@given(st.lists(FACTS, max_size=40), st.booleans())
def test_whatever_it_is_told_it_answers_or_says_that_it_is_impossible(facts: list[Fact], from_start: bool) -> None:
    machine = started() if from_start else Machine()
    for fact in facts:
        before, was_stopped = str(machine), machine.mode is Mode.STOPPED
        refusal = None
        try:
            instructions = machine.handle(fact)
        except InternalError as error:
            refusal = str(error)
        if refusal is None:
            assert not was_stopped or instructions == ()
        else:
            assert not was_stopped
            assert repr(fact) in refusal
            assert before in refusal
            assert str(machine) == before, "a fact that is refused changes nothing"


@given(st.lists(FACTS, max_size=40))
def test_the_same_facts_give_the_same_instructions(facts: list[Fact]) -> None:
    def answers() -> list[object]:
        machine, given_back = started(), list[object]()
        for fact in facts:
            try:
                given_back.append(machine.handle(fact))
            except InternalError as error:
                given_back.append(str(error))
        return given_back

    assert answers() == answers()


def control_bytes() -> int:
    """Give what lines of the room of control hold; other threads of the process have memory of their own."""
    here = tracemalloc.Filter(True, f"{Path(millstream.control.machine.__file__).parent}/*")
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([here]).traces)


def test_memory_does_not_grow_with_the_number_of_batches() -> None:
    machine = started(slides_ms=(50,))
    chance = random.Random(1)
    time_ms = 0

    def run(batches: int) -> None:
        nonlocal time_ms
        for number in range(batches):
            time_ms += 10
            machine.handle(block(number, time_ms))
            machine.handle(ReceiverFailed("a", TRANSIENT))
            machine.handle(ReceiverRestartDue("a"))
            planned(machine, time_ms)
            if chance.random() < 0.1:
                machine.handle(BatchFailed(time_ms, 0, TRANSIENT))
                machine.handle(RetryDue(time_ms))
                machine.handle(BatchPrepared(time_ms, 1))
            else:
                machine.handle(BatchPrepared(time_ms, 0))
            machine.handle(OutputCommitted(time_ms, "x"))
            machine.handle(OutputCommitted(time_ms, "y"))
            machine.handle(BatchFinished(time_ms))

    run(500)
    tracemalloc.start()
    try:
        before = control_bytes()
        run(5_000)
        after = control_bytes()
    finally:
        tracemalloc.stop()
    assert after - before < 5_000


def test_an_overloaded_stream_queues_numbers_not_batches() -> None:
    machine = started(slides_ms=(50,))
    planned(machine, 10)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for time_ms in range(20, 100_000, 10):
            machine.handle(BatchDue(time_ms))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 5_000
    assert live(started(), 10) == ()
    assert sys.getsizeof(machine) < 1_000

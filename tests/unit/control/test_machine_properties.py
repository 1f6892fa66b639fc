"""Random histories: the machine is driven by a double of the driver that checks every instruction as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.unit.control.scenario import FINAL, TRANSIENT, USER

from millstream.control.facts import (
    BatchDue,
    BatchFailed,
    BatchFinished,
    BatchPlanned,
    BatchPrepared,
    BatchSkipped,
    BlockStored,
    CommitFailed,
    Fact,
    FinishFailed,
    InputSpec,
    OutputCommitted,
    PlanFailed,
    ProgramStarted,
    ReceiverFailed,
    ReceiverRestartDue,
    ReceiversStopped,
    ReceiverStarted,
    RetryDue,
    SkipFailed,
    StopRequested,
    StopTimedOut,
)
from millstream.control.failure import Failure
from millstream.control.instructions import (
    CommitOutput,
    FinishBatch,
    HoldInputs,
    Instruction,
    PlanBatch,
    ReportSkipped,
    RestartReceiver,
    ResumeInputs,
    RollBackBatch,
    RunBatch,
    ScheduleRetry,
    SetRate,
    SkipBatch,
    StartReceiver,
    StopReceivers,
    StopStream,
)
from millstream.control.machine import Machine, Mode

INTERVAL = 10
RECEIVERS = ("a", "b")
OUTPUTS = ("x", "y", "z")

WAYS = st.sampled_from(["done"] * 40 + ["transient"] * 4 + ["user", "user", "lost", "final"])
"""How things go: mostly well, or no history would get far."""

Answers = dict[str, Fact]
"""What the driver may post in answer to one instruction, by how it went."""


class Histories(RuleBasedStateMachine):
    @initialize(
        slides=st.lists(st.sampled_from([20, 30, 70]), max_size=2, unique=True),
        queued=st.integers(1, 4),
        retries=st.integers(0, 3),
        skips=st.booleans(),
    )
    def start(self, slides: list[int], queued: int, retries: int, skips: bool) -> None:
        self.machine = Machine()
        self.slides, self.queued, self.retries_max = slides, queued, retries
        self.now = self.due = self.planned = self.resumed_due = 0
        self.stored: dict[tuple[str, int], BlockStored] = {}
        self.batch_of: dict[tuple[str, int], int] = {}
        self.plans: dict[int, PlanBatch] = {}
        self.committed: list[tuple[int, str]] = []
        self.finished: list[int] = []
        self.attempt = 0
        self.to_do: dict[str, Answers] = {}  # what was asked for and not answered, by kind of instruction
        self.failed: dict[str, list[Failure]] = {}  # failures of each step of the batch in flight
        self.undone = True  # whether the attempt that failed was rolled back
        self.held = self.stopping = self.ended = self.last_due_given = False
        self.halting = False  # a stop at once was requested, also in the course of a graceful one
        self.cut_short = False  # not everything has to be processed
        self.last_failure: Failure | None = None
        self.late: list[Fact] = []
        inputs = (InputSpec("a", "receiver"), InputSpec("files", "replayable"), InputSpec("b", "receiver"))
        self.skips = skips
        self.post(ProgramStarted(INTERVAL, 0, inputs, OUTPUTS, tuple(slides), queued, retries, skip_failed=skips))

    def post(self, fact: Fact) -> None:
        self.allowed_skip: list[int] = []
        instructions = self.machine.handle(fact)
        for position, instruction in enumerate(instructions):
            assert not self.ended, "nothing comes after StopStream"
            self.perform(instruction)
            assert not self.ended or position == len(instructions) - 1
        assert not self.allowed_skip, "what was reported as skipped was followed by its batch"
        self.check_idle()

    def ask(self, kind: str, answers: Answers) -> None:
        assert kind not in self.to_do, "one thing at a time"
        self.to_do[kind] = answers

    def perform(self, instruction: Instruction) -> None:
        match instruction:
            case PlanBatch():
                self.plan(instruction)
            case RunBatch(time_ms, attempt, outputs):
                assert self.undone
                assert time_ms == self.planned
                assert outputs == self.outputs_left(time_ms)
                assert attempt == self.attempt
                failed = {kind: BatchFailed(time_ms, attempt, failure, outputs[0]) for kind, failure in FAILURES}
                self.ask("run", {"done": BatchPrepared(time_ms, attempt), **failed})
                self.late.append(BatchPrepared(time_ms, attempt))
            case RollBackBatch(time_ms, attempt, outputs):
                assert (time_ms, attempt) == (self.planned, self.attempt)
                assert not self.undone
                assert outputs == self.outputs_left(time_ms)
                self.undone = True
                self.attempt += 1
            case CommitOutput(time_ms, output):
                assert time_ms == self.planned
                assert output == self.outputs_left(time_ms)[0]
                lost = BatchFailed(time_ms, self.attempt, TRANSIENT, output)
                failed_commit = {kind: CommitFailed(time_ms, output, failure) for kind, failure in FAILURES}
                self.ask("commit", {"done": OutputCommitted(time_ms, output), "lost": lost, **failed_commit})
            case FinishBatch(time_ms):
                assert not self.outputs_left(time_ms)
                failed_end = {kind: FinishFailed(time_ms, failure) for kind, failure in FAILURES}
                self.ask("finish", {"done": BatchFinished(time_ms), **failed_end})
            case SkipBatch(time_ms):
                assert self.skips
                assert self.outputs_left(time_ms) == OUTPUTS
                failed_skip = {kind: SkipFailed(time_ms, failure) for kind, failure in FAILURES}
                self.ask("finish", {"done": BatchSkipped(time_ms), **failed_skip})
            case ScheduleRetry(time_ms, delay_ms):
                assert time_ms == self.planned
                assert 100 <= delay_ms <= 5_000
                self.ask("retry", {"done": RetryDue(time_ms)})
            case HoldInputs():
                assert not self.held
                assert (self.due - self.planned) // INTERVAL > self.queued
                self.held = True
            case ResumeInputs():
                assert self.held
                self.held = False
                self.resumed_due = self.due
            case StartReceiver(name):
                assert not self.stopping
                failed_start = {kind: ReceiverFailed(name, failure) for kind, failure in FAILURES[:2]}
                self.ask(f"start {name}", {"done": ReceiverStarted(name), **failed_start})
            case RestartReceiver(name, delay_ms):
                assert not self.stopping
                assert 100 <= delay_ms <= 10_000
                self.ask(f"restart {name}", {"done": ReceiverRestartDue(name)})
            case StopReceivers():
                self.stopping = True
                self.ask("stop receivers", {"done": ReceiversStopped()})
            case ReportSkipped(from_ms, to_ms, count, slides_count):
                skipped = list(range(from_ms, to_ms + 1, INTERVAL))
                assert count == len(skipped)
                assert slides_count == sum(time_ms % slide == 0 for time_ms in skipped for slide in self.slides)
                self.allowed_skip = skipped
            case SetRate():
                raise AssertionError("No input of this program has a rate controller.")
            case StopStream():
                self.check_end(instruction)
            case _:
                assert_never(instruction)

    def plan(self, plan: PlanBatch) -> None:
        failed = {kind: PlanFailed(plan.time_ms, failure) for kind, failure in FAILURES}
        self.ask("plan", {"done": BatchPlanned(plan.time_ms, {}), **failed})
        if plan.time_ms in self.plans:
            assert plan == self.plans[plan.time_ms], "inputs never change"
            return
        assert plan.start_ms == self.planned
        assert self.finished[-1:] == list(self.plans)[-1:], "one batch at a time"
        waiting = {key: stored for key, stored in self.stored.items() if key not in self.batch_of}
        if self.last_due_given:
            newest_ms = max((stored.batch_ms for stored in waiting.values()), default=0)
            if self.due == self.planned:
                assert waiting, "no batch for nothing"
                self.due = max(newest_ms, self.planned + INTERVAL)
        overdue = range(self.planned + INTERVAL, self.due + INTERVAL, INTERVAL)
        with_slide = [time_ms for time_ms in overdue[:-1] if any(time_ms % slide == 0 for slide in self.slides)]
        assert plan.time_ms == [*with_slide[-self.queued :], self.due][0]
        assert self.allowed_skip == list(range(self.planned + INTERVAL, plan.time_ms, INTERVAL))
        self.allowed_skip = []
        for name in RECEIVERS:
            ready = [key for key, stored in waiting.items() if key[0] == name and stored.batch_ms <= plan.time_ms]
            assert [(name, block_id) for block_id in plan.blocks[name]] == ready
            self.batch_of.update(dict.fromkeys(ready, plan.time_ms))
        assert tuple(plan.blocks) == RECEIVERS
        self.planned = plan.time_ms
        self.plans[plan.time_ms] = plan
        self.attempt = 0
        self.failed = {}
        self.last_failure = None

    def outputs_left(self, time_ms: int) -> tuple[str, ...]:
        return tuple(output for output in OUTPUTS if (time_ms, output) not in self.committed)

    def check_idle(self) -> None:
        """Nothing waits without something being under way that will bring it on."""
        if self.ended:
            assert self.machine.mode is Mode.STOPPED
            return
        in_flight = [kind for kind in self.to_do if kind in ("plan", "run", "commit", "finish", "retry")]
        assert len(in_flight) <= 1
        if not self.stopping:
            assert in_flight or self.due == self.planned, "what is due is planned"
            assert self.held == (self.due > self.planned) if self.held else True
            in_time = (self.due - self.planned) // INTERVAL <= self.queued
            assert self.held or in_time or self.due == self.resumed_due, "held anew when more falls due"
        elif not in_flight:
            assert not self.halting
            assert not self.last_due_given

    def check_end(self, stop: StopStream) -> None:
        self.ended = True
        in_flight = [time_ms for time_ms in self.plans if time_ms not in self.finished]
        assert list(stop.left.batch_times_ms) == in_flight
        lost = {key: stored for key, stored in self.stored.items() if key not in self.batch_of}
        assert stop.left.failure is (self.last_failure if in_flight else None)
        assert stop.failure is None or stop.failure is stop.left.failure
        if stop.failure is None and not self.cut_short:
            assert not lost
            assert not stop.left.records
        unplanned = sum(stored.records for stored in lost.values())
        assert sum(stop.left.records.values()) >= unplanned

    def fail(self, step: str, failure: Failure) -> None:
        """Remember a failure, and work out what the machine must do with it."""
        failures = self.failed.setdefault(step, [])
        users = sum(known.kind == "user" for known in failures)
        may_retry = (
            failure.kind != "final"
            and len(failures) < self.retries_max
            and not (failure.kind == "user" and users)
            and not self.halting
        )
        failures.append(failure)
        self.last_failure = failure
        self.expect_retry = may_retry

    @precondition(lambda self: not self.ended and self.to_do)
    @rule(ways=st.lists(st.tuples(st.integers(0, 9), WAYS), min_size=1, max_size=12))
    def answer(self, ways: list[tuple[int, str]]) -> None:
        for choice, how in ways:
            kinds = sorted(self.to_do)
            if kinds and not self.ended:
                kind = kinds[choice % len(kinds)]
                self.reply(kind, how if how in self.to_do[kind] else "done")

    @precondition(lambda self: self.ended)
    @rule(fact=st.sampled_from([BatchDue(7), BlockStored("?", 1, 3, 1), StopRequested(True), BatchFinished(10**9)]))
    def anything_after_the_end(self, fact: Fact) -> None:
        assert self.machine.handle(fact) == ()

    def reply(self, kind: str, how: str) -> None:
        fact = self.to_do.pop(kind)[how]
        match fact:
            case OutputCommitted(time_ms, output):
                self.committed.append((time_ms, output))
            case BatchFinished(time_ms) | BatchSkipped(time_ms):
                self.finished.append(time_ms)
            case PlanFailed(_, failure) | FinishFailed(_, failure) | SkipFailed(_, failure):
                self.fail(kind, failure)
            case CommitFailed(_, output, failure):
                self.fail(f"commit {output}", failure)
            case BatchFailed(_, _, failure, _):
                self.undone = False
                self.fail("run", failure)
            case _:
                pass
        gives_up = self.gives_up(fact)
        self.post(fact)
        if isinstance(fact, PlanFailed | FinishFailed | SkipFailed | CommitFailed | BatchFailed):
            assert self.undone
            assert ("retry" in self.to_do) == self.expect_retry
            assert self.ended == (not self.expect_retry and not gives_up)

    def gives_up(self, fact: Fact) -> bool:
        """Whether a failure ends its batch without any output, so that the stream goes on."""
        if not isinstance(fact, BatchFailed) or not self.skips or self.halting or self.expect_retry:
            return False
        return fact.failure.kind == "user" and self.outputs_left(fact.time_ms) == OUTPUTS

    @precondition(lambda self: not self.ended and not self.last_due_given)
    @rule(slept=st.sampled_from([1, 1, 1, 2, 3, 5, 12, 0, -3]))
    def clock(self, slept: int) -> None:
        self.now += slept * INTERVAL
        fact = BatchDue(self.now)
        if self.stopping and "stop receivers" not in self.to_do and not self.halting:
            waiting = [stored.batch_ms for key, stored in self.stored.items() if key not in self.batch_of]
            if waiting or self.due > self.planned:
                self.due = max(self.due, self.now, *waiting)
            self.last_due_given = True
        elif not self.halting:
            self.due = max(self.due, self.now)
        self.post(fact)

    @precondition(lambda self: not self.ended)
    @rule(name=st.sampled_from(RECEIVERS), slot=st.integers(-2, 3), records=st.integers(1, 9))
    def block(self, name: str, slot: int, records: int) -> None:
        block_id = len(self.stored)
        fact = BlockStored(name, block_id, self.now + slot * INTERVAL, records)
        self.stored[name, block_id] = fact
        self.post(fact)

    @precondition(lambda self: not self.ended and self.late)
    @rule(data=st.data(), final=st.booleans())
    def late_fact(self, data: st.DataObject, final: bool) -> None:
        fact = data.draw(st.sampled_from(self.late))
        assert isinstance(fact, BatchPrepared)
        if fact.time_ms in self.finished or fact.attempt < self.attempt:
            other: Fact = BatchFailed(fact.time_ms, fact.attempt, FINAL) if final else fact
            before = str(self.machine)
            assert self.machine.handle(other) == ()
            assert str(self.machine) == before

    @precondition(lambda self: not self.ended)
    @rule(graceful=st.booleans(), often=st.integers(0, 7))
    def stop(self, graceful: bool, often: int) -> None:
        if often:
            return
        if not graceful:
            self.halting = self.cut_short = True
        self.post(StopRequested(graceful))

    @precondition(lambda self: not self.ended and self.stopping)
    @rule(often=st.integers(0, 9))
    def time_out(self, often: int) -> None:
        if often == 0:
            self.cut_short = True
            self.post(StopTimedOut())
            assert self.ended

    def teardown(self) -> None:
        """From everywhere a graceful stop comes to its end, with every block in a batch and every batch committed."""
        if not hasattr(self, "machine"):
            return
        if not self.ended and not self.stopping:
            self.post(StopRequested(True))
        for _ in range(100_000):
            if self.ended:
                break
            kinds = sorted(self.to_do)
            if kinds:
                self.reply(kinds[-1], "done")
            else:
                self.clock(1)
        assert self.ended
        self.check_history()

    def check_history(self) -> None:
        times_ms = list(self.plans)
        assert times_ms == sorted(set(times_ms))
        assert all(time_ms > 0 and time_ms % INTERVAL == 0 for time_ms in times_ms)
        assert self.finished == times_ms[: len(self.finished)]
        assert len(self.finished) >= len(times_ms) - 1
        assert self.committed == sorted(set(self.committed))
        for key, time_ms in self.batch_of.items():
            slot_ms = self.stored[key].batch_ms
            assert time_ms >= slot_ms


FAILURES: tuple[tuple[str, Failure], ...] = (("user", USER), ("transient", TRANSIENT), ("final", FINAL))

TestHistories: Callable[[], None] = Histories.TestCase  # type: ignore[assignment]
Histories.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)

"""The batches between their plan and their end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import assert_never

from millstream.control.facts import (
    BatchFact,
    BatchFailed,
    BatchFinished,
    BatchPlanned,
    BatchPrepared,
    BatchSkipped,
    CommitFailed,
    FinishFailed,
    OutputCommitted,
    PlanFailed,
    RetryDue,
    SkipFailed,
    UnfinishedBatch,
)
from millstream.control.failure import Failure
from millstream.control.instructions import (
    CommitOutput,
    FinishBatch,
    PlanBatch,
    RollBackBatch,
    RunBatch,
    ScheduleRetry,
    SkipBatch,
)
from millstream.control.retries import RetryPolicy, StepRetries
from millstream.control.unplanned_blocks import Blocks
from millstream.errors import InternalError


class Phase(Enum):
    """The step of a batch that was asked for and has not been answered."""

    PLANNING = "being planned"
    RUNNING = "running"
    COMMITTING = "committing"
    FINISHING = "finishing"
    SKIPPING = "being given up"


class BatchLife:
    """One batch from its plan to its end.

    Attributes:
        time_ms: the batch time, milliseconds since the epoch.
        start_ms: the exclusive start of its interval.
        blocks: what it took from the receivers; never changed.
        records: known records by input, once it was planned.
        outputs_left: outputs that have not committed, in order of registration.
        phase: the step that it is in.
        attempt: the run that counts; facts of earlier ones are late.
        is_pausing: the step failed and is given again when RetryDue comes.
        failure: the last failure, or None.
    """

    __slots__ = (
        "_retries",
        "attempt",
        "blocks",
        "failure",
        "is_pausing",
        "outputs_left",
        "phase",
        "records",
        "start_ms",
        "time_ms",
    )

    def __init__(self, time_ms: int, start_ms: int, blocks: dict[str, Blocks], outputs: tuple[str, ...]) -> None:
        self.time_ms = time_ms
        self.start_ms = start_ms
        self.blocks = blocks
        self.records: Mapping[str, int] | None = None
        self.outputs_left = outputs
        self.phase = Phase.PLANNING
        self.attempt = 0
        self.is_pausing = False
        self.failure: Failure | None = None
        self._retries: dict[str, StepRetries] | None = None

    def step(self) -> PlanBatch | RunBatch | CommitOutput | FinishBatch | SkipBatch:
        """Give the instruction for the phase that the batch is in."""
        match self.phase:
            case Phase.PLANNING:
                return PlanBatch(self.time_ms, self.start_ms, {name: tuple(ids) for name, ids in self.blocks.items()})
            case Phase.RUNNING:
                return RunBatch(self.time_ms, self.attempt, self.outputs_left)
            case Phase.COMMITTING:
                return CommitOutput(self.time_ms, self.outputs_left[0])
            case Phase.FINISHING:
                return FinishBatch(self.time_ms)
            case Phase.SKIPPING:
                return SkipBatch(self.time_ms)
            case _:
                assert_never(self.phase)

    def step_after_outputs(self) -> CommitOutput | FinishBatch:
        """Go on to the commit of the next output, or to the end after the last."""
        if self.outputs_left:
            self.phase = Phase.COMMITTING
            return CommitOutput(self.time_ms, self.outputs_left[0])
        self.phase = Phase.FINISHING
        return FinishBatch(self.time_ms)

    def retry(self, failure: Failure, policy: RetryPolicy) -> ScheduleRetry | None:
        """Use a retry of the step that the batch is in, or give None when there is none left."""
        if self._retries is None:
            self._retries = {}
        step = f"commit {self.outputs_left[0]}" if self.phase is Phase.COMMITTING else self.phase.value
        delay_ms = self._retries.setdefault(step, StepRetries(policy)).next_delay_ms(failure)
        if delay_ms is None:
            return None
        self.is_pausing = True
        return ScheduleRetry(self.time_ms, delay_ms)

    def require(self, possible: bool) -> None:
        """Refuse a fact that does not fit.

        Raises:
            InternalError: naming what the batch is doing.
        """
        if not possible:
            raise InternalError(f"The batch {self}.")

    def __str__(self) -> str:
        pausing = ", waiting for a retry" if self.is_pausing else ""
        return f"{self.time_ms} is {self.phase.value}{pausing}, attempt {self.attempt}, left {self.outputs_left}"


class Batches:
    """The batches in flight, oldest first, and the way of each through its phases.

    Facts about a batch that ended, and about an earlier attempt, are late: they change nothing and the methods
    give None. Facts that were never possible raise InternalError.
    """

    __slots__ = ("_lives", "_newest_ms", "_outputs", "_policy")

    def __init__(self, outputs: tuple[str, ...], policy: RetryPolicy, planned_ms: int) -> None:
        self._outputs = outputs
        self._policy = policy
        self._lives: dict[int, BatchLife] = {}
        self._newest_ms = planned_ms

    def __len__(self) -> int:
        return len(self._lives)

    def __iter__(self) -> Iterator[BatchLife]:
        return iter(self._lives.values())

    @property
    def all_pausing(self) -> bool:
        """Whether nothing is being done for any batch."""
        return all(life.is_pausing for life in self._lives.values())

    def plan(self, time_ms: int, start_ms: int, blocks: dict[str, Blocks]) -> PlanBatch:
        """Begin a batch, later than all before."""
        # Invariant: batch times strictly increase, so a block that was taken belongs to one batch only.
        assert time_ms > self._newest_ms
        self._newest_ms = time_ms
        self._lives[time_ms] = life = BatchLife(time_ms, start_ms, blocks, self._outputs)
        return PlanBatch(time_ms, start_ms, {name: tuple(ids) for name, ids in life.blocks.items()})

    def resume(self, batch: UnfinishedBatch) -> RunBatch:
        """Go on with a batch of an earlier driver: its inputs are fixed, so it runs."""
        life = BatchLife(batch.time_ms, batch.start_ms, {}, batch.outputs_left)
        life.records = batch.records
        life.phase = Phase.RUNNING
        life.attempt = batch.attempt
        self._lives[batch.time_ms] = life
        return RunBatch(life.time_ms, life.attempt, life.outputs_left)

    def planned(self, fact: BatchPlanned) -> RunBatch | None:
        """The inputs are fixed: run."""
        life = self._find(fact)
        if life is None:
            return None
        life.require(life.phase is Phase.PLANNING and not life.is_pausing)
        life.records = fact.records
        life.phase = Phase.RUNNING
        return RunBatch(life.time_ms, life.attempt, life.outputs_left)

    def prepared(self, fact: BatchPrepared) -> CommitOutput | FinishBatch | None:
        """Everything is staged: commit the first output."""
        life = self._find_attempt(fact)
        if life is None:
            return None
        life.require(life.phase is Phase.RUNNING and not life.is_pausing)
        return life.step_after_outputs()

    def committed(self, fact: OutputCommitted) -> CommitOutput | FinishBatch | None:
        """One output is visible: commit the next."""
        life = self._find(fact)
        if life is None:
            return None
        self._require_committing(life, fact.output)
        life.outputs_left = life.outputs_left[1:]
        return life.step_after_outputs()

    def finished(self, fact: BatchFinished) -> bool:
        """Forget the batch; False when the fact is late."""
        life = self._find(fact)
        if life is None:
            return False
        life.require(life.phase is Phase.FINISHING and not life.is_pausing)
        del self._lives[life.time_ms]
        return True

    def skip(self, life: BatchLife) -> SkipBatch | None:
        """Give a batch up whose attempt failed and was rolled back; None when an output has committed it."""
        if life.phase is not Phase.RUNNING or life.outputs_left != self._outputs:
            return None
        life.phase = Phase.SKIPPING
        return SkipBatch(life.time_ms)

    def skipped(self, fact: BatchSkipped) -> bool:
        """Forget the batch; False when the fact is late."""
        life = self._find(fact)
        if life is None:
            return False
        life.require(life.phase is Phase.SKIPPING)
        del self._lives[life.time_ms]
        return True

    def failing(self, fact: PlanFailed | BatchFailed | CommitFailed | FinishFailed | SkipFailed) -> BatchLife | None:
        """Note a failure and give the batch that has it."""
        life = self._find_attempt(fact) if isinstance(fact, BatchFailed) else self._find(fact)
        if life is None:
            return None
        match fact:
            case PlanFailed():
                life.require(life.phase is Phase.PLANNING and not life.is_pausing)
            case BatchFailed():
                running = life.phase is Phase.RUNNING or life.phase is Phase.COMMITTING
                life.require(running and not life.is_pausing)
                life.require(fact.output is None or fact.output in life.outputs_left)
            case CommitFailed():
                self._require_committing(life, fact.output)
            case FinishFailed():
                life.require(life.phase is Phase.FINISHING and not life.is_pausing)
            case SkipFailed():
                life.require(life.phase is Phase.SKIPPING and not life.is_pausing)
            case _:
                assert_never(fact)
        life.failure = fact.failure
        return life

    def roll_back(self, life: BatchLife) -> RollBackBatch:
        """End an attempt without trace; the next one stages only what has not committed."""
        undo = RollBackBatch(life.time_ms, life.attempt, life.outputs_left)
        life.phase = Phase.RUNNING
        life.attempt += 1
        return undo

    def retry(self, life: BatchLife) -> ScheduleRetry | None:
        """Schedule the failed step again, or give None when its retries are used up or cannot help."""
        assert life.failure is not None  # Invariant: called for a batch that `failing` gave.
        return life.retry(life.failure, self._policy)

    def retry_due(self, fact: RetryDue) -> PlanBatch | RunBatch | CommitOutput | FinishBatch | SkipBatch | None:
        """Give the failed step again."""
        life = self._find(fact)
        if life is None:
            return None
        life.require(life.is_pausing)
        life.is_pausing = False
        return life.step()

    def _find(self, fact: BatchFact) -> BatchLife | None:
        life = self._lives.get(fact.time_ms)
        if life is None and fact.time_ms > self._newest_ms:
            raise InternalError(f"The batch {fact.time_ms} was never planned.")
        return life

    def _find_attempt(self, fact: BatchPrepared | BatchFailed) -> BatchLife | None:
        life = self._find(fact)
        if life is None or fact.attempt < life.attempt:
            return None
        life.require(fact.attempt == life.attempt)
        return life

    def _require_committing(self, life: BatchLife, output: str) -> None:
        life.require(life.phase is Phase.COMMITTING and not life.is_pausing and output == life.outputs_left[0])

    def __str__(self) -> str:
        return "; ".join(str(life) for life in self) or "none"

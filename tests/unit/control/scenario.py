"""What the tests of control share: a started machine, and one batch from due to done."""

from __future__ import annotations

from dataclasses import replace

from millstream.control.facts import (
    BatchDue,
    BatchFinished,
    BatchPlanned,
    BatchPrepared,
    BlockStored,
    InputSpec,
    OutputCommitted,
    ProgramStarted,
)
from millstream.control.failure import Failure
from millstream.control.instructions import Instruction
from millstream.control.machine import Machine
from millstream.errors import DataError, SourceUnavailableError, UserCodeError

PROGRAM = ProgramStarted(
    interval_ms=10,
    zero_time_ms=0,
    inputs=(InputSpec("a", "receiver"), InputSpec("files", "replayable"), InputSpec("b", "receiver")),
    outputs=("x", "y"),
    max_queued_batches=3,
    receiver_restart_initial_ms=50,
    receiver_restart_max_ms=300,
)

USER = Failure.of(UserCodeError("It raised.", operator="map"))
TRANSIENT = Failure.of(SourceUnavailableError("No answer."))
FINAL = Failure.of(DataError("Damaged."))


def started(**changes: object) -> Machine:
    """A machine that has been told of PROGRAM with some fields changed."""
    machine = Machine()
    machine.handle(replace(PROGRAM, **changes))  # type: ignore[arg-type]
    return machine


def planned(machine: Machine, time_ms: int) -> None:
    """Bring a batch to where its first attempt runs."""
    machine.handle(BatchDue(time_ms))
    machine.handle(BatchPlanned(time_ms, {}))


def prepared(machine: Machine, time_ms: int) -> None:
    """Bring a batch to where its first output commits."""
    planned(machine, time_ms)
    machine.handle(BatchPrepared(time_ms, 0))


def end(machine: Machine, time_ms: int, attempt: int = 0) -> tuple[Instruction, ...]:
    """Bring a batch that runs to its end."""
    machine.handle(BatchPrepared(time_ms, attempt))
    machine.handle(OutputCommitted(time_ms, "x"))
    machine.handle(OutputCommitted(time_ms, "y"))
    return machine.handle(BatchFinished(time_ms))


def live(machine: Machine, time_ms: int) -> tuple[Instruction, ...]:
    """A whole batch, from due to done."""
    planned(machine, time_ms)
    return end(machine, time_ms)


def block(block_id: int, batch_ms: int, *, name: str = "a", records: int = 1) -> BlockStored:
    return BlockStored(name, block_id, batch_ms, records)

"""Decisions: what the journal keeps of every batch.

The facts BatchPlanned and BatchPrepared tell the machine that the decision of the same name was taken and journalled;
the fact BatchFinished tells the same of BatchDone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """One split of a replayable source, as the source gave it.

    Attributes:
        data: plain data that pins the records: an offset range; path, size and mtime of a file.
        records: how many records it holds, or None when only reading can tell.
    """

    data: Any
    records: int | None = None


@dataclass(frozen=True, slots=True)
class InputPlan:
    """What one input gives to one batch.

    Attributes:
        input: the name of the input.
        blocks: ids of the blocks of a receiver, in the order in which they were stored.
        splits: what tasks read from a replayable source, in the order of their records.
        position: where the replayable source goes on after these splits; plain data.
    """

    input: str
    blocks: tuple[int, ...] = ()
    splits: tuple[SplitPlan, ...] = ()
    position: Any = None


@dataclass(frozen=True, slots=True)
class Digest:
    """What two sequences of records are compared by without keeping them.

    Attributes:
        count: how many records.
        checksum: over the records in their order, or None where none is taken.
    """

    count: int
    checksum: int | None = None


@dataclass(frozen=True, slots=True)
class BatchPlanned:
    """The inputs of a batch are fixed; every run of it, also after a crash, reads exactly these.

    Durable before the first task runs.

    Attributes:
        time_ms: the batch time, milliseconds since the epoch.
        start_ms: the exclusive start of its interval: the batch time planned before.
        end_ms: the inclusive end of its interval, which is the batch time.
        inputs: what every input gives, in order of registration.
        attempt: the run that follows; 0 at first.
    """

    time_ms: int
    start_ms: int
    end_ms: int
    inputs: tuple[InputPlan, ...]
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class BatchPrepared:
    """All tasks of an attempt are done: outputs are staged, the state delta is written.

    In one group with the state delta, and durable before the first output commits. In a program without state it
    may be left to be written with BatchDone.

    Attributes:
        time_ms: the batch.
        attempt: the complete attempt whose receipts are committed.
        inputs: for every input a digest of each block or split, in the order of the plan.
        state: digest of the keys that the batch changed, or None in a program without state.
        outputs: digest of what was staged for each output.
    """

    time_ms: int
    attempt: int
    inputs: Mapping[str, tuple[Digest, ...]] = field(default_factory=dict)
    state: Digest | None = None
    outputs: Mapping[str, Digest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchDone:
    """Every output of the batch has committed. It need not be durable before the next BatchPlanned is."""

    time_ms: int


Decision: TypeAlias = BatchPlanned | BatchPrepared | BatchDone

"""Decisions: what the journal keeps, of drivers and of every batch.

The facts BatchPlanned and BatchPrepared tell the machine that the decision of the same name was taken and journalled;
the fact BatchFinished tells the same of BatchDone. All values are plain data, so that a later version, or another
program, can read them.
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
        description: one line for people.
    """

    data: Any
    records: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class InputPlan:
    """What one input gives to one batch.

    Attributes:
        input: the name of the input.
        blocks: ids of the blocks of a receiver, in the order in which they were stored.
        splits: what tasks read from a replayable source, in the order of their records.
        position: where the replayable source goes on after these splits, or where the sender stood after these
            blocks if it has positions; plain data, or a `PositionChange`.
    """

    input: str
    blocks: tuple[int, ...] = ()
    splits: tuple[SplitPlan, ...] = ()
    position: Any = None


@dataclass(frozen=True, slots=True)
class Digest:
    """What two sequences of records are compared by without keeping them.

    Attributes:
        count: how many records, or None where nobody knows.
        checksum: over the records in their order, or None where none is taken.
    """

    count: int | None
    checksum: int | None = None

    def contradicts(self, other: Digest) -> bool:
        """Tell whether two sequences are certainly different; what is not known of both says nothing.

        Example:
            >>> Digest(3, 7).contradicts(Digest(3, 8)), Digest(3, 7).contradicts(Digest(3))
            (True, False)
        """
        return _differ(self.count, other.count) or _differ(self.checksum, other.checksum)


def _differ(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one != other


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
        outputs: for every output that was staged, where digests of them are taken, one of each partition.
    """

    time_ms: int
    attempt: int
    inputs: Mapping[str, tuple[Digest, ...]] = field(default_factory=dict)
    state: Digest | None = None
    outputs: Mapping[str, tuple[Digest, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchDone:
    """Every output of the batch has committed. It need not be durable before the next BatchPlanned is.

    Attributes:
        time_ms: the batch.
        learnt: what the rate controllers had learnt before it, by input; {}: nothing new.
    """

    time_ms: int
    learnt: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class BatchSkipped:
    """The batch failed and is given up: state and windows are as if it had held nothing, and no sink has it.

    Attributes:
        time_ms: the batch.
        error: why, for people.
        dead_letter: the file that describes its inputs.
    """

    time_ms: int
    error: str
    dead_letter: str


@dataclass(frozen=True, slots=True)
class DriverStarted:
    """A driver took the checkpoint over, after it had read everything before.

    Attributes:
        epoch: counts the drivers of the lineage, from 1.
        time_ms: wall time, milliseconds since the epoch.
        down_since_ms: the newest batch that was planned before. From there on to where batches can be made again,
            which `SinksOpened` says, is downtime, in which no key grows idle, because an input kept its records
            meanwhile. None: there is no such input, or no batch was planned before.
        program: what a later start compares itself with: plain data about inputs, outputs and tables.
    """

    epoch: int
    time_ms: int
    down_since_ms: int | None
    program: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SinksOpened:
    """What the sinks said when a driver opened them; everything is open now, and batches can be made.

    Attributes:
        time_ms: wall time, milliseconds since the epoch.
        committed: for every output operation the newest batch that its sink reports, or None.
        begin_ms: the last time of the grid before; the next batch time is due an interval later. None: journalled by
            a version that counted the start of the driver as the end of a downtime.
        lineage_id: under which the sinks know the program.
        notes: what sinks want later drivers to know, by output operation.
    """

    time_ms: int
    committed: Mapping[str, int | None]
    begin_ms: int | None = None
    lineage_id: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StateDelta:
    """What one attempt at a batch changed in one table; counts when the BatchPrepared of the attempt follows it.

    Attributes:
        time_ms: the batch.
        attempt: the attempt.
        table: the id of the operator that the table belongs to.
        partition: of the table, at the time.
        data: an encoded chunk.
    """

    time_ms: int
    attempt: int
    table: str
    partition: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CheckpointWritten:
    """State up to a batch is in files of its own; recovery starts from here.

    It repeats what recovery needs from before `since`, so that the journal can be cut there.

    Attributes:
        time_ms: the newest batch in it, which is done.
        since: number of the first record of the journal that is needed beside it.
        files: files with the chunks of the tables, a whole one first, then what changed later.
        size_bytes: of these files.
        epoch: the driver that wrote it.
        program: as in DriverStarted.
        positions: where each replayable input goes on after the batch.
        blocks: the numbers of the blocks that batches up to this one had, as `NumberSet.plain` gives them.
        block_positions: for each pushed input with positions that of the newest block that a batch had.
        downtimes: spans (from, to] in which no batch could be made, milliseconds since the epoch, oldest first.
        sinks: `lineage_id` and `notes` of the newest SinksOpened.
        rates: what the rate controllers had learnt, by input: `learnt` of the newest BatchDone that has it.
    """

    time_ms: int
    since: int
    files: tuple[str, ...]
    size_bytes: int
    epoch: int
    program: Mapping[str, Any]
    positions: Mapping[str, Any] = field(default_factory=dict)
    blocks: Mapping[str, Any] = field(default_factory=dict)
    block_positions: Mapping[str, Any] = field(default_factory=dict)
    downtimes: tuple[tuple[int, int], ...] = ()
    sinks: Mapping[str, Any] = field(default_factory=dict)
    rates: Mapping[str, Any] = field(default_factory=dict)


Decision: TypeAlias = (
    BatchPlanned
    | StateDelta
    | BatchPrepared
    | BatchDone
    | BatchSkipped
    | DriverStarted
    | SinksOpened
    | CheckpointWritten
)

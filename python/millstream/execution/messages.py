"""What driver and worker say to each other.

The first part of a message on the wire is one of these, pickled; the parts after it are named by the fields
that count them. Only processes of one program speak to each other, and they run the same release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from millstream.encoding.rows import Frame
from millstream.model.accumulator import Addition
from millstream.state.rows import StateRows


class Hello(NamedTuple):
    """Driver: who you are and what your world looks like. The first message.

    Attributes:
        path: the driver's `sys.path`.
        directory: the driver's working directory.
        variables: environment variables to put back as the driver has them; None: not set.
        modules: heavy modules that the driver has loaded, to be loaded before the first task.
    """

    path: list[str]
    directory: str
    variables: Mapping[str, str | None]
    modules: Sequence[str]


class Ready(NamedTuple):
    """Worker: tasks may come."""


class LoadState(NamedTuple):
    """Driver: these are the state tables that your predecessor held. No answer.

    Attributes:
        tables: of each the operator, the partition, slices of the last snapshot packed together or None, deltas of
            committed batches after it, deltas of batches in flight.
        views: rows that the driver still names: number, operator, partition, kind of rows.
    """

    tables: Sequence[tuple[str, int, Frame | None, Sequence[Frame], Sequence[Frame]]]
    views: Sequence[tuple[int, str, int, type[StateRows]]]


class RunTasks(NamedTuple):
    """Driver: run the tasks of a stage, in order, and stop at the first that fails.

    Parts: the pickled tasks, each with the number under which its result is held or None; frames of broadcast
    values; frames of shipments; buffers of the tasks.

    Attributes:
        batch: batch time in ms, attempt and inputs, or None in a batch program.
        path: the driver's `sys.path` where it has changed, or None.
        shipments: for each the numbers of its objects and how many frames it has.
        forgotten_objects: numbers that will not be named again.
        forgotten_data: likewise.
        state: what became of batches since the last message: `COMMIT` or `ROLL_BACK` and the batch time, ms; or
            `DROP` and 0, when all state is to be forgotten.
        snapshot_of: operator and partition of a table that the driver wants a snapshot of, or None.
        broadcasts: for each new value its number and how many frames it has.
        forgotten_broadcasts: numbers whose values will not be asked for again.
    """

    batch: tuple[int, int, Mapping[str, Any]] | None
    path: list[str] | None
    shipments: Sequence[tuple[Sequence[int], int]]
    forgotten_objects: Sequence[int]
    forgotten_data: Sequence[int]
    state: Sequence[tuple[str, int]]
    snapshot_of: tuple[str, int] | None
    broadcasts: Sequence[tuple[int, int]]
    forgotten_broadcasts: Sequence[int]


COMMIT: Final = "commit"
ROLL_BACK: Final = "roll_back"
DROP: Final = "drop"


class Done(NamedTuple):
    """Worker: the tasks gave results.

    Parts: the pickled results; what the batch changed in the tables that the tasks touched, as operator, partition
    and delta; slices of a snapshot, an empty one behind the last; then the buffers of all that.

    Attributes:
        printed_bytes: how much was printed so far to stdout and to stderr.
        additions: what the tasks added to accumulators.
    """

    printed_bytes: tuple[int, int]
    additions: Sequence[Addition]


class Failed(NamedTuple):
    """Worker: a task failed; those after it were not run. Parts: the error.

    Attributes:
        printed_bytes: as in `Done`.
        task: which one of the message, from 0, or `BEFORE_TASKS`.
        additions: what the tasks before it added to accumulators.
    """

    printed_bytes: tuple[int, int]
    task: int
    additions: Sequence[Addition]


BEFORE_TASKS: Final = -1
"""No task was at fault: what they need could not be made in the worker."""


class View(NamedTuple):
    """In place of a result: rows that stay with the worker, for they are a view of its state.

    Attributes:
        records: how many rows.
        operator: whose state it is.
        partition: which partition of it.
        kind: the class of the view.
    """

    records: int
    operator: str
    partition: int
    kind: type[StateRows]


class SendData(NamedTuple):
    """Driver: send the data that you hold under a number."""

    number: int


class Data(NamedTuple):
    """Worker: the data that was asked for. Parts: its frames.

    Attributes:
        pairs: the frames hold a dict whose pairs are the records.
        records: how many records.
    """

    pairs: bool
    records: int


class End(NamedTuple):
    """Driver: end, after what the program wants done at exit."""

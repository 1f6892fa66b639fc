"""What driver and worker say to each other.

A message is pickled as a number for its kind and its fields; large runs of bytes in it become parts of their own.
Only processes of one program speak to each other, and they run the same release.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from millstream.encoding.rows import OUT_OF_BAND_BYTES_MIN, Frame
from millstream.execution.packed import PackedForm
from millstream.execution.task_form import TaskForm
from millstream.state.downtime import Downtime
from millstream.state.rows import StateRows

FramesForm: TypeAlias = Sequence[Any]
"""Frames on their way: wrapped by the sender, so that they are not copied; bytes for the receiver."""

COMMIT: Final = "commit"
ROLL_BACK: Final = "roll_back"
DROP: Final = "drop"
PERSIST: Final = "persist"
DOWN: Final = "down"

BEFORE_TASKS: Final = -1
"""No task was at fault: what they need could not be made in the worker."""


HELD_PIECE_RECORDS_MIN: Final = 256
"""Pieces of a shuffle that a worker will read itself it holds from this size on: reading those from their bytes takes
longer than the bookkeeping."""


class Hello(NamedTuple):
    """Driver: who you are and what your world looks like. The first message.

    Attributes:
        place: the worker's place, from 0.
        workers: how many there are; partition p of a stage belongs to the worker at `p % workers`.
        path: the driver's `sys.path`.
        directory: the driver's working directory.
        variables: environment variables to put back as the driver has them; None: not set.
        modules: heavy modules that the driver has loaded, to be loaded before the first task.
    """

    place: int
    workers: int
    path: list[str]
    directory: str
    variables: Mapping[str, str | None]
    modules: Sequence[str]


class Ready(NamedTuple):
    """Worker: tasks may come."""


class LoadState(NamedTuple):
    """Driver: these are the state tables that your predecessor held. No answer.

    Attributes:
        formats: how tables are written to the state log, packed, by operator; None where there is none.
        downtimes: when the program was down, oldest first.
        tables: of each the operator, the partition, slices of the last snapshot packed together or None, deltas of
            committed batches after it, deltas of batches in flight.
        views: rows that the driver still names: number, operator, partition, kind of rows.
    """

    formats: bytes | None
    downtimes: Sequence[Downtime]
    tables: Sequence[tuple[str, int, Frame | None, Sequence[Frame], Sequence[Frame]]]
    views: Sequence[tuple[int, str, int, type[StateRows]]]


class RunTasks(NamedTuple):
    """Driver: run the tasks of a stage, in order, and stop at the first that fails.

    Attributes:
        tasks: the tasks.
        batch: batch time in ms, attempt, and records and description by input; None in a batch program.
        path: the driver's `sys.path` where it has changed, or None.
        shipments: numbers of the objects and frames of each shipment that the worker has not got.
        ended_objects: numbers that will not be named again.
        ended_data: likewise.
        state: what became of batches since the last message: `COMMIT` or `ROLL_BACK` and the batch time, ms; `DROP`
            and 0, when all state is to be forgotten; `PERSIST` and packed formats, in which tables are to be written;
            `DOWN` and when the program was down.
        snapshot_of: operator and partition of a table that the driver wants a snapshot of, or None.
        broadcasts: number and frames of each value that the worker has not got.
        ended_broadcasts: numbers whose values will not be asked for again.
    """

    tasks: Sequence[TaskForm]
    batch: BatchForm | None
    path: list[str] | None
    shipments: Sequence[tuple[Sequence[int], FramesForm]]
    ended_objects: Sequence[int]
    ended_data: Sequence[int]
    state: Sequence[tuple[str, Any]]
    snapshot_of: tuple[str, int] | None
    broadcasts: Sequence[tuple[int, FramesForm]]
    ended_broadcasts: Sequence[int]


BatchForm: TypeAlias = tuple[int, int, Mapping[str, tuple[int | None, str, Sequence[tuple[str, int, int, int]]]]]
"""Batch time, attempt, and of each input records, description and ranges of offsets."""


class Done(NamedTuple):
    """Worker: the tasks gave results.

    Attributes:
        results: for each task the atom that it gave or the form of what it gave; for a map task the forms of its
            pieces; a `View` where the rows stay with the worker.
        printed_bytes: how much was printed so far to stdout and to stderr.
        additions: what the tasks added to accumulators, packed, or None.
        deltas: what the batch changed in the tables that the tasks touched: operator, partition, delta, and how many
            keys it changed where the delta is a chunk for the state log, else 0.
        slices: parts of the snapshot that was asked for, an empty one behind the last.
    """

    results: Sequence[Any]
    printed_bytes: tuple[int, int]
    additions: bytes | None
    deltas: Sequence[tuple[str, int, bytes, int]]
    slices: Sequence[bytes]


class Failed(NamedTuple):
    """Worker: a task failed; those after it were not run.

    Attributes:
        error: the error, packed.
        task: which one of the message, from 0, or `BEFORE_TASKS`.
        printed_bytes: as in `Done`.
        additions: what the tasks before it added.
    """

    error: bytes
    task: int
    printed_bytes: tuple[int, int]
    additions: bytes | None


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
    """Worker: the data that was asked for."""

    form: PackedForm


class End(NamedTuple):
    """Driver: end, after what the program wants done at exit."""


Message: TypeAlias = Hello | Ready | LoadState | RunTasks | Done | Failed | SendData | Data | End

_KINDS: Final[tuple[type[Any], ...]] = Message.__args__
_CODES: Final = {kind: code for code, kind in enumerate(_KINDS)}


def encode(message: Message) -> list[Frame]:
    """Make the parts of a message.

    Example:
        >>> decode(encode(SendData(7)))
        SendData(number=7)
    """
    buffers: list[Frame] = []

    def stays_in_pickle(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND_BYTES_MIN:
            return True
        buffers.append(raw)
        return False

    form = (_CODES[type(message)], *message)
    return [pickle.dumps(form, pickle.HIGHEST_PROTOCOL, buffer_callback=stays_in_pickle), *buffers]


def decode(parts: Sequence[Frame]) -> Message:
    """Make a message of its parts; large runs of bytes in it share their memory."""
    code, *fields = pickle.loads(parts[0], buffers=parts[1:])
    message: Message = _KINDS[code](*fields)
    return message

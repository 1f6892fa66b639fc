"""The worker process: one executor, told by the driver what to run. `python -m millstream.execution.worker`."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import signal
import socket
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

from millstream._core import pack_split
from millstream.encoding.rows import Frame, pack, unpack, unpack_frames
from millstream.environment.process_tuning import collection_paused
from millstream.errors import InternalError, ShippingError
from millstream.execution.executor import Executor
from millstream.execution.messages import (
    BEFORE_TASKS,
    COMMIT,
    DOWN,
    HELD_PIECE_RECORDS_MIN,
    PERSIST,
    ROLL_BACK,
    Data,
    Done,
    End,
    Failed,
    Hello,
    LoadState,
    Message,
    Ready,
    RunTasks,
    SendData,
    View,
    decode,
    encode,
)
from millstream.execution.packed import ATOMS, KeysAndValues, Packed, PackedForm
from millstream.execution.progress import Progress
from millstream.execution.readers import StepReader
from millstream.execution.remote_error import pack_error
from millstream.execution.snapshot_slices import SnapshotSlices, joined, whole_snapshot
from millstream.execution.task import Task
from millstream.execution.task_form import FormReader
from millstream.execution.wire import Wire, WireClosedError
from millstream.model.accumulator import drain_accumulators
from millstream.model.batch import Batch, BatchInput
from millstream.model.broadcast import drop_broadcast, install_broadcast
from millstream.model.offset_range import OffsetRange
from millstream.rdd.exchange import CombineByKey, Exchange
from millstream.rdd.partitioner import KeyGroups
from millstream.state.chunk import decode_delta
from millstream.state.delta import Delta
from millstream.state.load_step import LoadStep
from millstream.state.rows import StateRows
from millstream.state.table_format import TableFormat

_PR_SET_PDEATHSIG = 1


class Worker:
    """Answers the driver's messages until it says `End` or is gone.

    Args:
        wire: the connection to the driver.
        progress: where the number of the running task is written.
        stdout: counts what is printed.
        stderr: likewise.
    """

    def __init__(self, wire: Wire, progress: Progress, stdout: CountedFile, stderr: CountedFile) -> None:
        self._wire = wire
        self._progress = progress
        self._printed = (stdout, stderr)
        self._executor = Executor(self._unpacked)
        self._objects: dict[int, Any] = {}
        self._data: dict[int, Any] = {}
        self._batch: Batch | None = None
        self._slices: SnapshotSlices | None = None
        self._formats: Mapping[str, TableFormat] = {}
        self._place, self._workers = 0, 1

    def run(self) -> None:
        """Answer messages; returns when the driver wants no more."""
        wire = self._wire
        while True:
            while self._slices is not None and not wire.has_message():
                if not self._slices.advance():
                    break
            message = decode(wire.receive())
            match message:
                case RunTasks():
                    self._run_tasks(message)
                case SendData():
                    self._send_data(message.number)
                case LoadState():
                    self._load_state(message)
                case Hello():
                    self._settle_in(message)
                case End():
                    self._executor.close()
                    return
                case _:
                    raise InternalError(f"The driver sent {type(message).__name__}, which workers do not know.")

    def _settle_in(self, hello: Hello) -> None:
        self._place, self._workers = hello.place, hello.workers
        _take_path(hello.path)
        os.chdir(hello.directory)
        for name, value in hello.variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for module in hello.modules:
            # Why suppressed: whoever needs the module meets the error where it is needed.
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        gc.collect()
        gc.freeze()
        self._send(Ready())

    def _send(self, message: Message) -> None:
        self._wire.send(encode(message))

    def _printed_bytes(self) -> tuple[int, int]:
        stdout, stderr = self._printed
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            pass  # A user's function may have put anything there, or closed it.
        return stdout.written_bytes, stderr.written_bytes

    def _run_tasks(self, message: RunTasks) -> None:
        results: list[Any] = []
        deltas: list[tuple[str, int, bytes, int]] = []
        progress = self._progress
        step = BEFORE_TASKS
        try:
            self._catch_up(message)
            reader = FormReader(self._objects, self._data)
            for step, form in enumerate(message.tasks):
                progress.task = step
                task = reader.task(form)
                results.append(self._result(task, form[-1]))
                if type(task.pipeline.reader) is StepReader:
                    self._note_delta(task.pipeline.reader, deltas)
            slices = self._more_slices(message.snapshot_of, sum(len(delta) for _, _, delta, _ in deltas))
            additions = _packed_additions()
        except Exception as error:
            progress.task = None
            self._send(self._failed(error, step))
            return
        # Not reached, and the number of the task left for the driver to read, when a function ends the process.
        progress.task = None
        self._send(Done(results, self._printed_bytes(), additions, deltas, slices))

    def _failed(self, error: Exception, step: int) -> Failed:
        try:
            additions = _packed_additions()
        except ShippingError:  # Why dropped: the stage fails already, and the next one meets the same error.
            additions = None
        return Failed(pack_error(error), step, self._printed_bytes(), additions)

    def _catch_up(self, message: RunTasks) -> None:
        """Bring everything up to date that the tasks rely on."""
        if message.path is not None:
            _take_path(message.path)
        for number in message.ended_data:
            self._data.pop(number, None)
        for number in message.ended_objects:
            self._objects.pop(number, None)
        for number in message.ended_broadcasts:
            drop_broadcast(number)
        self._change_state(message.state)
        for number, frames in message.broadcasts:
            install_broadcast(number, unpack_frames(frames))
        for numbers, frames in message.shipments:
            self._objects.update(zip(numbers, unpack_frames(frames), strict=True))
        if message.batch is None:
            self._batch = None
        else:
            time_ms, attempt, inputs = message.batch
            told = {
                name: BatchInput(records, description, tuple(map(OffsetRange._make, ranges)))
                for name, (records, description, ranges) in inputs.items()
            }
            self._batch = Batch(time_ms, attempt, told)

    def _change_state(self, changes: Sequence[tuple[str, Any]]) -> None:
        state = self._executor.state
        for what, given in changes:
            if what == COMMIT:
                state.commit(given)
            elif what == ROLL_BACK:
                state.rollback(given)
            elif what == PERSIST:
                self._formats = unpack(given)
            elif what == DOWN:
                state.note_downtimes(given)
            else:
                state.clear()
                self._formats = {}
                self._slices = None

    def _unpacked(self, data: Any) -> Any:
        if type(data) is not Packed:
            return data
        if data.number is None:
            return data.unpack()
        if data.number not in self._data:
            self._data[data.number] = data.unpack()
        return self._data[data.number]

    def _result(self, task: Task, number: int | None) -> Any:
        exchange = task.exchange
        if exchange is not None:
            assert number is not None
            if not _spreads_a_dict_by_key_group(exchange):
                return self._pieces(self._executor.run(task, self._batch), number)
            combined = self._executor.run(Task(task.pipeline, task.partition, task.end), self._batch)
            return self._packed_at_once(combined, exchange, number) or self._pieces(
                exchange.split(combined, task.partition), number
            )
        result = self._executor.run(task, self._batch)
        if task.end is not None:
            reader = task.pipeline.reader
            if isinstance(reader, StepReader) and isinstance(reader.step, LoadStep):
                return whole_snapshot(self._executor.state.table(reader.operator_id, reader.index))
            return result if type(result) in ATOMS else Packed.of_result(result).form()
        if number is not None:
            self._data[number] = result
            reader = task.pipeline.reader
            if isinstance(result, StateRows) and isinstance(reader, StepReader):
                return View(len(result), reader.operator_id, reader.index, type(result))
        return Packed.of(result).form()

    def _pieces(self, pieces: Sequence[Any], first_number: int) -> list[PackedForm]:
        for partition in self._own(len(pieces)):
            self._hold_piece(first_number + partition, pieces[partition])
        return [Packed.of_piece(piece).form() for piece in pieces]

    def _packed_at_once(self, combined: Any, exchange: Exchange, first_number: int) -> list[PackedForm] | None:
        """Split and pack a dict of plain keys and values in one pass; None where it holds something else."""
        if type(combined) is not dict:
            return None
        own = self._own(exchange.partitions)
        try:
            split = pack_split(combined, exchange.partitions, own)
        except (TypeError, ValueError):  # A key that cannot be one: the exchange itself names the operator.
            return None
        if split is None:
            return None
        packed, kept = split
        for partition, (keys, values) in zip(own, kept, strict=True):
            self._hold_piece(first_number + partition, KeysAndValues(keys, values))
        return [Packed.of_packed_pairs(data, records).form() for records, data in packed]

    def _own(self, partitions: int) -> range:
        """Give the partitions of a stage that run here."""
        return range(self._place, partitions, self._workers)

    def _hold_piece(self, number: int, piece: Any) -> None:
        if len(piece) >= HELD_PIECE_RECORDS_MIN:
            self._data[number] = piece

    def _note_delta(self, reader: StepReader, deltas: list[tuple[str, int, bytes, int]]) -> None:
        if not reader.step.changes_table:
            return
        assert self._batch is not None
        operator, partition = reader.operator_id, reader.index
        delta = self._executor.state.table(operator, partition).delta(self._batch.time_ms)
        format = self._formats.get(operator)
        if format is None:
            deltas.append((operator, partition, delta.pack(), 0))
        else:
            deltas.append((operator, partition, format.encode(delta), delta.records))

    def _more_slices(self, snapshot_of: tuple[str, int] | None, delta_bytes: int) -> list[bytes]:
        """Give what is ready of the snapshot that the driver asked for, an empty slice behind the last one."""
        if snapshot_of is not None:
            self._slices = SnapshotSlices(self._executor.state.table(*snapshot_of))
        if self._slices is None:
            return []
        # Twice what was added to the log, so that a snapshot is complete before the log has doubled.
        slices = self._slices.take(2 * delta_bytes)
        if self._slices.is_taken:
            self._slices = None
            slices.append(b"")
        return slices

    def _send_data(self, number: int) -> None:
        try:
            data = self._data[number]
            if isinstance(data, StateRows):
                # From here on the table may change in place what the view showed.
                data = self._data[number] = data.materialised()
            packed = Packed.of(data)
        except Exception as error:
            self._send(Failed(pack_error(error), BEFORE_TASKS, self._printed_bytes(), None))
            return
        self._send(Data(packed.form()))

    def _load_state(self, message: LoadState) -> None:
        state = self._executor.state
        self._formats = {} if message.formats is None else unpack(message.formats)
        state.note_downtimes(message.downtimes)
        for operator, partition, snapshot, deltas, open_deltas in message.tables:
            table = state.table(operator, partition)
            with collection_paused():
                table.load(
                    None if snapshot is None else joined(unpack(snapshot)),
                    [self._delta(operator, delta) for delta in deltas],
                    [self._delta(operator, delta) for delta in open_deltas],
                )
        for number, operator, partition, kind in message.views:
            self._data[number] = state.table(operator, partition).viewed(kind)

    def _delta(self, operator: str, data: Frame) -> Delta:
        format = self._formats.get(operator)
        return Delta.unpack(data) if format is None else decode_delta(data, format.codec)


def _spreads_a_dict_by_key_group(exchange: Exchange) -> bool:
    return isinstance(exchange, CombineByKey) and type(exchange.partitioner) is KeyGroups


def _packed_additions() -> bytes | None:
    additions = drain_accumulators()
    return pack(additions) if additions else None


class CountedFile(io.FileIO):
    """A stream of the process that counts what is written, so that the driver knows when it has seen all of it."""

    written_bytes = 0

    def write(self, data: Any) -> int:
        """Write, and count."""
        written = super().write(data)
        self.written_bytes += written
        return written


def _print_by(descriptor: int, errors: str) -> tuple[CountedFile, io.TextIOWrapper]:
    file = CountedFile(descriptor, "w", closefd=False)
    return file, io.TextIOWrapper(io.BufferedWriter(file), "utf-8", errors, line_buffering=True)


def _take_path(path: list[str]) -> None:
    if sys.path != path:
        sys.path[:] = path
        importlib.invalidate_caches()


def _die_with_driver(driver_pid: int) -> None:
    """Have the operating system end this process when the driver's is gone, however busy this one is.

    Elsewhere than on Linux the end of the connection says it, once the running task has ended.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != driver_pid:
        os._exit(0)


def main() -> None:
    """Be a worker. Arguments: descriptors of the connection and of the progress file, pid of the driver."""
    connection, progress, driver_pid = map(int, sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_driver(driver_pid)
    os.set_inheritable(connection, False)
    stdout, sys.stdout = _print_by(1, "surrogateescape")
    stderr, sys.stderr = _print_by(2, "backslashreplace")
    # What the user's functions find under this name must not be this module.
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = [""]
    wire = Wire(socket.socket(fileno=connection))
    shared = Progress(progress)
    os.close(progress)
    # Why suppressed: a driver that is gone needs no answer, and nobody reads the traceback.
    with contextlib.suppress(WireClosedError):
        Worker(wire, shared, stdout, stderr).run()


if __name__ == "__main__":
    from millstream.execution import worker

    worker.main()

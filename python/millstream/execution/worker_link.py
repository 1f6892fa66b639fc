"""The link to one worker: what the process there has, what it is told next, and what it answers."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millstream.encoding.rows import Frame, pack_frames
from millstream.errors import BackendUnavailableError
from millstream.execution.data_numbers import DataNumbers
from millstream.execution.messages import (
    BEFORE_TASKS,
    HELD_PIECE_RECORDS_MIN,
    BatchForm,
    Data,
    Done,
    Failed,
    RunTasks,
    SendData,
    View,
)
from millstream.execution.packed import Fetched, Packed, PackedForm
from millstream.execution.readers import StepReader
from millstream.execution.remote_error import unpack_error
from millstream.execution.remote_state import RemoteState
from millstream.execution.shipments import Shipment, Shipments
from millstream.execution.task import Task
from millstream.execution.task_form import FormWriter, Names
from millstream.execution.wire import WireClosedError
from millstream.execution.worker_place import WorkerPlace
from millstream.model.broadcast import BroadcastCopies

HELD_BYTES_MAX = 256 * 1024 * 1024
"""Packed size of the data that a worker holds for later reads; unpacked it takes a few times as much."""


@dataclass(slots=True, eq=False)
class Order:
    """Tasks for one worker, ready to be sent.

    Attributes:
        tasks: the tasks.
        message: what is said to the worker.
        result_numbers: for each task the number under which the worker holds its result, or None.
        sending: data that the worker holds once it has run the tasks: packed size by number.
        shipments: what the worker has once it has read the message.
    """

    tasks: Sequence[Task]
    message: RunTasks
    result_numbers: Sequence[int | None]
    sending: Mapping[int, int]
    shipments: Sequence[Shipment]


@dataclass(slots=True, eq=False)
class Answer:
    """What came of an order.

    Attributes:
        results: one for each task, in order; none when a task failed.
        additions: what the tasks added to accumulators, packed, or None.
        error: what a task raised, or None.
        failed_task: which one of the order raised it.
    """

    results: Sequence[Any]
    additions: bytes | None
    error: Exception | None = None
    failed_task: int = 0


class WorkerLink(Names):
    """What is known of the worker in one place.

    Args:
        place: the place.
        shipments: objects that workers share.
        numbers: names of data that workers hold.
        fetch: gets the bytes of data that only the worker has, by its number.
    """

    def __init__(
        self,
        place: WorkerPlace,
        shipments: Shipments,
        numbers: DataNumbers,
        fetch: Callable[[WorkerLink, int], Fetched],
    ) -> None:
        self.place = place
        self.state = RemoteState()
        self._shipments = shipments
        self._numbers = numbers
        self._fetch = fetch
        self._views: dict[int, tuple[View, int]] = {}
        # Filled while one order is put together: objects and data that it names, data that it carries.
        self._using: dict[int, None] = {}
        self._reading: set[int] = set()
        self._sending: dict[int, int] = {}
        self._note_empty()

    def _note_empty(self) -> None:
        """Note that the process, which is new, has nothing."""
        self._known: set[int] = set()
        self._held: dict[int, int] = {}
        self._held_bytes = 0
        self._copies = BroadcastCopies()
        self._path = sys.path.copy()
        self._ended_objects: list[int] = []
        self._ended_data: list[int] = []

    def get_ready(self) -> None:
        """Have a process in the place that has the state of the one before.

        Raises:
            BackendUnavailableError: no process got ready.
            WireClosedError: it died meanwhile.
        """
        if self.place.is_settled:
            return
        self.place.settle()
        self._note_empty()
        self.state.note_empty()
        image = self.state.image(self._lost_views())
        if image is None:
            return
        try:
            self.place.tell(image)
        except WireClosedError:
            raise
        except BaseException:
            self.place.abandon()
            raise

    def _lost_views(self) -> list[tuple[int, View]]:
        """List the views that the driver still names, to be made again of the restored tables."""
        views = []
        for packed in self._numbers.only_with_workers():
            assert packed.number is not None
            view, batch_ms = self._views.get(packed.number, (None, 0))
            # What an earlier batch showed cannot be told from a table that a later one has changed.
            if view is not None and self.state.shows(view, batch_ms):
                views.append((packed.number, view))
                self._hold(packed.number, 0)
        return views

    def _hold(self, number: int, size_bytes: int) -> None:
        self._held_bytes += size_bytes - self._held.pop(number, 0)
        self._held[number] = size_bytes

    def object_number(self, obj: Any) -> int:
        """Give the number of an object that is shipped."""
        number = self._shipments.number_of(obj)
        self._using[number] = None
        return number

    def data_form(self, packed: Packed) -> PackedForm | int:
        """Give the form of data, or the number under which the worker holds it.

        What is sent for the second time is likely to be read again: the worker is told to hold it.
        """
        number = packed.number
        if number is not None and number in self._held:
            self._held[number] = self._held.pop(number)
            self._reading.add(number)
            return number
        if number is None and packed.sent:
            number = self._numbers.new()
            self._numbers.give(packed, number)
        packed.sent = True
        if number is not None:
            self._sending[number] = packed.lasting().size_bytes
        return packed.form()

    def order(self, tasks: Sequence[Task], batch: BatchForm | None) -> Order:
        """Put tasks for this worker into a message.

        Raises:
            ShippingError: a function or a record cannot be sent.
            LifecycleError: a function uses a broadcast that was destroyed.
        """
        self._using, self._reading, self._sending = {}, set(), {}
        try:
            return self._order(tasks, batch)
        except BaseException:
            self.withdraw()
            raise

    def _order(self, tasks: Sequence[Task], batch: BatchForm | None) -> Order:
        result_numbers = [self._numbers.new(results) if (results := _held_results(task)) else None for task in tasks]
        writer = FormWriter(self)
        forms = [writer.task(task, number) for task, number in zip(tasks, result_numbers, strict=True)]
        self._shipments.gather()
        used = self._shipments.holding(self._using)
        broadcasts = set[int]().union(*(shipment.broadcasts for shipment in used))
        values = [(number, _wrapped(pack_frames(value))) for number, value in self._copies.to_install(broadcasts)]
        missing = [shipment for shipment in used if shipment.numbers[0] not in self._known]
        self._evict()
        message = RunTasks(
            forms,
            batch,
            self._new_path(),
            [(shipment.numbers, _wrapped(shipment.frames)) for shipment in missing],
            self._ended_objects,
            self._ended_data,
            self.state.untold,
            self.state.replicas.snapshot_wanted(),
            values,
            self._copies.to_drop(),
        )
        return Order(tasks, message, result_numbers, self._sending, missing)

    def withdraw(self) -> None:
        """Take back what was noted for an order that was not sent."""
        self._copies = BroadcastCopies()
        self._path = []
        self.state.replicas.give_up_snapshot()

    def _new_path(self) -> list[str] | None:
        if sys.path == self._path:
            return None
        self._path = sys.path.copy()
        return self._path

    def _evict(self) -> None:
        """Have the worker forget data not read for longest while it holds too much; the driver has the bytes."""
        if self._held_bytes <= HELD_BYTES_MAX:
            return
        for number, size_bytes in list(self._held.items()):
            if size_bytes and number not in self._reading:
                self.data_ended(number)
                if self._held_bytes <= HELD_BYTES_MAX:
                    return

    def send(self, order: Order) -> None:
        """Send an order.

        Raises:
            WireClosedError: the worker is gone.
        """
        message = order.message
        if message.batch is not None and any(type(task.pipeline.reader) is StepReader for task in order.tasks):
            self.state.touch(message.batch[0])
        self.place.tell(message)
        for shipment in order.shipments:
            self._known.update(shipment.numbers)
        self.state.note_told()
        self._ended_objects = []
        self._ended_data = []

    def receive(self, order: Order) -> Answer:
        """Wait for what came of an order.

        Raises:
            WireClosedError: the worker is gone.
        """
        message = self.place.hear()
        if isinstance(message, Failed):
            return self._failed(order, message)
        assert isinstance(message, Done)
        self.place.wait_printed(message.printed_bytes)
        if message.deltas:
            assert order.message.batch is not None
            self.state.replicas.take_deltas(order.message.batch[0], message.deltas)
        if message.slices:
            self.state.replicas.take_slices(message.slices)
        for number, size_bytes in order.sending.items():
            self._hold(number, size_bytes)
        each = zip(order.tasks, order.result_numbers, message.results, strict=True)
        try:
            results = [self._result(order, task, number, result) for task, number, result in each]
        except Exception as error:  # Why caught: the others are still under way; the stage raises it at its end.
            return Answer([], message.additions, error)
        return Answer(results, message.additions)

    def _result(self, order: Order, task: Task, number: int | None, result: Any) -> Any:
        if number is None:
            return Packed.of_form(result).unpack() if type(result) is tuple else result
        if task.exchange is not None:
            return self._pieces(number, result)
        if isinstance(result, View):
            packed = Packed(None, result.records, fetch=lambda: self._fetch(self, number))
            assert order.message.batch is not None
            self._views[number] = result, order.message.batch[0]
        else:
            packed = Packed.of_form(result)
        self._numbers.give(packed, number)
        self._hold(number, packed.size_bytes)
        return packed

    def _pieces(self, first_number: int, forms: Sequence[PackedForm]) -> list[Packed]:
        pieces = [Packed.of_form(form) for form in forms]
        for partition in range(self.place.index, len(pieces), self.place.count):
            piece = pieces[partition]
            if piece.records >= HELD_PIECE_RECORDS_MIN:
                self._numbers.give(piece, first_number + partition)
                self._hold(first_number + partition, piece.size_bytes)
        return pieces

    def _failed(self, order: Order, message: Failed) -> Answer:
        self.place.wait_printed(message.printed_bytes)
        # Some of it may be there and some not: all of it is named anew the next time.
        self._ended_data.extend(order.sending)
        for task, number in zip(order.tasks, order.result_numbers, strict=True):
            if number is not None:
                self._ended_data.extend(range(number, number + _held_results(task)))
        if message.task == BEFORE_TASKS:
            for shipment in order.shipments:
                self._known.difference_update(shipment.numbers)
            self._copies = BroadcastCopies()
        self.state.replicas.give_up_snapshot()
        return Answer([], message.additions, unpack_error(message.error), max(message.task, 0))

    def fetch(self, number: int) -> Fetched:
        """Get the bytes of data that only the worker has; no order may be under way.

        Raises:
            BackendUnavailableError: the worker has it no longer.
            WireClosedError: the worker is gone.
        """
        self.get_ready()
        if number not in self._held:
            raise BackendUnavailableError(
                "Data was lost with the worker that held it.",
                detail=f"Worker {self.place.index} held a view of state that a later batch has changed since.",
                hint="Run the batch again, or persist what is read later.",
            )
        self.place.tell(SendData(number))
        message = self.place.hear()
        if isinstance(message, Failed):
            raise unpack_error(message.error)
        assert isinstance(message, Data)
        packed = Packed.of_form(message.form)
        self._views.pop(number, None)
        self._hold(number, packed.size_bytes)
        return packed.frames, packed.holds

    def objects_ended(self, numbers: Iterable[int]) -> None:
        """Note that objects will not be named again."""
        ended = self._known.intersection(numbers)
        self._known -= ended
        self._ended_objects.extend(ended)

    def data_ended(self, number: int) -> None:
        """Note that data will not be named again."""
        self._views.pop(number, None)
        size_bytes = self._held.pop(number, None)
        if size_bytes is not None:
            self._held_bytes -= size_bytes
            self._ended_data.append(number)


def _wrapped(frames: Iterable[Frame]) -> list[pickle.PickleBuffer]:
    return [pickle.PickleBuffer(frame) for frame in frames]


def _held_results(task: Task) -> int:
    """Count what a worker may hold of the result: kept data, or the pieces of a shuffle."""
    if task.exchange is not None:
        return task.exchange.partitions
    return 1 if task.end is None else 0

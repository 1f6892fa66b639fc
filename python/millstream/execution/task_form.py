"""Tasks in plain form: numbers, tuples and bytes, which pickle without asking Python for anything.

A stage of a few records is mostly this: a pickle of the tasks themselves, with their classes, takes three times as
long on either side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from millstream.errors import InternalError
from millstream.execution.packed import Packed, PackedForm
from millstream.execution.readers import HeldReader, MergeReader, PipelinesReader, Reader, SplitReader, StepReader
from millstream.execution.task import Pipeline, Task
from millstream.model.ports.replayable_source import Split
from millstream.rdd.operations import Collect, Count, End

TaskForm: TypeAlias = tuple[Any, ...]
"""Pipeline, partition, end, exchange; and the number under which the result is held (of a map task the first of its
pieces), or None."""

_HELD, _SPLIT, _MERGE, _PIPELINES, _STEP = range(5)

_KEEP, _COUNT, _END_OF_EXCHANGE = None, "count", "exchange"
"""Ends that are no object with a number. `Collect` is a tuple of its limit."""


class Names(ABC):
    """Knows what one worker has, while tasks for it are put into their form."""

    @abstractmethod
    def object_number(self, obj: Any) -> int:
        """Give the number of an object that is shipped; the worker has it before it reads the tasks."""

    @abstractmethod
    def data_form(self, packed: Packed) -> PackedForm | int:
        """Give the form of data, or the number under which the worker holds it."""


class FormWriter:
    """Puts the tasks of one message into their form.

    Args:
        names: knows what the worker has.
    """

    def __init__(self, names: Names) -> None:
        self._number = names.object_number
        self._names = names
        # Data that is read twice is sent once: equal forms are one tuple, in the pickle too.
        self._forms: dict[int, PackedForm | int] = {}

    def task(self, task: Task, result_number: int | None) -> TaskForm:
        """Put a task into its form."""
        exchange, end = task.exchange, task.end
        return (
            self._pipeline(task.pipeline),
            task.partition,
            _END_OF_EXCHANGE if exchange is not None and end is exchange.end else self._end(end),
            None if exchange is None else self._number(exchange),
            result_number,
        )

    def _end(self, end: End | None) -> Any:
        if end is None:
            return _KEEP
        if type(end) is Collect:
            return (end.limit,)
        return _COUNT if type(end) is Count else self._number(end)

    def _pipeline(self, pipeline: Pipeline) -> tuple[Any, ...]:
        return self._reader(pipeline.reader), [self._number(each) for each in pipeline.operations], pipeline.index

    def _pipelines(self, sides: Sequence[Sequence[Pipeline]]) -> list[list[Any]]:
        return [[self._pipeline(pipeline) for pipeline in side] for side in sides]

    def _reader(self, reader: Reader) -> tuple[Any, ...]:
        match reader:
            case HeldReader():
                return _HELD, self._data(reader.data)
            case MergeReader():
                sides = [[self._data(piece) for piece in side] for side in reader.sides]
                return _MERGE, self._number(reader.exchange), sides
            case SplitReader(split=split):
                return _SPLIT, self._number(reader.source), (split.data, split.records, split.description)
            case PipelinesReader(exchange=exchange):
                number = None if exchange is None else self._number(exchange)
                return _PIPELINES, self._pipelines(reader.sides), number
            case StepReader():
                return (
                    _STEP,
                    self._number(reader.step),
                    reader.operator_id,
                    reader.index,
                    self._pipelines(reader.inputs),
                )
            case _:
                raise InternalError(f"{type(reader).__name__} has no form in which it could be sent to a worker.")

    def _data(self, data: Any) -> PackedForm | int:
        form = self._forms.get(id(data))
        if form is None:
            packed = data if type(data) is Packed else Packed.of(data)
            form = self._forms[id(data)] = self._names.data_form(packed)
        return form


class FormReader:
    """Makes the tasks of one message of their form.

    Args:
        objects: shipped objects by number.
        held: data by number.
    """

    def __init__(self, objects: Mapping[int, Any], held: Mapping[int, Any]) -> None:
        self._objects = objects
        self._held = held
        self._made: dict[int, Packed] = {}

    def task(self, form: TaskForm) -> Task:
        """Make a task."""
        pipeline, partition, end_form, exchange_number, _ = form
        if exchange_number is None:
            return Task(self._pipeline(pipeline), partition, self._end(end_form))
        exchange = self._object(exchange_number)
        end = exchange.end if end_form == _END_OF_EXCHANGE else self._end(end_form)
        return Task(self._pipeline(pipeline), partition, end, exchange)

    def _object(self, number: int) -> Any:
        try:
            return self._objects[number]
        except KeyError:
            raise _unknown("an object", number) from None

    def _end(self, form: Any) -> End | None:
        if form is _KEEP:
            return None
        if type(form) is tuple:
            return _collect(*form)
        end: End = _count() if form == _COUNT else self._object(form)
        return end

    def _pipeline(self, form: tuple[Any, ...]) -> Pipeline:
        reader, operations, index = form
        return Pipeline(self._reader(reader), tuple(map(self._object, operations)), index)

    def _pipelines(self, sides: Sequence[Sequence[Any]]) -> list[list[Pipeline]]:
        return [[self._pipeline(form) for form in side] for side in sides]

    def _reader(self, form: tuple[Any, ...]) -> Reader:
        kind, *given = form
        if kind == _HELD:
            return HeldReader(self._data(given[0]))
        if kind == _MERGE:
            return MergeReader(self._object(given[0]), [[self._data(piece) for piece in side] for side in given[1]])
        if kind == _SPLIT:
            return SplitReader(self._object(given[0]), Split(*given[1]))
        if kind == _PIPELINES:
            return PipelinesReader(self._pipelines(given[0]), None if given[1] is None else self._object(given[1]))
        return StepReader(self._object(given[0]), given[1], given[2], self._pipelines(given[3]))

    def _data(self, form: PackedForm | int) -> Any:
        if type(form) is int:
            try:
                return self._held[form]
            except KeyError:
                raise _unknown("data", form) from None
        packed = self._made.get(id(form))
        if packed is None:
            packed = self._made[id(form)] = Packed.of_form(form)  # type: ignore[arg-type] # narrowed above
        return packed


# Actions make their ends anew each time. In a worker equal ones are one object, by which compiled stages are found.
@lru_cache(maxsize=64)
def _collect(limit: int | None) -> Collect:
    return Collect(limit)


@lru_cache(maxsize=1)
def _count() -> Count:
    return Count()


def _unknown(what: str, number: int) -> InternalError:
    return InternalError(f"The driver named {what} that this worker does not have.", detail=f"Number {number}.")

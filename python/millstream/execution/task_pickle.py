"""Tasks as bytes: structure by value, everything a worker has already by number."""

from __future__ import annotations

import copyreg
import io
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from millstream.encoding.rows import OUT_OF_BAND_BYTES_MIN, Frame
from millstream.errors import InternalError
from millstream.execution.packed import Packed
from millstream.execution.readers import HeldReader
from millstream.execution.shipments import goes_by_number
from millstream.execution.task import Pipeline, Task
from millstream.rdd.operations import Collect, Count

_DATA = 1
"""Set in the names of data; names of objects are even."""


class Names(ABC):
    """Knows what one worker has, while its tasks are pickled."""

    @abstractmethod
    def object_number(self, obj: Any) -> int:
        """Give the number of an object that is shipped; the worker has it before it reads the tasks."""

    @abstractmethod
    def data_number(self, packed: Packed) -> int | None:
        """Give the number under which the worker holds data, or None to send the data."""


class TaskPickler(pickle.Pickler):
    """Pickles tasks for one worker.

    Args:
        file: takes the pickle.
        names: knows what the worker has.
        buffers: takes large runs of bytes, uncopied.
    """

    def __init__(self, file: io.BytesIO, names: Names, buffers: list[Frame]) -> None:
        self.dispatch_table = _DISPATCH
        super().__init__(file, pickle.HIGHEST_PROTOCOL, buffer_callback=_taker(buffers))
        self._names = names

    def persistent_id(self, obj: Any) -> int | None:
        """Name what goes by number."""
        named = _NAMED[type(obj)]
        if named is None:  # Nearly always: it is asked for every int and str.
            return None
        if named:
            return self._names.object_number(obj) << 1
        number = self._names.data_number(obj)
        return None if number is None else number << 1 | _DATA


class TaskUnpickler(pickle.Unpickler):
    """Unpickles tasks in a worker.

    Args:
        data: the pickle.
        buffers: what was taken out of it.
        objects: shipped objects by number.
        held: data by number.
    """

    def __init__(
        self, data: Frame, buffers: Iterable[Frame], objects: Mapping[int, Any], held: Mapping[int, Any]
    ) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._objects = objects
        self._held = held

    def persistent_load(self, pid: Any) -> Any:
        """Give what a number names."""
        number = pid >> 1
        known = self._held if pid & _DATA else self._objects
        if number not in known:
            raise InternalError(
                "The driver named something that this worker does not have.",
                detail=f"{'Data' if pid & _DATA else 'Object'} {number}.",
            )
        return known[number]


class _Named(dict[type, bool | None]):
    """Which types are named: shipped objects by True, packed data by False."""

    def __missing__(self, kind: type) -> bool | None:
        named = self[kind] = False if kind is Packed else goes_by_number(kind) or None
        return named


_NAMED = _Named()


def pickled(value: Any) -> list[Frame]:
    """Pickle plain structure that holds `Packed` data, with large runs of bytes beside it."""
    buffers: list[Frame] = []
    return [pickle.dumps(value, pickle.HIGHEST_PROTOCOL, buffer_callback=_taker(buffers)), *buffers]


def _taker(buffers: list[Frame]) -> Callable[[pickle.PickleBuffer], bool]:
    def keep_in_pickle(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND_BYTES_MIN:
            return True
        buffers.append(raw)
        return False

    return keep_in_pickle


def _reduced_task(task: Task) -> tuple[Any, ...]:
    return Task, (task.pipeline, task.partition, task.end, task.exchange)


def _reduced_pipeline(pipeline: Pipeline) -> tuple[Any, ...]:
    return Pipeline, (pipeline.reader, pipeline.operations, pipeline.index)


def _reduced_held(reader: HeldReader) -> tuple[Any, ...]:
    data = reader.data
    return HeldReader, (data if type(data) is Packed else Packed.of(data),)


def _reduced_collect(end: Collect) -> tuple[Any, ...]:
    return _collect, (end.limit,)


def _reduced_count(end: Count) -> tuple[Any, ...]:
    return _count, ()


# Actions make their ends anew each time. In a worker equal ones are one object, by which compiled stages are found.
@lru_cache(maxsize=64)
def _collect(limit: int | None) -> Collect:
    return Collect(limit)


@lru_cache(maxsize=1)
def _count() -> Count:
    return Count()


# Why not by the classes' own protocol: frozen dataclasses are pickled by Python code, field by field.
_DISPATCH: dict[type, Callable[[Any], Any]] = {
    **copyreg.dispatch_table,
    Task: _reduced_task,
    Pipeline: _reduced_pipeline,
    HeldReader: _reduced_held,
    Collect: _reduced_collect,
    Count: _reduced_count,
}

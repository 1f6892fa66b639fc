"""Pickling of what another process cannot import: functions and classes of `__main__`, local ones, lambdas."""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final
from weakref import WeakKeyDictionary

import cloudpickle
from cloudpickle import cloudpickle as internals

from millstream.encoding import arrow_tables

PROTOCOL: Final = 5

_class_bytes: WeakKeyDictionary[type, bytes] = WeakKeyDictionary()
_tables: dict[tuple[int, bool], dict[type, Any]] = {}


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles rows whose classes live in `__main__`, at nearly the speed of plain pickle.

    A class goes as an id with the bytes of its definition, made once. The receiver that has met the id takes the
    class that it has, so definitions are loaded once a process, and rows that come home are of the class they
    were made of.

    Why not cloudpickle alone: it writes the definition anew for every message, and loading it *replaces the
    attributes of the class that is there*, so that rows coming back from a worker would give the methods of
    the user's own class other globals.
    """

    def __init__(self, file: io.BytesIO, buffer_callback: Callable[[pickle.PickleBuffer], object] | None) -> None:
        self.dispatch_table = _dispatch_table()  # The pickler in C reads it in __init__, and never again.
        super().__init__(file, protocol=PROTOCOL, buffer_callback=buffer_callback)

    def reducer_override(self, obj: Any) -> Any:
        """Take over classes that go by value; the rest is cloudpickle's or plain pickle's."""
        kind = type(obj)
        if kind is FunctionType:
            return super().reducer_override(obj)
        if not issubclass(kind, type):
            return NotImplemented
        if importable(obj):
            return super().reducer_override(obj)
        data = _class_bytes.get(obj)
        if data is None:
            data = _class_bytes[obj] = cloudpickle.dumps(obj, PROTOCOL)
        # The id is cloudpickle's own, so that a class that came inside a function is the same class here.
        return _class_of, (internals._get_or_create_tracker_id(obj), data)


def any_class_sent() -> bool:
    """Say whether a class went by value in this process, or came so."""
    return bool(_class_bytes)


def _class_of(class_id: str, data: bytes) -> type:
    known: type | None = internals._DYNAMIC_CLASS_TRACKER_BY_ID.get(class_id)
    if known is None:
        known = pickle.loads(data)
        _class_bytes[known] = data
    return known


def importable(kind: type) -> bool:
    """Say whether another process finds a class by importing its module."""
    if kind.__module__ == "__main__" or kind.__module__ in cloudpickle.list_registry_pickle_by_value():
        return False
    if kind.__module__ == "builtins":
        return True  # Some, such as that of code objects, have no name there; cloudpickle knows them.
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind


def _dispatch_table() -> dict[type, Any]:
    """Flatten cloudpickle's chain of tables: the chain is Python code, and asked for every object."""
    state = (len(copyreg.dispatch_table), "pyarrow" in sys.modules)
    table = _tables.get(state)
    if table is None:
        table = _tables[state] = {**cloudpickle.Pickler.dispatch_table, **arrow_tables.reducers()}
    return table

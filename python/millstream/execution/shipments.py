"""Shipments: what goes to a worker once and is named by a number from then on.

Operations, ends, exchanges, state steps and sources are objects with identity: one operator of a program is one
object, batch after batch. They are pickled together the first time a stage names them, so that functions
which share a variable share it in the worker too, and the bytes are kept for workers that come later. Sources and
sinks may change on the driver: they are pickled by themselves for every stage, and go again where that gives
other bytes.
"""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from millstream.encoding.functions import ship_function
from millstream.encoding.rows import Frame, pack_frames
from millstream.errors import ShippingError
from millstream.model.broadcast import broadcasts_pickled
from millstream.model.label import Label
from millstream.model.ports.replayable_source import ReplayableSource
from millstream.rdd.exchange import Exchange
from millstream.rdd.operations import ApplyPartition, Collect, Count, End, Operation
from millstream.state.step import StateStep

SHIPMENTS_MAX = 1_024
"""More are kept only while one stage needs them. A program has about as many as stages; functions that a
`transform` makes anew in each batch go when nothing refers to them any more."""

BYTES_MAX = 256 * 1024 * 1024
"""What functions may capture in all before those not used for longest are forgotten."""

_PLAIN = (Collect, Count)
"""Ends without a function: they are sent as they are."""

_BY_NUMBER = (Exchange, StateStep, ReplayableSource)
_MAY_CHANGE = (ReplayableSource, ApplyPartition)


def goes_by_number(kind: type) -> bool:
    """Tell whether objects of a type are shipped once and named by number.

    Example:
        >>> from millstream.rdd.operations import Map
        >>> [goes_by_number(kind) for kind in (Map, Collect, int)]
        [True, False, False]
    """
    if kind in _PLAIN:
        return False
    return kind in Operation.__args__ or kind in End.__args__ or issubclass(kind, _BY_NUMBER)


@dataclass(frozen=True, slots=True, eq=False)
class Shipment:
    """Objects that were pickled together.

    Attributes:
        numbers: what names them, in order.
        frames: the pickle and its buffers.
        broadcasts: numbers of the broadcast values that their functions use.
        size_bytes: what the frames take.
    """

    numbers: Sequence[int]
    frames: Sequence[Frame]
    broadcasts: frozenset[int]
    size_bytes: int


class Shipments:
    """All shipments of a backend, the least recently used first.

    The driver alone decides what is forgotten; workers are told.

    Args:
        count_max: how many are kept.
        bytes_max: how much all of them may take.
    """

    def __init__(self, count_max: int = SHIPMENTS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._size_bytes = 0
        self._numbers = itertools.count()
        self._by_object: dict[int, tuple[int, Callable[[], Any]]] = {}
        self._by_number: dict[int, Shipment] = {}
        self._kept: OrderedDict[Shipment, set[int]] = OrderedDict()
        self._fresh: list[Any] = []
        self._freed: deque[tuple[int, int]] = deque()
        self._checked: set[int] = set()
        self._outdated: list[Shipment] = []

    def begin_stage(self) -> list[int]:
        """Get ready for the next stage: forget what is no longer needed, and give the numbers that end."""
        self._checked.clear()
        return self._forget()

    def number_of(self, obj: Any) -> int:
        """Give the number of an object; one that is new goes with the next shipment."""
        known = self._by_object.get(id(obj))
        # Why asked: an object that is gone may have left its identity to this one.
        if known is not None and known[1]() is obj:
            number = known[0]
            if not isinstance(obj, _MAY_CHANGE) or number in self._checked:
                return number
            shipment = self._by_number.get(number)
            if shipment is None or shipment.frames == _frames([obj]):
                self._checked.add(number)
                return number
            self._outdated.append(shipment)
        number = next(self._numbers)
        self._by_object[id(obj)] = (number, self._reference(obj, number))
        self._fresh.append(obj)
        if isinstance(obj, _MAY_CHANGE):
            self._checked.add(number)
        return number

    def _reference(self, obj: Any, number: int) -> Callable[[], Any]:
        freed, place = self._freed, id(obj)
        try:
            return weakref.ref(obj, lambda _: freed.append((place, number)))
        except TypeError:  # Its class allows no weak references: it is held until it is forgotten.
            return lambda: obj

    def gather(self) -> None:
        """Pickle the new objects together.

        Raises:
            ShippingError: a function cannot be sent; the error names the operator and the variable.
        """
        fresh, self._fresh = self._fresh, []
        alone = [obj for obj in fresh if isinstance(obj, _MAY_CHANGE)]
        together = [obj for obj in fresh if not isinstance(obj, _MAY_CHANGE)]
        try:
            for objects in [*([obj] for obj in alone), together]:
                if objects:
                    self._ship(objects)
        except BaseException:
            for obj in fresh:
                self._by_object.pop(id(obj), None)
            raise

    def _ship(self, fresh: list[Any]) -> None:
        with broadcasts_pickled() as broadcasts:
            frames = _frames(fresh)
        if broadcasts and len(fresh) > 1:
            for part in _apart(fresh):
                self._ship(part)
            return
        numbers = [self._by_object[id(obj)][0] for obj in fresh]
        shipment = Shipment(numbers, frames, frozenset(broadcasts), sum(map(len, frames)))
        self._by_number.update(dict.fromkeys(numbers, shipment))
        self._kept[shipment] = set(numbers)
        self._size_bytes += shipment.size_bytes

    def holding(self, numbers: Iterable[int]) -> list[Shipment]:
        """List the shipments that hold these objects, each once, and note their use."""
        shipments = dict.fromkeys(self._by_number[number] for number in numbers)
        for shipment in shipments:
            self._kept.move_to_end(shipment)
        return list(shipments)

    def _forget(self) -> list[int]:
        """Forget shipments whose objects are gone, and those beyond the bounds; give the numbers that end."""
        ended: list[int] = []
        for shipment in self._outdated:
            if shipment in self._kept:
                ended += self._ended(shipment)
        self._outdated.clear()
        while self._freed:
            place, number = self._freed.popleft()
            if (known := self._by_object.get(place)) is not None and known[0] == number:
                del self._by_object[place]
            if number in self._by_number:
                shipment = self._by_number[number]
                self._kept[shipment].discard(number)
                if not self._kept[shipment]:
                    ended += self._ended(shipment)
        while len(self._kept) > self._count_max or self._size_bytes > self._bytes_max:
            ended += self._ended(next(iter(self._kept)))
        return ended

    def _ended(self, shipment: Shipment) -> Sequence[int]:
        del self._kept[shipment]
        self._size_bytes -= shipment.size_bytes
        ended = dict.fromkeys(shipment.numbers)
        for number in ended:
            del self._by_number[number]
        for place in [place for place, (number, _) in self._by_object.items() if number in ended]:
            del self._by_object[place]
        return shipment.numbers


def _apart(objects: list[Any]) -> list[list[Any]]:
    """Part what uses broadcasts from the rest, which may be in use when the broadcasts are gone."""
    using: list[list[Any]] = []
    others: list[Any] = []
    for obj in objects:
        with broadcasts_pickled() as its_own:
            _frames([obj])
        if its_own:
            using.append([obj])
        else:
            others.append(obj)
    return [*using, others] if others else using


def _frames(objects: Sequence[Any]) -> Sequence[Frame]:
    try:
        return pack_frames(objects)
    except ShippingError:
        for obj in objects:
            _check_functions(obj)
        raise


def _check_functions(obj: Any) -> None:
    """Ship what an object holds one by one, so that the error names the operator that it was given to."""
    label = getattr(obj, "label", None) or Label(type(obj).__name__)
    parts = [getattr(obj, field.name) for field in fields(obj) if field.name != "label"] if is_dataclass(obj) else [obj]
    for part in parts:
        ship_function(part, label)

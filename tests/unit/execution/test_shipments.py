from __future__ import annotations

import threading
from typing import Any

import pytest

from millstream.encoding.rows import unpack_frames
from millstream.errors import ShippingError
from millstream.execution.shipments import Shipments
from millstream.model.broadcast import Broadcast
from millstream.model.label import Label
from millstream.rdd.operations import FlatMap, Map
from millstream.testing.conformance import ListSource


def operation(f: Any) -> Map:
    return Map(f, Label("map", None, "app.py:3"))


def shipped(shipments: Shipments, *objects: Any) -> list[int]:
    """One stage that names objects."""
    shipments.begin_stage()
    numbers = [shipments.number_of(obj) for obj in objects]
    shipments.gather()
    return numbers


def test_objects_are_pickled_once_and_together() -> None:
    shipments = Shipments()
    shared: list[int] = []
    first, second = operation(shared.append), operation(lambda x: shared)
    numbers = shipped(shipments, first, second, first)
    assert numbers[0] == numbers[2] != numbers[1]
    assert shipped(shipments, second, first) == [numbers[1], numbers[0]]
    [shipment] = shipments.holding(numbers)
    again = dict(zip(shipment.numbers, unpack_frames(shipment.frames), strict=True))
    again[numbers[0]].f(7)
    assert again[numbers[1]].f(0) == [7]


def test_what_nothing_refers_to_is_forgotten() -> None:
    shipments = Shipments()
    kept, gone = operation(len), operation(str)
    [kept_number] = shipped(shipments, kept)
    [gone_number] = shipped(shipments, gone)
    del gone
    assert shipments.begin_stage() == [gone_number]
    assert shipments.begin_stage() == []
    assert shipments.number_of(kept) == kept_number


def test_an_identity_that_came_again_is_another_object() -> None:
    shipments = Shipments()
    seen = set()
    for n in range(50):
        seen.add(shipped(shipments, operation(lambda x, n=n: n))[0])
    assert len(seen) == 50


def test_those_not_used_for_longest_are_forgotten_beyond_the_bounds() -> None:
    shipments = Shipments(count_max=2)
    first, second, third = (operation(f) for f in (len, str, int))
    numbers = [shipped(shipments, each) for each in (first, second)]
    shipments.holding(numbers[0])
    numbers.append(shipped(shipments, third))
    assert shipments.begin_stage() == numbers[1]
    assert shipped(shipments, first, third) == [*numbers[0], *numbers[2]]
    assert shipped(shipments, second) != numbers[1]

    by_size = Shipments(bytes_max=15_000)
    large = [operation(lambda x, data=bytes(10_000): data) for _ in range(2)]
    forgotten = shipped(by_size, large[0])
    shipped(by_size, large[1])
    assert by_size.begin_stage() == forgotten


def test_a_source_goes_again_when_it_has_changed() -> None:
    shipments = Shipments()
    records = [1]
    source = ListSource(records)
    first = shipped(shipments, source)
    assert shipped(shipments, source) == first
    records.append(2)
    second = shipped(shipments, source)
    assert second != first
    assert shipments.begin_stage() == first
    [shipment] = shipments.holding(second)
    assert unpack_frames(shipment.frames)[0].records == [1, 2]


def test_broadcasts_are_known() -> None:
    shipments = Shipments()
    towns = Broadcast(["ulm"])
    numbers = shipped(shipments, operation(lambda x: towns.value))
    assert shipments.holding(numbers)[0].broadcasts == {towns.number}


def test_the_error_names_operator_and_variable() -> None:
    shipments = Shipments()
    lock = threading.Lock()
    fine = operation(len)
    locked = FlatMap(lambda x: [lock], Label("flat_map", None, "app.py:9"))
    for _ in range(2):
        with pytest.raises(ShippingError) as raised:
            shipped(shipments, fine, locked)
        assert "flat_map" in str(raised.value)
        assert "app.py:9" in str(raised.value)
        assert "`lock`" in str(raised.value)
    assert shipped(shipments, fine) == shipped(shipments, fine)

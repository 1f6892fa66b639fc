from __future__ import annotations

import copy
import enum
import threading
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.encoding.copies import ATOMS, copied
from millstream.errors import ShippingError

atoms = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
hashables = st.recursive(atoms, lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner)), max_leaves=4)
values = st.recursive(
    hashables,
    lambda inner: st.one_of(
        st.lists(inner),
        st.sets(hashables),
        st.dictionaries(hashables, inner),
        st.tuples(inner, inner),
        st.lists(inner).map(deque),
    ),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = 1


Point = namedtuple("Point", "x y")


@dataclass(frozen=True)
class Frozen:
    name: str
    items: Any


@dataclass(frozen=True, slots=True)
class Single:
    items: Any


@dataclass
class Session:
    events: list[int] = field(default_factory=list)


class OpenFrozen(list[int]):
    """A class that a frozen dataclass cannot make immutable."""


@dataclass(frozen=True)
class FrozenOverMutable(OpenFrozen):
    name: str = ""


def mutable_parts(value: Any) -> list[Any]:
    parts = [value] if type(value) in (list, set, dict, deque) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple, deque)) else ()
    return parts + [part for item in inner for part in mutable_parts(item)]


@given(values)
def test_a_copy_is_equal_and_shares_nothing_that_can_change(value: Any) -> None:
    copy_ = copied(value)
    assert copy_ == value
    assert type(copy_) is type(value)
    originals = {id(part) for part in mutable_parts(value)}
    assert originals.isdisjoint(id(part) for part in mutable_parts(copy_))
    assert (copy_ is value) == (not originals)
    if isinstance(value, dict):
        assert list(copy_) == list(value)


@pytest.mark.parametrize(
    "value",
    [
        5, "text", None, Decimal("1.5"), date(2024, 1, 1), timedelta(1), Colour.RED, np.float64(1.5), np.int8(3),
        (1, ("a", Colour.RED)), frozenset({1, (2, 3)}), Frozen("a", (1, 2)), Single("a"), Point(1, "b"), range(3),
        pa.table({"a": [1]}), int, len, lambda x: x,
    ],
)  # fmt: skip
def test_what_cannot_change_is_not_copied(value: Any) -> None:
    assert copied(value) is value
    assert copied(value) is value  # The type is known by now.


@pytest.mark.parametrize(
    "value",
    [
        [1], {"a": 1}, {1}, deque([1], maxlen=3), bytearray(b"a"), defaultdict(list, a=[1]), defaultdict(int, a=1),
        Counter("aab"), OrderedDict(b=1, a=2), (1, [2]), Frozen("a", [1]), Single([1]), Point(1, [2]), Session([1]),
        {"a": {"b": [1]}}, [Session()], FrozenOverMutable("x"),
    ],
)  # fmt: skip
def test_what_can_change_is_copied(value: Any) -> None:
    copy_ = copied(value)
    assert copy_ is not value
    assert copy_ == copy.deepcopy(value)
    assert type(copy_) is type(value)
    if isinstance(value, deque):
        assert copy_.maxlen == value.maxlen
    if isinstance(value, defaultdict):
        assert copy_.default_factory is value.default_factory


def test_arrays_are_copied() -> None:
    array = np.arange(4)
    copy_ = copied({"array": array})
    copy_["array"][0] = 9
    assert array[0] == 0


def test_inner_sharing_is_kept() -> None:
    inner = [1]
    copy_ = copied([inner, inner])
    assert copy_[0] is copy_[1]


def test_a_cycle_is_copied() -> None:
    value: list[Any] = []
    value.append(value)
    copy_ = copied(value)
    assert copy_[0] is copy_
    assert copy_ is not value


def test_instances_of_local_classes_keep_their_class() -> None:
    class Local:
        def __init__(self) -> None:
            self.items = [1]
            self.key = lambda x: x

    value = Local()
    for _ in range(2):
        copy_ = copied(value)
        assert type(copy_) is Local
        assert copy_.key is value.key
        assert copy_.items == [1]
        assert copy_.items is not value.items


def test_what_cannot_be_copied_is_named() -> None:
    session = Session()
    session.events = {"lock": threading.Lock()}  # type: ignore[assignment]
    with pytest.raises(ShippingError, match=r"\[0\]\.events\['lock'\]` \(a _thread\.lock\)") as caught:
        copied([session])
    assert isinstance(caught.value.__cause__, TypeError)


def test_types_that_can_change_are_never_learned_as_atoms() -> None:
    mutables: list[Any] = [[1], {}, set(), Session(), Point(1, []), np.zeros(1), Frozen("a", [])]
    for value in mutables:
        copied(value)
        assert type(value) not in ATOMS

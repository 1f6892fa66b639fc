"""What has no encoding is refused, with its place and its type."""

from __future__ import annotations

import math
import pickle
import threading
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
import pytest
from tests.unit.encoding.kinds import Box, Derived, Session

from millstream.encoding.codec import Codec, decode, encode
from millstream.encoding.registered_types import register_type
from millstream.errors import ConfigurationError, EncodingError, IncompatibleCheckpointError


class ListOfMine(list[int]):
    pass


@dataclass
class OddError(Exception):
    what: str


@dataclass
class Slotted:
    __slots__ = ("a", "b")
    a: int


def local_class() -> Any:
    @dataclass
    class Local:
        a: int

    return Local


REFUSED = [
    (object(), r"`value` is an object, which has no encoding"),
    ({"a": [0, threading.Lock()]}, r"`value\['a'\]\[1\]` is a _thread.lock"),
    (Session("u", [lambda: 0]), r"`value.hits\[0\]` is a function"),  # type: ignore[list-item]
    (deque([1, print]), r"`value\[1\]` is a builtin_function_or_method"),
    ({(1, print): 1}, r"`value.keys\(\)\[\(1, <built-in function print>\)\]\[1\]` is a builtin"),
    ({print}, r"`value\[<built-in function print>\]` is a"),
    (ListOfMine([1]), r"ListOfMine, a subclass of list, which would come back as no more than that"),
    (OddError("m"), r"OddError, which is more than its fields"),
    (Slotted(1), r"Slotted, whose slot b is no field"),
    (local_class()(1), r"Local, which a function defines"),
    (defaultdict(lambda: 0), r"has the default factory <function"),
    (np.array([object()]), r"an array of object, whose elements are Python objects"),
    (np.ma.array([1]), r"`value` is a numpy.ma"),
    (type, r"`value` is a type"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "words"), REFUSED, ids=lambda value: repr(value).partition(" at 0x")[0][:30])
def test_what_has_no_encoding_is_refused_by_name_and_place(value: Any, words: str) -> None:
    with pytest.raises(EncodingError, match=words) as caught:
        encode(value)
    assert "register_type" in (caught.value.hint or "")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(EncodingError, match="more than 200 levels deep"):
        encode(endless)
    endless_dict: dict[str, Any] = {}
    endless_dict["me"] = deque([endless_dict])
    with pytest.raises(EncodingError, match="more than 200 levels deep"):
        encode(endless_dict)


def test_attributes_beside_the_fields_are_refused_except_computed_ones() -> None:
    derived = Derived(3, 5)
    assert derived.double == 30
    again = decode(encode(derived))
    assert (again, again.total, again.kept, "double" in vars(again)) == (derived, 15, 7, False)
    assert decode(encode(Box[int](5))) == Box(5)
    derived.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(EncodingError, match="has the attribute `extra`, which is no field"):
        encode(derived)


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self) -> int:
        return hash(self.cents)


def test_a_registered_type() -> None:
    register_type(
        Money, name="test-money", encode=lambda money: {"cents": money.cents}, decode=lambda d: Money(d["cents"])
    )
    assert decode(encode([Money(5), {Money(1): 2}])) == [Money(5), {Money(1): 2}]
    with pytest.raises(ConfigurationError, match="registered twice"):
        register_type(Session, name="test-money", encode=str, decode=Session)
    codec = cloudpickle.loads(cloudpickle.dumps(Codec(types=(Session,))))
    assert codec == Codec(types=(Session,))
    with pytest.raises(IncompatibleCheckpointError, match="'tost-money'"):
        decode(encode(Money(1)).replace(b"test-money", b"tost-money"))


def test_a_registered_function_that_raises_is_named() -> None:
    class Odd:
        pass

    def fail(value: Any) -> Any:
        raise KeyError("why")

    register_type(Odd, name="test-odd", encode=fail, decode=fail)
    with pytest.raises(EncodingError, match=r"`value\[1\]` raised KeyError: 'why'") as caught:
        encode([0, Odd()])
    assert isinstance(caught.value.__cause__, KeyError)


def test_pickle_only_where_it_is_asked_for() -> None:
    codec = Codec("pickle")
    data = codec.encode({"f": math.sqrt})
    assert codec.decode(data) == {"f": math.sqrt}
    with pytest.raises(IncompatibleCheckpointError, match="codec='pickle'"):
        decode(data)
    assert codec.decode(encode((1, 2))) == (1, 2)
    with pytest.raises(EncodingError, match=r"It is a _thread.lock"):
        codec.encode(threading.Lock())

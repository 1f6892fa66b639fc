"""Values outlive changes of their classes, or say what is in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from tests.unit.encoding import kinds

from millstream.encoding.codec import Codec, decode, encode
from millstream.errors import ConfigurationError, IncompatibleCheckpointError

POINT = encode(kinds.Point(3.0, 4.0))


def test_new_fields_take_their_defaults() -> None:
    @dataclass
    class Point:
        x: float
        z: float = 9.0
        y: float = 0.0
        tags: list[str] = field(default_factory=list)

    one, other = decode(POINT, types=[Point]), decode(POINT, types=[Point])
    assert one == Point(3.0, 9.0, 4.0, [])
    assert one.tags is not other.tags


def test_a_field_that_is_gone_is_an_error_that_names_it() -> None:
    @dataclass
    class Point:
        x: float

    with pytest.raises(IncompatibleCheckpointError, match="stored with x, y; the class has no field 'y'"):
        decode(POINT, types=[Point])


def test_a_new_field_without_default_is_an_error_that_names_it() -> None:
    @dataclass
    class Point:
        x: float
        y: float
        z: float

    with pytest.raises(IncompatibleCheckpointError, match="the field 'z' is new and has no default"):
        decode(POINT, types=[Point])


def test_a_class_brings_its_fields_up_to_date() -> None:
    @dataclass
    class Point:
        radius: float

        @staticmethod
        def __upgrade_fields__(fields: dict[str, Any]) -> dict[str, Any]:
            return {"radius": math.hypot(fields["x"], fields["y"])}

    codec = Codec(types=(Point,))
    assert codec.decode(POINT) == Point(5.0)
    assert codec.decode(codec.encode(Point(1.0))) == Point(1.0)


@pytest.mark.parametrize(("given", "words"), [(KeyError("k"), "raised KeyError"), (5, "gave 5, which is no dict")])
def test_an_upgrade_that_fails_is_named(given: Any, words: str) -> None:
    @dataclass
    class Point:
        radius: float

        @staticmethod
        def __upgrade_fields__(fields: dict[str, Any]) -> Any:
            if isinstance(given, Exception):
                raise given
            return given

    with pytest.raises(IncompatibleCheckpointError, match=words):
        decode(POINT, types=[Point])


def test_named_tuples_change_as_dataclasses_do() -> None:
    class Pair(NamedTuple):
        right: Any
        left: int
        new: str = "n"

    assert decode(encode(kinds.Pair(1, 2)), types=[Pair]) == Pair(right=2, left=1)


def test_a_class_of_another_sort_is_an_error() -> None:
    class Point(NamedTuple):
        x: float
        y: float

    with pytest.raises(IncompatibleCheckpointError, match="stored as those of a dataclass: it is none now"):
        decode(POINT, types=[Point])
    with pytest.raises(IncompatibleCheckpointError, match="Members of the enumeration"):
        decode(encode(kinds.Color.RED), renamed={f"{kinds.__name__}:Color": Point})


def test_a_class_that_moved_or_has_another_name() -> None:
    name, gone = kinds.__name__, b"x" * len(kinds.__name__)
    assert decode(POINT, renamed={f"{name}:Point": kinds.Vector}) == kinds.Vector(3.0, 4.0)
    elsewhere = POINT.replace(name.encode(), gone)
    with pytest.raises(IncompatibleCheckpointError, match=r"no module x+ is loaded") as caught:
        decode(elsewhere)
    assert f"renamed={{'{gone.decode()}:Point': ...}}" in str(caught.value)
    assert decode(elsewhere, types=[kinds.Session, kinds.Point]) == kinds.Point(3.0, 4.0)
    with pytest.raises(IncompatibleCheckpointError, match=r"the module .*kinds has no Paint"):
        decode(POINT.replace(b":Point", b":Paint"))
    with pytest.raises(IncompatibleCheckpointError, match="that is no class"):
        decode(POINT.replace(b":Point", b":alike"))


def test_one_of_two_classes_of_a_name_has_to_be_named() -> None:
    @dataclass
    class Point:
        x: float
        y: float

    first = Point

    @dataclass
    class Point:  # type: ignore[no-redef]
        x: float
        y: float

    with pytest.raises(IncompatibleCheckpointError, match="can be one of several"):
        decode(POINT, types=[first, Point])
    assert type(decode(POINT, types=[first, kinds.Point])) is kinds.Point


def test_a_member_that_is_gone_is_an_error() -> None:
    with pytest.raises(IncompatibleCheckpointError, match="has no member 'RAT', but RED, ROT, BLUE"):
        decode(encode(kinds.Color.RED).replace(b"RED", b"RAT"))
    assert decode(encode(kinds.Color.RED).replace(b"RED", b"ROT")) is kinds.Color.RED


def test_what_is_no_class_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is no class"):
        Codec(renamed={"a:B": print})  # type: ignore[dict-item]


def test_a_class_of_a_function_is_kept_where_the_codec_names_it() -> None:
    @dataclass
    class Local:
        a: int

    codec = Codec(types=(Local,))
    assert codec.decode(codec.encode(Local(1))) == Local(1)

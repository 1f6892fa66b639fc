"""Values and classes that the tests of the encoding share."""

from __future__ import annotations

import math
import struct
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    ROT = "red"  # noqa: PIE796
    BLUE = (0, 0, 255)


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Word(StrEnum):
    YES = "yes"


class Right(Flag):
    READ = 1
    WRITE = 2
    BOTH = 3


@dataclass
class Session:
    user: str
    hits: list[int] = field(default_factory=list)
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float = 0.0


@dataclass
class Vector:
    x: float
    y: float


@dataclass
class Derived:
    base: int
    factor: InitVar[int]
    total: int = field(init=False)
    kept: int = field(init=False, default=7)

    def __post_init__(self, factor: int) -> None:
        self.total = self.base * factor

    @cached_property
    def double(self) -> int:
        return self.total * 2


@dataclass
class Box(Generic[T]):
    content: T


class Pair(NamedTuple):
    left: Any
    right: Any = None


Old = namedtuple("Old", ["a", "b"])


def alike(one: Any, other: Any) -> bool:
    """Say whether two values are the same in type and content, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=True)
        return all(alike(a, c) and alike(b, d) for (a, b), (c, d) in pairs)
    if isinstance(one, (list, tuple, deque)):
        return len(one) == len(other) and all(alike(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, (set, frozenset)):
        return one == other and sorted(map(repr, one)) == sorted(map(repr, other))
    return bool(one == other)


VALUES = [
    None, True, False, 0, -1, 127, 128, -32, -33, 255, 256, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64,
    -(2**63), -(2**63) - 1, 10**400, -(10**400),
    0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, struct.unpack(">d", b"\xff\xf8\0\0\0\0\0\1")[0],
    "", "é", "x" * 40, "y" * 300, "z" * 70_000, "\ud800 half", b"", b"b" * 300, bytearray(b"ab"),
    (), (1, (2, [3])), [], [1, [2, (3,)]], list(range(300)), [0] * 70_000, set(), {1, "a"}, frozenset({(1, 2)}),
    {}, {"b": 1, "a": 2}, {(1, "x"): {None: 1.0}, frozenset(): 2, 1.5: 3, b"": 4, Decimal(2): 5},
    datetime(2026, 1, 2, 3, 4, 5, 6), datetime.min, datetime.max, datetime(1, 1, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 2, 30, fold=1), datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3, microseconds=1))),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")), date.min, date(2026, 2, 28), date.max,
    time(), time.max, time(1, 2, 3, 4, tzinfo=UTC), time(5, fold=1), timedelta.min, timedelta.max, timedelta(days=-1),
    Decimal("1.10"), Decimal("-0"), Decimal("1E+30"), Decimal("Infinity"), Fraction(-1, 3), 1 + 2j, complex(-0.0, 1),
    UUID(int=7), Color.RED, Color.BLUE, Level.HIGH, Word.YES, Right.READ, Right.BOTH, Right(0),
    Session("u", [1]), Point(1.0), Box({"a": 1}), Pair(1), Old(1, [2]),
    deque([1, 2], maxlen=3), deque(), Counter("abca"), OrderedDict([("b", 1), ("a", 2)]),
    defaultdict(list, {"a": [1]}), defaultdict(None, {1: 2}), defaultdict(Counter),
]  # fmt: skip

ARRAYS = [
    np.arange(6).reshape(2, 3), np.array([1.5, np.nan], dtype=">f4"), np.array("x"), np.zeros((0, 3)),
    np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(["a", "bcd"]), np.array([b"a"]),
    np.array(["2026-01-01", "NaT"], dtype="M8[ms]"), np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
    np.array([True, False]), np.array([], dtype="M8[us]"),
]  # fmt: skip

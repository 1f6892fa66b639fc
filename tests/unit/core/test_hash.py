"""Keys that are equal in Python share a key group; what has no stable hash is refused."""

import datetime as dt
import enum
import subprocess
import sys
import uuid
from collections import namedtuple
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import _core
from millstream._core import key_group, split_dict, split_pairs, split_values

NAN = float("nan")


class Color(enum.Enum):
    RED = 1
    ROUGE = 1  # noqa: PIE796 (an alias of RED)
    BLUE = 2


class Level(enum.IntEnum):
    ONE = 1


class Name(enum.StrEnum):
    A = "a"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(NamedTuple):
    left: int
    right: str


class Text(str):
    __slots__ = ()


class CaselessText(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    note: str = field(default="", compare=False)


@dataclass
class Mutable:
    x: int
    __hash__ = object.__hash__


@dataclass(frozen=True)
class OwnEquality:
    x: int

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


VECTORS: list[tuple[Any, int]] = [
    ("", 194),
    ("a", 543),
    ("millstream", 900),
    ("é", 179),
    ("\ud800", 464),
    (b"", 891),
    (b"a", 636),
    (None, 431),
    (0, 500),
    (1, 103),
    (-1, 525),
    (2**61, 103),
    (10**40, 654),
    (0.5, 98),
    (float("inf"), 521),
    (1j, 888),
    (Decimal("1.1"), 970),
    (Fraction(1, 3), 643),
    ((), 492),
    (("a", 1), 275),
    ((("a",), b"b", None), 394),
    (frozenset(), 155),
    (frozenset({1, "a"}), 665),
    (dt.date(2026, 11, 22), 197),
    (dt.datetime(2026, 11, 22, 13, 14, 15, 16), 558),
    (dt.datetime(2026, 11, 22, 13, 14, 15, 16, tzinfo=dt.UTC), 848),
    (dt.time(13, 14, 15, 16), 434),
    (dt.time(13, 14, 15, 16, tzinfo=dt.UTC), 969),
    (dt.timedelta(days=-1, microseconds=3), 566),
    (uuid.UUID(int=7), 290),
    (Color.RED, 903),
    (Rights.READ | Rights.WRITE, 1011),
    (Point(1.0, 2.0), 177),
]


@pytest.mark.parametrize(
    ("key", "group"), VECTORS, ids=[f"{n} {type(key).__name__}" for n, (key, _) in enumerate(VECTORS)]
)
def test_groups_of_hash_version_1_never_change(key: Hashable, group: int) -> None:
    assert _core.HASH_VERSION == 1
    assert key_group(key) == group


def test_groups_do_not_depend_on_the_process() -> None:
    keys = ["a", ("b", 1), frozenset({"c", "d", "e"}), Decimal("2.5")]
    program = (
        "from decimal import Decimal; from millstream._core import key_group;"
        f"print([key_group(key) for key in {keys!r}])"
    )
    for seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        assert out.strip() == str([key_group(key) for key in keys])


BERLIN = ZoneInfo("Europe/Berlin")
PLAIN_PAIR = namedtuple("PLAIN_PAIR", ["left", "right"])
EQUALS: list[tuple[Any, ...]] = [
    (1, 1.0, True, Decimal(1), Decimal("1.00"), Fraction(1), 1 + 0j, Level.ONE),
    (0, 0.0, -0.0, False, Decimal("-0")),
    (2**200, Decimal(2**200), Fraction(2**200)),
    (0.5, Decimal("0.5"), Fraction(1, 2)),
    ("a", Text("a"), Name.A),
    ((1, "a"), Pair(1, "a"), PLAIN_PAIR(True, Text("a")), (1.0, Name.A)),
    (frozenset({1, 2}), frozenset({2.0, True})),
    (Color.RED, Color.ROUGE),
    (Point(1, 2), Point(1.0, 2.0, note="elsewhere")),
    (
        dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC),
        dt.datetime(2026, 7, 1, 14, tzinfo=BERLIN),
        dt.datetime(2026, 7, 1, 7, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
    ),
    (dt.datetime(2026, 7, 1, 12), dt.datetime(2026, 7, 1, 12, fold=1)),
    (dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)),
    (dt.time(12, tzinfo=dt.UTC), dt.time(14, tzinfo=dt.timezone(dt.timedelta(hours=2)))),
    (dt.timedelta(hours=24), dt.timedelta(days=1)),
    (uuid.UUID("00000000-0000-0000-0000-000000000007"), uuid.UUID(int=7)),
    (pa.scalar(5), pa.scalar(5)),
    (None, None),
]


@pytest.mark.parametrize("keys", EQUALS, ids=[repr(keys[0]) for keys in EQUALS])
def test_equal_keys_share_a_group(keys: tuple[Any, ...]) -> None:
    assert all(key == keys[0] for key in keys)
    # In a million groups two different hashes hardly ever meet.
    assert len({key_group(key, 1_000_003) for key in keys}) == 1


def test_kinds_that_are_never_equal_mostly_differ() -> None:
    keys = [
        "1", b"1", 1, None, (1,), ((1,),), frozenset({1}), dt.date(2026, 1, 1), dt.datetime(2026, 1, 1),
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.time(0), dt.time(0, tzinfo=dt.UTC), dt.timedelta(0),
        uuid.UUID(int=1), Color.RED, Color.BLUE, Point(1, 1), (1, 1), (2, 1), (1, 2), -1, 1.5,
    ]  # fmt: skip
    assert len({key_group(key, 1_000_003) for key in keys}) == len(keys)


numbers = st.one_of(
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.fractions(),
)
atoms = st.one_of(st.none(), numbers, st.text(st.characters()), st.binary(), st.dates(), st.datetimes(), st.uuids())
keys: st.SearchStrategy[Any] = st.deferred(lambda: atoms | st.tuples(keys, keys) | st.frozensets(keys, max_size=3))


@given(keys)
def test_groups_are_in_range_and_the_same_each_time(key: Hashable) -> None:
    assert 0 <= key_group(key) < 1024
    assert key_group(key) == key_group(key, 1024)
    assert key_group(key, 7) in range(7)


@given(numbers)
def test_every_number_shares_the_group_of_what_it_equals(number: Any) -> None:
    twins: list[Callable[[Any], Any]] = [int, float, Decimal, Fraction, complex]
    for twin in twins:
        try:
            other = twin(number)
        except (OverflowError, ValueError, TypeError):
            continue
        if other == number:
            assert key_group(other, 1_000_003) == key_group(number, 1_000_003)


@given(st.lists(st.tuples(keys, st.integers()), max_size=50), st.integers(1, 20))
def test_splitting_keeps_every_record_in_order_in_the_partition_of_its_key(
    pairs: list[tuple[Hashable, int]], partitions: int
) -> None:
    expected: list[list[tuple[Hashable, int]]] = [[] for _ in range(partitions)]
    for pair in pairs:
        expected[key_group(pair[0]) * partitions // 1024].append(pair)
    assert split_pairs(pairs, partitions) == expected
    assert split_values([key for key, _ in pairs], partitions) == [[key for key, _ in part] for part in expected]
    assert split_dict(dict(pairs), partitions) == [dict(part) for part in expected]
    assert [list(part.items()) for part in split_dict(dict(pairs), partitions)] == [
        list(dict(part).items()) for part in expected
    ]


def test_one_partition_is_the_dict_itself() -> None:
    d = {"a": 1, (1, 2.5): 2}
    assert split_dict(d, 1)[0] is d


@pytest.mark.parametrize(
    "key",
    [NAN, Decimal("nan"), Decimal("sNaN"), complex(1, NAN), (1, NAN), (1, (2, NAN)), frozenset({NAN}), Point(NAN, 1)],
    ids=repr,
)
@pytest.mark.parametrize("partitions", [1, 2])
def test_nan_is_refused_wherever_it_hides(key: Any, partitions: int) -> None:
    with pytest.raises(ValueError, match="contains NaN"):
        key_group(key)
    with pytest.raises(ValueError, match="contains NaN"):
        split_values([1, key], partitions)
    with pytest.raises(ValueError, match="contains NaN"):
        split_pairs([(1, 1), (key, 1)], partitions)
    if not isinstance(key, Decimal) or not key.is_snan():
        with pytest.raises(ValueError, match="contains NaN"):
            split_dict({1: 1, key: 1}, partitions)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (object(), "nothing is known about the equality of type object"),
        ([1], "type list"),
        (("a", [1]), "type list"),
        ({"a": 1}, "type dict"),
        (CaselessText("a"), "CaselessText has an equality or a hash of its own"),
        (OwnEquality(1), "OwnEquality has an equality or a hash of its own"),
        (Mutable(1), "Mutable is not frozen"),
        (lambda: 1, "type function"),
        (memoryview(b"a"), "type memoryview"),
    ],
)
def test_a_key_without_stable_hash_is_refused_with_its_type_and_a_remedy(key: Any, reason: str) -> None:
    for split in (lambda: key_group(key), lambda: split_values([key], 1), lambda: split_pairs([(key, 1)], 2)):
        with pytest.raises(TypeError, match=reason) as raised:
            split()
        assert "map the key to a str or a tuple" in str(raised.value)


@pytest.mark.parametrize("record", ["ab", 1, (1,), (1, 2, 3), [1, 2], None, "x" * 1000])
def test_a_record_that_is_no_pair_is_named_and_cut(record: Any) -> None:
    with pytest.raises(TypeError, match="not a pair") as raised:
        split_pairs([("a", 1), record], 2)
    assert repr(record)[:200] in str(raised.value)
    assert len(str(raised.value)) < 300


def test_impossible_numbers_are_refused() -> None:
    for partitions, groups in ((0, 1024), (1025, 1024), (1, 0)):
        with pytest.raises(ValueError, match="partitions must be between 1 and"):
            split_values(["a"], partitions, groups)
    with pytest.raises(OverflowError):
        key_group("a", -1)


def test_deep_nesting_ends_in_a_recursion_error() -> None:
    key: tuple[Any, ...] = ()
    for _ in range(100_000):
        key = (key,)
    with pytest.raises(RecursionError):
        key_group(key)


def test_code_of_the_user_that_changes_the_list_does_no_harm() -> None:
    values: list[Any] = []

    class Shrinking(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            values.clear()
            return dt.timedelta(0)

        def dst(self, when: dt.datetime | None) -> None:
            return None

        def tzname(self, when: dt.datetime | None) -> str:
            return "shrinking"

    values += [dt.datetime(2026, 1, 1, tzinfo=Shrinking()), *range(100)]
    with pytest.raises(IndexError):
        split_values(values, 2)


def test_scalars_of_numpy_hash_like_their_plain_form() -> None:
    twins = [
        (np.int64(5), 5), (np.uint8(5), 5), (np.float64(0.5), 0.5), (np.float16(0.5), 0.5), (np.bool_(True), 1),
        (np.complex64(1j), 1j), (np.str_("a"), "a"), (np.bytes_(b"a"), b"a"), (np.longdouble(0.5), 0.5),
    ]  # fmt: skip
    for scalar, plain in twins:
        assert key_group((scalar,)) == key_group((plain,))
    for nan in (np.float32("nan"), np.float64("nan"), np.longdouble("nan")):
        with pytest.raises(ValueError, match="contains NaN"):
            key_group(nan)
    with pytest.raises(TypeError, match=r"numpy\.datetime64 have no plain Python form"):
        key_group(np.datetime64("2026-01-01"))


def test_scalars_of_arrow_and_polars_columns_hash_like_their_plain_form() -> None:
    table = pa.table({"k": ["a", "b"], "n": [1, 2]})
    assert key_group(table["k"][0]) == key_group("a")
    assert key_group(table["n"][1]) == key_group(2)
    assert [key_group(key) for key in pl.Series([1.5, 2.5])] == [key_group(1.5), key_group(2.5)]

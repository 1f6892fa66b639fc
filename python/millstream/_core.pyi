"""The Rust core: hot loops over bytes and Arrow, which release the GIL where they take long.

Keys have a *stable hash*: the same in every process, on every machine and in every release with the same
`HASH_VERSION`. Keys that are equal in Python have one hash, so `1`, `1.0`, `True` and `Decimal(1)` share a key
group. Hashed are: None, all numbers, str, bytes, tuple (and namedtuple), frozenset, date, datetime, time,
timedelta, UUID, members of an Enum, frozen dataclasses, and scalars of NumPy and Arrow that have a plain Python form.
"""

from typing import Any, Final, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")

build_profile: Final[str]
"""`release` or `debug`."""

HASH_VERSION: Final[int]
"""Version of the stable hash; kept in each checkpoint, because key groups follow from it."""

KEY_GROUPS: Final[int]
"""Key groups of a checkpoint where nothing else is said: 1,024."""

class InvalidLineError(ValueError):
    """A line cannot become a record, and the policy is to fail.

    Attributes:
        line_start: offset of the line's first byte from the beginning of the file, bytes or connection.
        byte: offset of the first byte that is wrong, counted like `line_start`.
    """

    line_start: int
    byte: int

def debug_build() -> bool:
    """Say whether the core was compiled without optimisation; importing such a core warns."""

def key_group(key: object, groups: int = 1024) -> int:
    """Give the key group of a key: its stable hash modulo `groups`.

    Args:
        key: a key of one of the kinds that the module's page lists.
        groups: number of key groups, >= 1.

    Returns:
        The key group, in `range(groups)`.

    Raises:
        ValueError: the key contains NaN, which equals nothing; or `groups` is 0. Fix the program.
        TypeError: the key is of a kind without stable hash. Map it to a str or a tuple.

    Example:
        >>> key_group("millstream")
        900
        >>> key_group(1) == key_group(1.0) == key_group(True)
        True
    """

def split_dict(d: dict[_K, _V], partitions: int, groups: int = 1024) -> list[dict[_K, _V]]:
    """Split a dict by key into one dict a partition; partition = key group * partitions // groups.

    Args:
        d: what to split; it must not change meanwhile.
        partitions: number of partitions, 1 to `groups`.
        groups: number of key groups.

    Returns:
        One dict a partition, items in the order of `d`. With one partition it is `[d]`, the dict itself, after
        a check of its keys.

    Raises:
        ValueError: a key contains NaN, or `partitions` is out of range.
        TypeError: a key is of a kind without stable hash.

    Example:
        >>> split_dict({"a": 1, "b": 2}, 2)
        [{'b': 2}, {'a': 1}]
    """

def split_pairs(pairs: list[tuple[_K, _V]], partitions: int, groups: int = 1024) -> list[list[tuple[_K, _V]]]:
    """Split (key, value) records by key into one list a partition, order kept.

    Args:
        pairs: the records; each is a tuple of two, or of a subclass.
        partitions: number of partitions, 1 to `groups`.
        groups: number of key groups.

    Returns:
        One new list a partition, which hold the records themselves.

    Raises:
        ValueError: a key contains NaN, or `partitions` is out of range.
        TypeError: a record is not a pair, or a key is of a kind without stable hash.

    Example:
        >>> split_pairs([("a", 1), ("b", 2), ("a", 3)], 2)
        [[('b', 2)], [('a', 1), ('a', 3)]]
    """

def split_values(values: list[_T], partitions: int, groups: int = 1024) -> list[list[_T]]:
    """Split records by themselves (each record is its own key) into one list a partition, order kept.

    Args:
        values: the records.
        partitions: number of partitions, 1 to `groups`.
        groups: number of key groups.

    Returns:
        One new list a partition.

    Raises:
        ValueError: a record contains NaN, or `partitions` is out of range.
        TypeError: a record is of a kind without stable hash.

    Example:
        >>> split_values(["a", "b", "a"], 2)
        [['b'], ['a', 'a']]
    """

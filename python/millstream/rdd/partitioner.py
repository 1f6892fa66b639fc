"""Partitioners: which partition of a shuffle a key belongs to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from millstream._core import KEY_GROUPS, key_group, split_dict, split_pairs
from millstream.errors import ArgumentTypeError, ConfigurationError, InternalError, shown
from millstream.model.label import Label
from millstream.rdd.failures import function_failed

if TYPE_CHECKING:
    from millstream.rdd.lineage import Lineage

Pair = tuple[Any, Any]

_PARTITION_BY = Label("partition_by")


class Partitioner(ABC):
    """Assigns keys to partitions; two that are equal assign alike.

    Attributes:
        partitions: how many partitions there are, at least 1.
    """

    partitions: int

    @abstractmethod
    def split_pairs(self, pairs: list[Pair]) -> list[list[Pair]]:
        """Split pairs by key, one list a partition, order kept inside each."""

    @abstractmethod
    def split_dict(self, combined: dict[Any, Any]) -> list[dict[Any, Any]]:
        """Split a dict by key, one dict a partition, order kept inside each."""

    @abstractmethod
    def partition_of(self, key: Any) -> int:
        """Give the partition of one key."""


class KeyGroups(Partitioner):
    """The default: by the stable hash of the key, through its key group.

    The same key goes to the same partition in every process and every run, and keys that are equal in Python
    go together.

    Example:
        >>> KeyGroups(4).partition_of(1) == KeyGroups(4).partition_of(1.0)
        True
    """

    __slots__ = ("partitions",)

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

    def split_pairs(self, pairs: list[Pair]) -> list[list[Pair]]:
        """Split pairs by the key group of their key."""
        return split_pairs(pairs, self.partitions)

    def split_dict(self, combined: dict[Any, Any]) -> list[dict[Any, Any]]:
        """Split a dict by the key group of its keys."""
        return split_dict(combined, self.partitions)

    def partition_of(self, key: Any) -> int:
        """Give the partition of one key."""
        return key_group(key) * self.partitions // KEY_GROUPS

    def __eq__(self, other: object) -> bool:
        return type(other) is KeyGroups and other.partitions == self.partitions

    def __hash__(self) -> int:
        return hash((KeyGroups, self.partitions))


class _PerKey(Partitioner):
    """Partitioners that look at one key after the other."""

    def split_pairs(self, pairs: list[Pair]) -> list[list[Pair]]:
        """Split pairs by key."""
        parts: list[list[Pair]] = [[] for _ in range(self.partitions)]
        for pair in pairs:
            parts[self.partition_of(key_of(pair))].append(pair)
        return parts

    def split_dict(self, combined: dict[Any, Any]) -> list[dict[Any, Any]]:
        """Split a dict by key."""
        parts: list[dict[Any, Any]] = [{} for _ in range(self.partitions)]
        for key, value in combined.items():
            parts[self.partition_of(key)][key] = value
        return parts


class ByFunction(_PerKey):
    """By a user's function: `f(key) % partitions`.

    Args:
        partitions: how many partitions.
        f: gives an int for a key, the same one in every process.
        label: the operator, for errors.
    """

    __slots__ = ("f", "label", "partitions")

    def __init__(self, partitions: int, f: Callable[[Any], int], label: Label = _PARTITION_BY) -> None:
        self.partitions = partitions
        self.f = f
        self.label = label

    def partition_of(self, key: Any) -> int:
        """Give the partition that the function chose."""
        try:
            number = self.f(key)
        except Exception as error:
            raise function_failed(self.label, error, "placing the key", key) from error
        if not isinstance(number, int):
            raise ArgumentTypeError(
                "A partition function must return an int.",
                detail=f"For the key {shown(key)} it returned {shown(number)}; it was given at {self.label.site}.",
                hint="Return a whole number; it is taken modulo the number of partitions.",
            )
        return number % self.partitions

    def __eq__(self, other: object) -> bool:
        return type(other) is ByFunction and other.partitions == self.partitions and other.f is self.f

    def __hash__(self) -> int:
        return hash((ByFunction, self.partitions, id(self.f)))


class ByRange(_PerKey):
    """By sorted bounds, so that partition after partition is in order.

    The bounds are found when the RDD is first computed, from a sample of its keys, and stay from then on. Two are
    equal only when they are one object.

    Args:
        partitions: how many partitions; with fewer bounds the last ones stay empty.
        ascending: False turns the order of the partitions round.

    Attributes:
        bounds: ascending upper bounds of all partitions but the last, or None before they were found.
    """

    __slots__ = ("ascending", "bounds", "partitions")

    def __init__(self, partitions: int, *, ascending: bool) -> None:
        self.partitions = partitions
        self.ascending = ascending
        self.bounds: Sequence[Any] | None = () if partitions == 1 else None

    def partition_of(self, key: Any) -> int:
        """Give the partition whose range holds the key.

        Raises:
            InternalError: the bounds were not found yet.
        """
        bounds = self.bounds
        if bounds is None:
            raise InternalError("A range partitioner was used before its bounds were found.")
        if self.ascending:
            return bisect_left(bounds, key)
        return len(bounds) - bisect_right(bounds, key)


def partitioner_for(parents: Sequence[Lineage], partitions: int | None, default: int) -> Partitioner:
    """Choose how the keys of an operation are spread.

    Args:
        parents: what the pairs come from.
        partitions: what the user asked for, or None: then the parent that is spread by key over the most
            partitions decides, so that it need not be shuffled.
        default: how many partitions when neither says.

    Example:
        >>> partitioner_for([], 3, 1) == KeyGroups(3)
        True
    """
    if partitions is not None:
        return KeyGroups(partitions_checked(partitions, default))
    known = [parent.partitioner for parent in parents if parent.partitioner is not None]
    if len(parents) > 1:
        # Ranges were cut for the keys of one parent; those of another need not even compare with them.
        known = [partitioner for partitioner in known if not isinstance(partitioner, ByRange)]
    return max(known, key=lambda partitioner: partitioner.partitions, default=KeyGroups(default))


def key_of(pair: Any) -> Any:
    """Give the key of a pair.

    Raises:
        ArgumentTypeError: the record is not a tuple of two.
    """
    if isinstance(pair, tuple) and len(pair) == 2:
        return pair[0]
    raise ArgumentTypeError(
        "An operation on pairs met a record that is not a pair.",
        detail=f"The record is {shown(pair)}.",
        hint="Give (key, value) tuples, for example by .map(lambda x: (x, 1)).",
    )


def partitions_checked(partitions: int | None, default: int, argument: str = "partitions") -> int:
    """Check a number of partitions that a user gave; None gives the default."""
    if partitions is None:
        return default
    if not isinstance(partitions, int) or isinstance(partitions, bool):
        raise ArgumentTypeError(
            f"{argument} must be a whole number.", detail=f"{argument}={partitions!r}.", hint="Give an int above 0."
        )
    if not 1 <= partitions <= KEY_GROUPS:
        raise ConfigurationError(
            f"{argument} is out of range.",
            detail=f"{argument}={partitions}; keys fall into {KEY_GROUPS} key groups.",
            hint=f"Give a number from 1 to {KEY_GROUPS}.",
        )
    return partitions

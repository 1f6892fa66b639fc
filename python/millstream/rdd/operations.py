"""The narrow operations and the ends that a stage is made of.

A stage runs a tuple of operations over the rows of one partition and hands them to one end. All classes here
compare by identity: one operator of a program is one object, so a compiled stage is found by the objects
that it is made of, batch after batch, and forgotten with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from millstream.model.label import Label as Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Map:
    """`x -> f(x)`."""

    f: Callable[..., Any]
    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class FlatMap:
    """`x -> each of f(x)`."""

    f: Callable[..., Any]
    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Filter:
    """Keep x where `f(x)` is true."""

    f: Callable[..., Any]
    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MapValues:
    """`(k, v) -> (k, f(v))`."""

    f: Callable[..., Any]
    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class FlatMapValues:
    """`(k, v) -> (k, w) for each w of f(v)`."""

    f: Callable[..., Any]
    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class KeyBy:
    """`x -> (f(x), x)`."""

    f: Callable[..., Any]
    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Keys:
    """`(k, v) -> k`."""

    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Values:
    """`(k, v) -> v`."""

    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MapPartitions:
    """`rows -> f(iterator)`, or `f(index, iterator)` with the index of the partition."""

    f: Callable[..., Any]
    with_index: bool
    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Glom:
    """`rows -> [list of all rows]`, one record for each partition."""

    label: Label


Operation: TypeAlias = Map | FlatMap | Filter | MapValues | FlatMapValues | KeyBy | Keys | Values | MapPartitions | Glom


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Collect:
    """End: the rows as a list, no more than `limit` of them."""

    limit: int | None = None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Count:
    """End: the number of rows."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Combine:
    """End: pairs combined by key into one dict, in order of first appearance.

    `create(v)` makes the first combiner of a key (None: v itself); `merge(c, v)` adds a value to it.
    """

    create: Callable[[Any], Any] | None
    merge: Callable[[Any, Any], Any]
    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class CountValues:
    """End: how often each row occurs, a dict in order of first appearance."""

    label: Label


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Apply:
    """End: `f(list of rows)`, for actions of the library (never a user's function)."""

    f: Callable[[list[Any]], Any]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ApplyPartition:
    """End: `f(batch, index, partition data)`, which may be columns; for sinks and actions of the library."""

    f: Callable[[Any, int, Any], Any]


End: TypeAlias = Collect | Count | Combine | CountValues | Apply | ApplyPartition

"""Joins: which pairs of values come out of the two lists that a key has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Sides = tuple[list[Any], list[Any]]
"""The values of one key on the left and on the right."""

_ABSENT = [None]


def inner_pairs(sides: Sides) -> Iterable[tuple[Any, Any]]:
    """Pair every value with every one of the other side.

    Example:
        >>> inner_pairs(([1, 2], [3])), inner_pairs(([1], []))
        ([(1, 3), (2, 3)], [])
    """
    return _product(sides[0], sides[1])


def left_pairs(sides: Sides) -> Iterable[tuple[Any, Any]]:
    """Pair, with None where the right has nothing.

    Example:
        >>> left_pairs(([1], []))
        [(1, None)]
    """
    return _product(sides[0], sides[1] or _ABSENT)


def right_pairs(sides: Sides) -> Iterable[tuple[Any, Any]]:
    """Pair, with None where the left has nothing.

    Example:
        >>> right_pairs(([], [2]))
        [(None, 2)]
    """
    return _product(sides[0] or _ABSENT, sides[1])


def outer_pairs(sides: Sides) -> Iterable[tuple[Any, Any]]:
    """Pair, with None where one side has nothing.

    Example:
        >>> outer_pairs(([], [2])), outer_pairs(([1], []))
        ([(None, 2)], [(1, None)])
    """
    return _product(sides[0] or _ABSENT, sides[1] or _ABSENT)


def _product(left: list[Any], right: list[Any]) -> list[tuple[Any, Any]]:
    return [(a, b) for a in left for b in right]

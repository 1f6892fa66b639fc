"""Positions: where a source goes on, where a sender stood after a block, and what comes a second time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PositionChange:
    """The position of a replayable source, told as what is different from the one before.

    For positions that are mappings and grow long, such as the files of a directory: the journal then has what a batch
    changed, and not all of it again with every plan.

    Attributes:
        set: keys that are new or have another value, plain data.
        gone: keys that are no more; one that is also in `set` is there.
    """

    set: Mapping[str, Any] = field(default_factory=dict)
    gone: tuple[str, ...] = ()


def position_after(before: Any, position: Any) -> Any:
    """Give the position that a plan leads to.

    Args:
        before: the position before the plan, or a change of one that is not known yet.
        position: of the plan: whole, or a `PositionChange`.

    Returns:
        `position` if it is whole; otherwise a new mapping, or a new change where the position before is one.

    Example:
        >>> position_after({"a": 1, "b": 1}, PositionChange({"c": 2}, ("a",)))
        {'b': 1, 'c': 2}
        >>> position_after(PositionChange({"a": 1}, ("x",)), PositionChange({"x": 3}, ("a",)))
        PositionChange(set={'x': 3}, gone=('a',))
    """
    if not isinstance(position, PositionChange):
        return position
    if isinstance(before, PositionChange):
        lost = set(position.gone)
        left = {key: value for key, value in before.set.items() if key not in lost} | dict(position.set)
        gone = dict.fromkeys([*before.gone, *position.gone])
        return PositionChange(left, tuple(key for key in gone if key not in left))
    changed = dict(before or {})
    for key in position.gone:
        changed.pop(key, None)
    changed.update(position.set)
    return changed


def is_repeated(position: Any, newest: Any) -> bool:
    """Tell whether a block came before, by its position.

    Positions can be ordered; a sender with several sequences (shards, Kafka partitions) gives a mapping of one for
    each, and a block of it has come before when each of its positions has.

    Args:
        position: of the block; None is never repeated.
        newest: the newest position that is durable, or None.

    Example:
        >>> is_repeated(5, 7), is_repeated(8, 7), is_repeated({"a": 3}, {"a": 3, "b": 1}), is_repeated(5, None)
        (True, False, True, False)
    """
    if position is None or newest is None:
        return False
    if isinstance(position, Mapping):
        return all(shard in newest and newest[shard] >= part for shard, part in position.items())
    return bool(position <= newest)


def newest_position(position: Any, newest: Any) -> Any:
    """Give the position after a block: of each sequence the newer one.

    Example:
        >>> newest_position(8, 7), newest_position({"a": 4}, {"a": 3, "b": 1})
        (8, {'a': 4, 'b': 1})
    """
    if position is None or newest is None:
        return newest if position is None else position
    if isinstance(position, Mapping):
        return {**newest, **{shard: max(part, newest.get(shard, part)) for shard, part in position.items()}}
    return max(position, newest)

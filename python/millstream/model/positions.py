"""Positions of senders: where one stood after a block, and what comes a second time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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

"""What counts as a pair."""

from __future__ import annotations

from typing import Any


def as_pair(record: object) -> tuple[Any, Any]:
    """Take a pair apart that is not a plain tuple: a named tuple of two is one, a list or a str of two is not.

    Raises:
        ValueError: not a pair.

    Example:
        >>> as_pair(["a", 1])
        Traceback (most recent call last):
        ValueError: not a tuple of two
    """
    if not isinstance(record, tuple) or tuple.__len__(record) != 2:
        raise ValueError("not a tuple of two")
    # Why not unpack: what the class makes of iteration and indexing is not what the tuple holds.
    return tuple.__getitem__(record, 0), tuple.__getitem__(record, 1)

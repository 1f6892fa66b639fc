"""A version: what one batch in flight changed, over what was there before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from millstream.encoding.copies import ATOMS, copied
from millstream.errors import ArgumentTypeError, shown


class _Sentinel:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


ABSENT: Final = _Sentinel("ABSENT")
"""A key that is not held."""

UNTOUCHED: Final = _Sentinel("UNTOUCHED")
"""A key that this version says nothing about."""


class Version:
    """The changes of one batch to one table.

    A read looks here first and then below, at the older versions in flight and the committed values, which never
    change in place: a mutable value is copied into the version before the user's function gets it. So dropping
    the version restores everything, and older views of the state keep what they show.

    The attributes are open to the state steps, whose loops work on them directly.

    Attributes:
        batch_ms: batch time, milliseconds.
        values: the touched keys with their values, ABSENT where the key was removed. New keys are in order
            of insertion, as in a plain dict.
        gone: keys held below that lost their place: they were removed, and may have come again at the end.
        touched: keys with data, in order, whose idle time starts anew if they are held in the end; kept only by
            steps with a timeout.
        count: how many keys are held.
        expired_before_ms: all keys last touched before this time have timed out.
        hidden_count: keys held that the step leaves out of its rows.
        below: `below(key, ABSENT)` gives what was held before this batch.
    """

    __slots__ = (
        "batch_ms", "below", "count", "expired_before_ms", "gone", "hidden_count", "touched", "values",
    )  # fmt: skip

    def __init__(
        self,
        batch_ms: int,
        below: Callable[[Any, Any], Any],
        *,
        count: int,
        hidden_count: int,
        expired_before_ms: int | None,
    ) -> None:
        self.batch_ms = batch_ms
        self.below = below
        self.count = count
        self.hidden_count = hidden_count
        self.expired_before_ms = expired_before_ms
        self.values: dict[Any, Any] = {}
        self.gone: dict[Any, None] = {}
        self.touched: list[Any] = []

    def peek(self, key: Any) -> Any:
        """Give the value of a key, which must not be mutated, or ABSENT."""
        value = self.values.get(key, UNTOUCHED)
        return self.below(key, ABSENT) if value is UNTOUCHED else value

    def working(self, key: Any) -> Any:
        """Give the value of a key as one that may be mutated in place, or ABSENT."""
        value = self.values.get(key, UNTOUCHED)
        if value is not UNTOUCHED:
            return value
        value = self.below(key, ABSENT)
        if value is ABSENT or type(value) in ATOMS:
            return value
        copy = copied(value)
        if copy is not value:
            self.values[key] = copy
        return copy

    def put(self, key: Any, value: Any) -> None:
        """Set the value of a key; a key that is new, or was removed, comes last.

        Raises:
            ArgumentTypeError: the key is new and cannot be a key.
        """
        held = self.values.get(key, UNTOUCHED)
        if held is UNTOUCHED:
            if self.below(key, ABSENT) is ABSENT:
                check_key(key)
                self.count += 1
        elif held is ABSENT:
            del self.values[key]
            self.count += 1
        self.values[key] = value

    def remove(self, key: Any) -> None:
        """Remove a key; one that is not held is left alone."""
        if self.peek(key) is ABSENT:
            return
        self.count -= 1
        if self.below(key, ABSENT) is ABSENT:
            del self.values[key]
        else:
            self.values[key] = ABSENT
            self.gone[key] = None

    def over(self, pairs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        """Lay this version over the pairs below it, in order: what was there stays in its place."""
        values, gone, below = self.values, self.gone, self.below
        if not values:
            yield from pairs
            return
        get = values.get
        for pair in pairs:
            key = pair[0]
            value = get(key, UNTOUCHED)
            if value is UNTOUCHED:
                yield pair
            elif value is not ABSENT and key not in gone:
                yield key, value
        for key, value in values.items():
            if value is not ABSENT and (below(key, ABSENT) is ABSENT or key in gone):
                yield key, value

    def redo(self, changed: Mapping[Any, Any], removed: Iterable[Any]) -> None:
        """Make the changes of a delta again, in a version that has none yet."""
        for key in removed:
            self.remove(key)
        for key, value in changed.items():
            self.put(key, value)

    def changed(self) -> dict[Any, Any]:
        """Give the keys that this version holds, with their values, new ones in order of insertion."""
        if not self.gone:
            return self.values
        return {key: value for key, value in self.values.items() if value is not ABSENT}


def check_key(key: Any) -> None:
    """Refuse what cannot be a key of state.

    Raises:
        ArgumentTypeError: the key is unhashable, or it is NaN or holds one, so that it would not be found again.

    Example:
        >>> check_key(("a", 1.5))
        >>> check_key(float("nan"))
        Traceback (most recent call last):
        millstream.errors.ArgumentTypeError: A key is NaN.
        Detail: The key is nan, which is not equal to itself.
        Hint: Filter such records out, or give them a key of their own, such as None.
    """
    try:
        hash(key)
    except TypeError as error:
        raise ArgumentTypeError(
            "A key cannot be hashed.",
            detail=f"The key is {shown(key)}, of type {type(key).__name__}: {error}",
            hint="Turn it into a tuple, a frozenset or a str before it becomes a key.",
        ) from error
    if _is_nan(key):
        raise ArgumentTypeError(
            "A key is NaN.",
            detail=f"The key is {shown(key)}, which is not equal to itself.",
            hint="Filter such records out, or give them a key of their own, such as None.",
        )


def _is_nan(key: Any) -> bool:
    if isinstance(key, (tuple, frozenset)):
        return any(_is_nan(part) for part in key)
    return bool(key != key)

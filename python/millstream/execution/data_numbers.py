"""Numbers for data that workers hold, given back when nobody on the driver refers to the data any more."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator

from millstream.execution.packed import Packed


class DataNumbers:
    """Gives out numbers, and learns by weak references which are free.

    Example:
        >>> numbers = DataNumbers()
        >>> packed = Packed.of([1])
        >>> numbers.give(packed, numbers.new())
        >>> number = packed.number
        >>> del packed
        >>> list(numbers.freed()) == [number]
        True
    """

    def __init__(self) -> None:
        self._next = 0
        self._given: dict[int, weakref.ref[Packed]] = {}
        self._elsewhere: dict[int, weakref.ref[Packed]] = {}
        self._freed: deque[int] = deque()

    def new(self, count: int = 1) -> int:
        """Give a number that names nothing yet, the first of so many in a row."""
        first = self._next
        self._next += count
        return first

    def give(self, packed: Packed, number: int) -> None:
        """Have a number name data for as long as the data is referred to."""
        packed.number = number
        freed = self._freed
        # Appending is all that may be done here: it can happen in any thread, at any line.
        reference = self._given[number] = weakref.ref(packed, lambda _: freed.append(number))
        if not packed.is_fetched:
            self._elsewhere[number] = reference

    def freed(self) -> Iterator[int]:
        """Give the numbers that became free since the last call."""
        while self._freed:
            number = self._freed.popleft()
            del self._given[number]
            self._elsewhere.pop(number, None)
            yield number

    def only_with_workers(self) -> list[Packed]:
        """List the data whose bytes are nowhere but with a worker."""
        if not self._elsewhere:
            return []
        alive = [reference() for reference in self._elsewhere.values()]
        return [packed for packed in alive if packed is not None and not packed.is_fetched]

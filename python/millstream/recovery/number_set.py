"""A set of numbers that is nearly all of them from the first on."""

from __future__ import annotations

from collections.abc import Iterable


class NumberSet:
    """Numbers from 0 on, kept as those below a floor and the few above it.

    Example:
        >>> numbers = NumberSet()
        >>> numbers.add([0, 1, 3]); numbers.floor, 2 in numbers, 3 in numbers
        (2, False, True)
        >>> numbers.add([2]); numbers.plain()
        {'floor': 4, 'above': []}
    """

    __slots__ = ("_above", "floor")

    def __init__(self, floor: int = 0, above: Iterable[int] = ()) -> None:
        self.floor = floor
        self._above = set(above)

    def __contains__(self, number: int) -> bool:
        return number < self.floor or number in self._above

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NumberSet) and (self.floor, self._above) == (other.floor, other._above)

    __hash__ = None  # type: ignore[assignment]

    def add(self, numbers: Iterable[int]) -> None:
        """Add numbers."""
        above = self._above
        for number in numbers:
            if number == self.floor:
                self.floor += 1
            elif number > self.floor:
                above.add(number)
        while above and self.floor in above:
            above.remove(self.floor)
            self.floor += 1

    def unite(self, other: NumberSet) -> None:
        """Add all of another set."""
        self.raise_floor(other.floor)
        self.add(sorted(other._above))

    def raise_floor(self, floor: int) -> None:
        """Add all numbers below one, those that never existed included."""
        if floor > self.floor:
            self.floor = floor
            self._above = {number for number in self._above if number >= floor}
            self.add(())

    def plain(self) -> dict[str, object]:
        """Give it as plain data, the arguments of a new one."""
        return {"floor": self.floor, "above": sorted(self._above)}

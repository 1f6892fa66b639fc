"""How far a member of a group has stored each Kafka partition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class GroupPositions:
    """The next offset of each Kafka partition behind what was stored, by the partition's name and its topic's id.

    A position of a block is a part of it: what the write-ahead log compares. A topic that is made anew has another id,
    so its offsets are never taken for the old one's.

    Example:
        >>> positions = GroupPositions()
        >>> positions.name_topic("lines", "qZ8")
        >>> positions.store(("lines", 0, 17))
        >>> positions.of([("lines", 0, 20)])
        {'lines[0] qZ8': 20}
        >>> positions.next("lines", 0), positions.next("lines", 1), positions.is_new
        (17, None, False)
    """

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._ids: dict[str, str] = {}

    def name_topic(self, topic: str, topic_id: str) -> None:
        """Say which id a topic has now."""
        self._ids[topic] = topic_id

    def id_of(self, topic: str) -> str | None:
        """Give the id that a topic had last."""
        return self._ids.get(topic)

    def take_over(self, stored: Mapping[str, int]) -> None:
        """Begin where an earlier run of the program ended."""
        for name, offset in stored.items():
            self._next[name] = max(offset, self._next.get(name, offset))

    def store(self, *ends: tuple[str, int, int]) -> None:
        """Note offsets behind what was stored."""
        self._next.update(self.of(ends))

    def of(self, ends: Iterable[tuple[str, int, int]]) -> dict[str, int]:
        """Make the position of a block."""
        return {self.name(topic, number): offset for topic, number, offset in ends}

    def next(self, topic: str, number: int) -> int | None:
        """Give the offset behind what was stored of a partition, or None."""
        return self._next.get(self.name(topic, number))

    @property
    def is_new(self) -> bool:
        """Tell whether nothing was stored yet."""
        return not self._next

    def name(self, topic: str, number: int) -> str:
        """Give what a partition is called in positions."""
        return f"{topic}[{number}] {self._ids.get(topic, '')}"

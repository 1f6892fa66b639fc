"""How much waits in the Kafka partitions that a member of a group has."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream._core import KafkaWatch


class GroupLags:
    """Knows of each Kafka partition that the group gives how far batches are, and what there is.

    The member says what it has; the driver says what batches have, and asks. The ends come from a watch, which looks
    once a second: whoever asks does not wait.
    """

    def __init__(self) -> None:
        self._watch: KafkaWatch | None = None
        self._names: dict[tuple[str, int], str] = {}
        self._next: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self, watch: KafkaWatch) -> None:
        """Forget what an earlier membership had, and ask this watch from now on."""
        with self._lock:
            self._names.clear()
            self._watch = watch
        watch.start()

    def give(self, given: Mapping[tuple[str, int], tuple[str, int]]) -> None:
        """The group gives partitions.

        Args:
            given: by topic and number, what the partition is called in positions, and where it goes on.
        """
        with self._lock:
            for partition, (name, offset) in given.items():
                self._names[partition] = name
                self._next[name] = offset
        self._look()

    def take(self, partitions: Iterable[tuple[str, int]]) -> None:
        """The group takes partitions."""
        with self._lock:
            for partition in partitions:
                self._names.pop(partition, None)
        self._look()

    def behind(self, positions: Iterable[Mapping[str, int] | None]) -> dict[str, int]:
        """Give how many offsets wait behind the blocks that batches have, by `topic[number]`.

        Args:
            positions: of the blocks that a batch gets, oldest first.
        """
        watch = self._watch
        if watch is None:
            return {}
        ends = watch.ends()
        with self._lock:
            for position in positions:
                self._next.update(position or {})
            return {
                f"{topic}[{number}]": max(0, end - self._next[name])
                for topic, number, _, end, _ in ends
                if (name := self._names.get((topic, number))) is not None
            }

    def end(self) -> None:
        """Ask no more: the membership has ended."""
        self._watch = None

    def _look(self) -> None:
        if self._watch is not None:
            self._watch.watch(sorted({topic for topic, _ in self._names}))

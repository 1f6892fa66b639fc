"""A batch that is done, and what the program holds then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from millstream.context.streaming_context import StreamingContext
from millstream.testing.simulation.held_memory import beyond_bound, overdue
from millstream.testing.simulation.state_image import StateImage


@dataclass(frozen=True, slots=True)
class DoneBatch:
    """A batch that is done; asked in the driver's thread, before anything else happens.

    Attributes:
        time_ms: its time.
    """

    time_ms: int
    _work: Any
    _overdue: list[int]

    def image(self) -> StateImage:
        """Give what the program remembers."""
        return StateImage.of(self._work._durability, self.time_ms)

    def beyond_bound(self) -> list[str]:
        """List what the driver holds and does not need any more."""
        beyond = beyond_bound(self._work, self.time_ms)
        if self._overdue:
            beyond.append(f"the blocks {self._overdue}, which should have gone with its plan")
        return beyond


def watch_done(ssc: StreamingContext, tell: Callable[[DoneBatch], None]) -> None:
    """Tell of every batch of a program that was started when it is done."""
    driver: Any = ssc._driver
    work = driver._batches
    finish = work.finish

    def finished(time_ms: int) -> Any:
        late = overdue(work, time_ms)
        measured = finish(time_ms)
        tell(DoneBatch(time_ms, work, late))
        return measured

    work.finish = finished

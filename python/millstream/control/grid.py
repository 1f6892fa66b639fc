"""Batch times: which exist, and which of the overdue ones get a batch of their own."""

from __future__ import annotations

from dataclasses import dataclass

from millstream.control.instructions import ReportSkipped
from millstream.errors import InternalError


@dataclass(frozen=True, slots=True)
class BatchGrid:
    """The batch times `zero_time_ms + k * interval_ms`, k >= 1.

    Attributes:
        interval_ms: the batch interval, > 0.
        zero_time_ms: milliseconds since the epoch.
        slides_ms: slides longer than the interval, multiples of it, counted from `zero_time_ms`.
        kept_slides_max: how many overdue times of slides keep a batch of their own, >= 1.

    Raises:
        InternalError: values that whoever checks the program's arguments should have refused.
    """

    interval_ms: int
    zero_time_ms: int
    slides_ms: tuple[int, ...] = ()
    kept_slides_max: int = 1

    def __post_init__(self) -> None:
        if self.interval_ms <= 0 or self.kept_slides_max < 1:
            raise InternalError("The batch interval and the number of queued batches must be positive.")
        if any(slide <= self.interval_ms or slide % self.interval_ms for slide in self.slides_ms):
            raise InternalError("A slide must be longer than the batch interval and a multiple of it.")

    def check(self, time_ms: int) -> None:
        """Refuse a time that is not on the grid.

        Raises:
            InternalError: naming the time.
        """
        if (time_ms - self.zero_time_ms) % self.interval_ms:
            raise InternalError(f"{time_ms} is not a batch time.")

    def next_time(self, after_ms: int, due_ms: int) -> int:
        """Give the batch time to plan next when all times in `(after_ms, due_ms]` are due.

        Only `due_ms` and, before it, the latest times of slides get batches of their own; the others are merged
        into the batch that follows. The cost does not depend on how many are overdue.

        Args:
            after_ms: the batch time planned before.
            due_ms: the latest due batch time, > `after_ms`.

        Example:
            >>> BatchGrid(1, 0).next_time(after_ms=3, due_ms=60)
            60
            >>> grid = BatchGrid(1, 0, slides_ms=(10,), kept_slides_max=2)
            >>> grid.next_time(after_ms=3, due_ms=45), grid.next_time(30, 45), grid.next_time(40, 45)
            (30, 40, 45)
        """
        if not self.slides_ms or due_ms - after_ms == self.interval_ms:
            return due_ms
        times = sorted({time_ms for slide_ms in self.slides_ms for time_ms in self._latest(slide_ms, after_ms, due_ms)})
        return times[-self.kept_slides_max :][0] if times else due_ms

    def _latest(self, slide_ms: int, after_ms: int, due_ms: int) -> range:
        """The latest times of one slide in `(after_ms, due_ms)`, newest first, no more than can be kept."""
        newest_ms = due_ms - 1 - (due_ms - 1 - self.zero_time_ms) % slide_ms
        oldest_kept_ms = newest_ms - (self.kept_slides_max - 1) * slide_ms
        return range(newest_ms, max(after_ms, oldest_kept_ms - 1), -slide_ms)

    def skipped(self, after_ms: int, planned_ms: int) -> ReportSkipped:
        """Describe the times between two batches planned one after the other, of which there must be some.

        Example:
            >>> BatchGrid(1, 0, slides_ms=(10,)).skipped(3, 45)
            ReportSkipped(from_ms=4, to_ms=44, count=41, slides_count=4)
        """
        after_ms -= (after_ms - self.zero_time_ms) % self.interval_ms
        slides_count = sum(
            (planned_ms - 1 - self.zero_time_ms) // slide_ms - (after_ms - self.zero_time_ms) // slide_ms
            for slide_ms in self.slides_ms
        )
        return ReportSkipped(
            from_ms=after_ms + self.interval_ms,
            to_ms=planned_ms - self.interval_ms,
            count=(planned_ms - after_ms) // self.interval_ms - 1,
            slides_count=slides_count,
        )

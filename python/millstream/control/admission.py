"""Which batch times are due, and when the inputs have to wait."""

from __future__ import annotations

from millstream.control.grid import BatchGrid
from millstream.control.instructions import HoldInputs, ReportSkipped, ResumeInputs


class Admission:
    """The queue of due batch times, kept as its two ends: it takes no room, however far the stream is behind.

    Attributes:
        grid: the batch times.
        planned_ms: the newest batch time that was planned, milliseconds since the epoch; at first the zero time. One
            of an earlier driver with another interval may lie between the times of the grid.
        due_ms: the newest batch time that is due; all after `planned_ms` up to it wait.

    Example:
        >>> admission = Admission(BatchGrid(1_000, 0), max_queued_batches=2)
        >>> admission.note_due(1_000); admission.take_next()
        (1000, ())
        >>> admission.note_due(4_000); admission.hold()
        (HoldInputs(),)
        >>> admission.take_next()
        (4000, (ReportSkipped(from_ms=2000, to_ms=3000, count=2, slides_count=0), ResumeInputs()))
    """

    __slots__ = ("_held", "_held_at_ms", "_queue_max_ms", "_stays_held", "due_ms", "grid", "planned_ms")

    def __init__(self, grid: BatchGrid, max_queued_batches: int, planned_ms: int | None = None) -> None:
        self.grid = grid
        self.planned_ms = grid.zero_time_ms if planned_ms is None else planned_ms
        self.due_ms = self.planned_ms
        self._queue_max_ms = max_queued_batches * grid.interval_ms
        self._held = False
        self._held_at_ms = self.planned_ms
        self._stays_held = False

    @property
    def is_waiting(self) -> bool:
        """Whether a batch time is due that was not planned."""
        return self.due_ms > self.planned_ms

    def note_due(self, time_ms: int) -> None:
        """Remember that a batch time is due; one at or before the newest known changes nothing."""
        self.due_ms = max(self.due_ms, time_ms)

    def take_next(self) -> tuple[int, tuple[ReportSkipped | ResumeInputs, ...]]:
        """Take the next batch time to plan; only while one is waiting.

        Returns:
            The batch time, and what has to be done before it is planned.
        """
        start_ms = self.planned_ms
        self.planned_ms = time_ms = self.grid.next_time(start_ms, self.due_ms)
        if time_ms - start_ms == self.grid.interval_ms and not self._held:
            return time_ms, ()
        before: list[ReportSkipped | ResumeInputs] = []
        if time_ms - start_ms >= 2 * self.grid.interval_ms:
            before.append(self.grid.skipped(start_ms, time_ms))
        if self._stays_held:
            self._stays_held = False
        # Why not only when nothing is due any more: where slides have batches of their own that take longer than the
        # slide, some always is, and inputs would be held for ever.
        elif self._held and time_ms >= self._held_at_ms:
            self._held = False
            before.append(ResumeInputs())
        return time_ms, tuple(before)

    def hold(self) -> tuple[HoldInputs, ...]:
        """Hold the inputs when too many batch times wait, unless they are held already."""
        if self._held or self.due_ms - self.planned_ms <= self._queue_max_ms:
            return ()
        self._held, self._held_at_ms = True, self.due_ms
        return (HoldInputs(),)

    def hold_after(self, batches_waiting: int) -> tuple[HoldInputs, ...]:
        """Hold the inputs, when a batch ends during which too many batch times fell due, until the next one has ended.

        What came in meanwhile makes the next batch a long one; without more to come the one after it is short.
        """
        if self._held or batches_waiting * self.grid.interval_ms <= self._queue_max_ms:
            return ()
        self._held = self._stays_held = True
        self._held_at_ms = self.due_ms
        return (HoldInputs(),)

"""How far the start of a program with a checkpoint has come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from millstream.environment.clock import Clock

SHOWN_AFTER_MS = 1_000.0
"""A start that is over sooner needs no bar: who starts a program does not wonder yet."""

REFRESHED_MS = 100.0
"""How often the bar is drawn, at most: what it counts may be thousands of records a second."""


class StartView(ABC):
    """Shows a start that takes long to whoever waits for it."""

    @abstractmethod
    def show(self, phase: str, done: int, of: int | None) -> None:
        """Show what is being done, and how much of it is done; `of` None: it is not known how much there is."""

    @abstractmethod
    def close(self) -> None:
        """Take away what was shown: the start is over, or failed."""


class StartProgress:
    """Measures a start, phase by phase, and has one that takes longer than a second shown.

    The thread that starts the program calls it.

    Args:
        clock: the time.
        view: shows it; None: nobody looks.

    Example:
        >>> from millstream.environment.clock import ManualClock
        >>> clock = ManualClock()
        >>> with StartProgress(clock) as progress:
        ...     progress.tell("reading the journal", 0); clock.advance(0.25)
        ...     progress.tell("reading state", 0, 2); clock.advance(1.5); progress.tell("reading state", 1, 2)
        >>> progress.spent_ms, progress.summary
        (1750.0, 'reading the journal 0.25 s, reading state 1.50 s')
    """

    def __init__(self, clock: Clock, view: StartView | None = None) -> None:
        self._clock = clock
        self._view = view
        self._began_ms = clock.monotonic_ms()
        self._phases: dict[str, float] = {}
        self._phase = ""
        self._since_ms = self._began_ms
        self._is_shown = False
        self._shown_ms = self._began_ms

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._settle(self._clock.monotonic_ms())
        self._phase = ""
        if self._view is not None:
            self._view.close()

    @property
    def spent_ms(self) -> float:
        """How long ago the start began."""
        return self._clock.monotonic_ms() - self._began_ms

    @property
    def summary(self) -> str:
        """How long each phase took, in one line."""
        return ", ".join(f"{phase} {spent_ms / 1000.0:.2f} s" for phase, spent_ms in self._phases.items())

    def tell(self, phase: str, done: int, of: int | None = None) -> None:
        """Say what is being done and how much of it is done.

        Args:
            phase: what is being done, such as `reading state`.
            done: how many of the files, records or batches are behind.
            of: how many there are; None: that is not known.
        """
        now_ms = self._clock.monotonic_ms()
        begins = phase != self._phase
        if begins:
            self._settle(now_ms)
            self._phase = phase
        if self._view is not None and now_ms - self._began_ms >= SHOWN_AFTER_MS:
            is_due = begins or not self._is_shown or done == of or now_ms - self._shown_ms >= REFRESHED_MS
            if is_due:
                self._is_shown, self._shown_ms = True, now_ms
                self._view.show(phase, done, of)

    def _settle(self, now_ms: float) -> None:
        if self._phase:
            self._phases[self._phase] = self._phases.get(self._phase, 0.0) + now_ms - self._since_ms
        self._since_ms = now_ms

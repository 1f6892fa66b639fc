"""A bar on the terminal while a program goes on from a large checkpoint."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from millstream.control.start_progress import StartView
from millstream.environment.clock import Clock

if TYPE_CHECKING:
    from rich.progress import Progress


class StartBar(StartView):
    """Draws one line on a terminal, and takes it away at the end.

    Args:
        stream: the terminal.
        clock: tells how long it has taken.
    """

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._began_ms = clock.monotonic_ms()
        self._progress: Progress | None = None
        self._phase = ""
        self._task: Any = None

    def show(self, phase: str, done: int, of: int | None) -> None:
        seconds = (self._clock.monotonic_ms() - self._began_ms) / 1000.0
        counted = f"{done:,} of {of:,}  {seconds:.1f} s" if of is not None else f"{seconds:.1f} s"
        progress = self._progress
        if progress is None:
            progress = self._progress = self._made()
        if phase == self._phase:
            progress.update(self._task, total=of, completed=done, counted=counted, refresh=True)
        else:
            if self._task is not None:
                progress.remove_task(self._task)
            self._phase, self._task = phase, progress.add_task(phase, total=of, completed=done, counted=counted)
        progress.start()

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _made(self) -> Progress:
        # Why here: few starts take so long that they need it.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        return Progress(
            TextColumn("millstream: {task.description}"),
            BarColumn(),
            TextColumn("{task.fields[counted]}"),
            console=Console(file=self._stream),
            # The program's own threads and streams are left alone.
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
            get_time=lambda: self._clock.monotonic_ms() / 1000.0,
        )


def start_bar(clock: Clock, stream: TextIO | None = None) -> StartBar | None:
    """Give a bar on standard error; None where that is no terminal, or something is drawn on it already.

    Args:
        clock: tells how long it takes.
        stream: another stream than standard error.
    """
    stream = sys.stderr if stream is None else stream
    if stream is None or os.environ.get("TERM") == "dumb":  # There is no standard error in a process without a console.
        return None
    live = sys.modules.get("rich.file_proxy")
    if live is not None and isinstance(stream, live.FileProxy):
        return None  # A live view draws on it.
    return StartBar(stream, clock) if stream.isatty() else None

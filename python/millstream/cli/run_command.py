"""`millstream run`: a user's program, with what its streams did said at the end."""

from __future__ import annotations

import contextlib
import runpy
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from millstream.cli.batch_figures import BatchFigures
from millstream.cli.exit_status import ExitStatus
from millstream.cli.failure_report import failure_report
from millstream.cli.log_on_stderr import show_log
from millstream.cli.summary import summary
from millstream.context.streaming_context import StreamingContext
from millstream.errors import ConfigurationError, LifecycleError


class ProgramRun:
    """One run of a user's program.

    Args:
        app: the program's file.
        live: whether its batches are shown in the terminal.
    """

    def __init__(self, app: Path, *, live: bool) -> None:
        self._app = app
        self._live = live
        self._streams: list[tuple[StreamingContext, BatchFigures]] = []
        self._views = ExitStack()

    def perform(self, arguments: Sequence[str]) -> ExitStatus:
        """Run the program to its end, as `__main__`, and say what it did.

        Args:
            arguments: what the program finds in `sys.argv[1:]`.

        Raises:
            LifecycleError: it never started a stream.
        """
        StreamingContext.on_start(self._watch)
        show_log()
        sys.argv = [str(self._app), *arguments]
        sys.path.insert(0, str(self._app.resolve().parent))
        with self._views:
            status = self._run()
        for ssc, figures in self._streams:
            say(f"{ssc.name}: {summary(figures)}")
        if status is ExitStatus.OK and not self._streams:
            raise LifecycleError(
                f"{self._app} ended without starting a stream.",
                detail="It made no StreamingContext, or did not call start() or run() on it.",
                hint="Call ssc.run() at the end; a batch program needs no `millstream run`.",
            )
        return status

    def _run(self) -> ExitStatus:
        try:
            runpy.run_path(str(self._app), run_name="__main__")
        except SystemExit as ended:
            if ended.code is not None and not isinstance(ended.code, int):
                say(str(ended.code))
            if ended.code not in (None, 0):
                self._stop(graceful=False)
                return ExitStatus.FAILED
        except KeyboardInterrupt:
            self._stop(graceful=False)
            return ExitStatus.INTERRUPTED
        except BaseException as error:
            self._stop(graceful=False)
            if is_broken_pipe(error):
                raise BrokenPipeError from error
            self._views.close()
            say(failure_report(error), prefix="")
            return ExitStatus.FAILED
        self._stop(graceful=True)
        errors = [text for _, figures in self._streams if (text := figures.now().error)]
        for text in errors:  # The program went on without them.
            say(text)
        return ExitStatus.FAILED if errors else ExitStatus.OK

    def _watch(self, ssc: StreamingContext) -> None:
        figures = BatchFigures()
        ssc.add_listener(figures)
        self._streams.append((ssc, figures))
        if self._live:
            self._show(ssc.name, figures)

    def _show(self, name: str, figures: BatchFigures) -> None:
        from rich.live import Live

        from millstream.cli.batches_view import BatchesView
        from millstream.cli.terminal import silent_control_keys, terminal

        console = terminal(stderr=True)
        if console is None:
            say("--live needs a terminal, and standard error is none: the table is left out.")
        elif len(self._streams) == 1:  # Why only the first: two live tables cannot share a terminal.
            # Why not always: what the program prints into a file or a pipe must go there.
            redirect = sys.stdout.isatty()
            self._views.enter_context(silent_control_keys())
            self._views.enter_context(Live(BatchesView(name, figures), console=console, redirect_stdout=redirect))

    def _stop(self, *, graceful: bool) -> None:
        """Stop the streams that the program left running."""
        for ssc, _ in self._streams:
            if ssc.state == "active":
                if graceful:
                    say(f"{self._app} ended while {ssc.name} was running: it is stopped. Wait for it with ssc.run().")
                ssc.stop(graceful=graceful)


def run(app: Path, arguments: Sequence[str], *, live: bool) -> ExitStatus:
    """Run a user's program.

    Raises:
        ConfigurationError: there is no such file.
        LifecycleError: it never started a stream.
    """
    if not app.is_file():
        raise ConfigurationError(
            f"There is no program {app}.",
            detail="It is a folder." if app.is_dir() else f"No such file in {Path.cwd()}.",
            hint="Name a Python file that makes a StreamingContext and calls run() on it.",
        )
    return ProgramRun(app, live=live).perform(arguments)


def is_broken_pipe(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, is that nobody reads the output any more."""
    while error is not None:
        if isinstance(error, BrokenPipeError):
            return True
        error = error.__cause__
    return False


def say(text: str, prefix: str = "millstream: ") -> None:
    """Write to standard error, past a reader that may be gone."""
    with contextlib.suppress(BrokenPipeError):
        print(f"{prefix}{text}", file=sys.stderr, flush=True)

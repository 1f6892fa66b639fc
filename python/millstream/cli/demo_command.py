"""`millstream demo`: a stream at work, with nothing to set up."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.cli.batch_figures import BatchFigures
from millstream.cli.demo_view import DemoView
from millstream.cli.exit_status import ExitStatus
from millstream.cli.failure_report import failure_report
from millstream.cli.log_on_stderr import show_log
from millstream.cli.summary import summary
from millstream.cli.terminal import replace_what_cannot_be_written, silent_control_keys, terminal
from millstream.cli.window_lines import WindowLines
from millstream.context.signals import SignalStops, stop_on_signals
from millstream.context.streaming_context import StreamingContext
from millstream.demo.kafka_topics import counts_to_kafka, lines_from_kafka
from millstream.demo.source_process import SourceProcess
from millstream.demo.top_words import count_top_words
from millstream.environment.environment import Environment

if TYPE_CHECKING:
    from rich.console import Console

LOOK_S = 0.25
"""How often, at least, the command looks whether the server still runs and the time is over."""

PICTURE_WIDTH = 110
"""Characters of the picture's lines: both halves side by side."""


@dataclass
class Demo:
    """One run of the demonstration.

    Attributes:
        interval: length of a batch, seconds.
        window: length of the window, seconds.
        slide: time between windows, seconds.
        rate: lines served a second.
        seconds: stop after so long, or None.
        top: how many words to show.
        backend: where Python functions run, `threads` or `processes`.
        json: print a line of JSON for each window.
        svg: where to save the last view as a picture, or None.
        kafka: brokers, `host:port`, by whose topics lines come and counts go; None: lines come over a local socket.
        checkpoint: where the stream keeps how far it is, or None.
        figures: what the stream's listener heard.
        windows: what the stream's outputs gave.
        picture: the last view, drawn to be saved.
    """

    interval: float
    window: float
    slide: float
    rate: float
    seconds: float | None
    top: int
    backend: str
    json: bool
    svg: Path | None
    kafka: str | None
    checkpoint: str | None
    figures: BatchFigures = field(default_factory=BatchFigures)
    windows: WindowLines = field(default_factory=WindowLines)
    picture: Console | None = None

    def perform(self) -> ExitStatus:
        """Run until Ctrl-C or the end of the time, and sum up.

        Raises:
            ConfigurationError: window and slide do not fit the interval.
            SourceUnavailableError: the text server did not start, or has ended.
            BrokenPipeError: nobody reads the output any more.
        """
        console = None if self.json else terminal()
        show_log()
        replace_what_cannot_be_written(sys.stdout)
        with self._source() as source, self._context() as ssc:
            self._put_together(ssc, source)
            ssc.start()
            try:
                signals = self._follow(ssc, source, console)
                ssc.await_termination()
            except BrokenPipeError:
                raise
            except Exception as error:
                if ssc.state != "stopped":
                    raise
                print(failure_report(error), file=sys.stderr)
                return ExitStatus.FAILED
        words = f", {self.windows.words_total:,} words"
        said = summary(self.figures, records="lines", more=words)
        print(f"Stopped: {said}", file=sys.stderr if self.json else sys.stdout)
        self._save_picture()
        return ExitStatus.INTERRUPTED if signals.forced else ExitStatus.OK

    def _source(self) -> SourceProcess:
        rate = ("--rate", repr(self.rate))
        if self.kafka is None:
            return SourceProcess("millstream.demo.text_server", "--port", "0", *rate)
        return SourceProcess("millstream.demo.topic_writer", self.kafka, *rate)

    @contextmanager
    def _context(self) -> Iterator[StreamingContext]:
        """Give a context that is stopped, whatever happens."""
        ssc = StreamingContext(self.interval, name="demo", backend=self.backend, checkpoint=self.checkpoint)
        try:
            yield ssc
        finally:
            ssc.stop(graceful=False)

    def _put_together(self, ssc: StreamingContext, source: SourceProcess) -> None:
        ssc.add_listener(self.figures)
        if self.kafka is None:
            lines = ssc.socket_text_stream(source.said["host"], source.said["port"], name="lines")
        else:
            lines = lines_from_kafka(ssc, self.kafka)
        counts = count_top_words(
            lines,
            window=self.window,
            slide=self.slide,
            top=self.top,
            on_words=lambda counts, batch: self.windows.add_words(batch.time_ms, sum(counts)),
            on_window=self.windows.add_window,
        )
        way = ""
        if self.kafka is not None:
            counts_to_kafka(counts, self.kafka)
            way = f" by Kafka, {'at least' if self.checkpoint is None else 'exactly'} once"
        title = (
            f"millstream demo · {self.rate:,.0f} lines/s of Python's own text{way} · "
            f"batch {self.interval:g} s, window {self.window:g} s, slide {self.slide:g} s · {self.backend}"
        )
        self.view = DemoView(title, self.window, self.figures, lambda: self.windows.newest)

    def _follow(self, ssc: StreamingContext, source: SourceProcess, console: Console | None) -> SignalStops:
        """Show what happens until the stream has ended."""
        if console is None:
            if not self.json:
                print(self.view.title, flush=True)
            with stop_on_signals(ssc) as signals:
                self._until_end(ssc, source, quiet=False)
            return signals
        from rich.live import Live

        with stop_on_signals(ssc, self._tell) as signals, silent_control_keys(), Live(self.view, console=console):
            self._until_end(ssc, source, quiet=True)
        return signals

    def _tell(self, text: str) -> None:
        self.view.status = text

    def _until_end(self, ssc: StreamingContext, source: SourceProcess, *, quiet: bool) -> None:
        clock = Environment().clock
        end_ms = float("inf") if self.seconds is None else clock.monotonic_ms() + self.seconds * 1000.0
        while ssc.state == "active":
            left_s = (end_ms - clock.monotonic_ms()) / 1000.0
            if left_s <= 0:
                ssc.stop()
                break
            self.figures.changed.wait(min(left_s, LOOK_S))
            self.figures.changed.clear()
            self._print_new(quiet=quiet)
            self._draw()
            source.check()
        self._print_new(quiet=quiet)

    def _print_new(self, *, quiet: bool) -> None:
        for line in self.windows.lines(self.figures.take_unread()):
            if not quiet:
                print(line.json() if self.json else line.text(), flush=True)

    def _draw(self) -> None:
        """Keep a picture of the view while the stream runs: the last batch, cut short by the end, has odd figures."""
        if self.svg is None or self.windows.newest is None:
            return
        from io import StringIO

        from rich.console import Console

        self.picture = Console(
            record=True, file=StringIO(), force_terminal=True, width=PICTURE_WIDTH, height=24, color_system="truecolor"
        )
        self.picture.print(self.view)

    def _save_picture(self) -> None:
        if self.svg is not None and self.picture is not None:
            picture = self.picture.export_svg(title="millstream demo")
            # Why without: they are addresses of a font on the web; whoever looks has a font of the same width.
            self.svg.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL), encoding="utf-8")
            print(f"Saved {self.svg}.", file=sys.stderr)

"""The demonstration gives the true counts of the text it serves, in a pipe and in a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Callable
from fcntl import ioctl
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.integration.line_server import Program

from millstream.demo.text_corpus import TextCorpus

DEMO = ["-c", "import sys; from millstream.cli import main; sys.exit(main())", "demo"]

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


Windows = list[dict[str, Any]]


def windows_until(enough: Callable[[Windows], bool], *arguments: str) -> tuple[Windows, str]:
    """Interrupt the demonstration once it has shown enough; give all its windows, and what it said at its end."""
    with Program([*DEMO, "--json", *arguments]) as program:
        program.read_until(lambda line: enough([json.loads(line) for line in program.seen]))
        program.interrupt()
        status, complaint = program.end()
    assert status == 0, complaint
    return [json.loads(line) for line in program.seen], complaint


def records_of(windows: Windows) -> int:
    return sum(window["records"] for window in windows)


def windows_of(*arguments: str) -> tuple[Windows, str]:
    ended = subprocess.run(
        [sys.executable, *DEMO, "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_the_last_window_has_the_true_counts(backend: str) -> None:
    windows, complaint = windows_until(
        lambda windows: records_of(windows) > 1_000,
        *("--interval", "0.25", "--window", "100", "--rate", "4000", "--backend", backend),
    )
    lines = records_of(windows)
    words: Counter[str] = Counter()
    for line in islice(TextCorpus.of_python().lines(), lines):
        words.update(line.decode("utf-8", "replace").split())
    last = windows[-1]
    expected = sorted(((count, word) for word, count in words.items() if word.isalpha()), reverse=True)[:10]
    assert last["distinct_words"] == len(words)
    assert [(entry["count"], entry["word"]) for entry in last["top"]] == expected
    assert sum(window["words"] for window in windows) == words.total()
    assert f"{lines:,} lines" in complaint
    assert f"{words.total():,} words" in complaint


def test_windows_come_on_their_grid_with_their_figures() -> None:
    windows, _ = windows_until(
        lambda windows: len(windows) >= 5 and max(window["records"] for window in windows) > 100,
        *("--interval", "0.1", "--window", "0.4", "--slide", "0.2", "--rate", "2000", "--top", "3"),
    )
    times = [window["batch_time_ms"] for window in windows]
    assert all(later > earlier and (later - earlier) % 200 == 0 for earlier, later in pairwise(times))
    for window in windows:
        assert window["scheduling_delay_ms"] >= 0
        assert window["processing_ms"] > 0
        assert window["total_delay_ms"] == pytest.approx(
            window["scheduling_delay_ms"] + window["processing_ms"], abs=0.01
        )
    assert all(len(window["top"]) <= 3 for window in windows)


def test_plain_lines_where_there_is_no_terminal() -> None:
    with Program([*DEMO, "--interval", "0.2", "--window", "10", "--rate", "2000"]) as program:
        program.read_until(lambda line: "lines/s" in line and "scheduling" in line)
        program.interrupt()
        status, complaint = program.end()
    assert status == 0, complaint
    assert not any("\x1b" in line for line in program.seen)
    at = next(number for number, line in enumerate(program.seen) if line.startswith("Stopped"))
    said, scheduling, processing, total = program.seen[at : at + 4]
    assert re.fullmatch(r"Stopped: \d+ batch(es)?, [\d,]+ lines \([\d,]+ lines/s\), [\d,]+ words", said)
    for name, line in (("scheduling delay", scheduling), ("processing time", processing), ("total delay", total)):
        assert re.fullmatch(rf"  {name} +p50 +[\d.,]+ ms  p99 +[\d.,]+ ms", line)


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    command = f'"{sys.executable}" -c "{DEMO[1]}" demo --json --interval 0.2 --window 2 --rate 2000 | head -2'
    ended = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    assert len([json.loads(line) for line in ended.stdout.splitlines()]) == 2
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr


def test_a_picture_of_the_view_can_be_saved(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    windows_of("--seconds", "1", "--interval", "0.2", "--window", "2", "--rate", "2000", "--svg", str(picture))
    assert picture.read_text().startswith("<svg")
    assert "Top" in picture.read_text()


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, *arguments: str, columns: int = 100, rows: int = 30, **environment: str) -> None:
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, *DEMO, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def read_until(self, wanted: str) -> None:
        while wanted not in ESCAPES.sub("", self.text):
            chunk = self._read()
            if not chunk:
                raise AssertionError(f"The output ended without {wanted!r}:\n{self.text}")

    def end(self) -> int:
        while self._read():
            pass
        os.close(self._master)
        return self.process.wait(60)

    def _read(self) -> bytes:
        try:
            chunk = os.read(self._master, 65_536)
        except OSError:  # Linux says so that the last process has closed the terminal.
            return b""
        self.text += chunk.decode("utf-8", "replace")
        return chunk


@pytest.mark.parametrize(("columns", "rows"), [(120, 40), (80, 24), (40, 12), (20, 5)])
def test_the_live_view_ends_cleanly_at_an_interrupt(columns: int, rows: int) -> None:
    terminal = Terminal("--interval", "0.2", "--window", "10", "--rate", "2000", columns=columns, rows=rows)
    terminal.read_until("Top")
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 0, terminal.text
    shown = ESCAPES.sub("", terminal.text)
    assert "Stopped: " in shown
    assert "Traceback" not in shown


def test_no_color_is_respected() -> None:
    terminal = Terminal("--interval", "0.2", "--window", "10", "--rate", "2000", NO_COLOR="1")
    terminal.read_until("Top words")
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 0, terminal.text
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.text)


def test_a_terminal_without_unicode_gets_a_view() -> None:
    terminal = Terminal(
        "--interval", "0.2", "--window", "10", "--rate", "2000", "--seconds", "1", columns=30, PYTHONIOENCODING="ascii"
    )
    assert terminal.end() == 0, terminal.text
    assert terminal.text.isascii()
    assert "Stopped: " in terminal.text

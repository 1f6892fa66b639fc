"""The bar of a start that takes long."""

from __future__ import annotations

import io
from typing import Any

import pytest

from millstream.context.start_bar import StartBar, start_bar
from millstream.control.start_progress import StartProgress
from millstream.testing import ManualClock


class Terminal(io.StringIO):
    """A terminal that keeps what is written on it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_a_start_of_less_than_a_second_draws_nothing(clock: ManualClock, terminal: Terminal) -> None:
    with StartProgress(clock, start_bar(clock, terminal)) as progress:
        for done in range(9):
            progress.tell("reading state", done, 9)
            clock.advance(0.1)
    assert terminal.getvalue() == ""


def test_a_longer_one_draws_its_phases_and_takes_the_bar_away(clock: ManualClock, terminal: Terminal) -> None:
    with StartProgress(clock, start_bar(clock, terminal)) as progress:
        progress.tell("reading the journal", 0)
        clock.advance(0.8)
        progress.tell("reading state", 0, 4)
        clock.advance(0.4)
        assert terminal.getvalue() == ""
        progress.tell("reading state", 3, 4)
        assert "millstream: reading state" in terminal.getvalue()
        assert "3 of 4  1.2 s" in terminal.getvalue()
        clock.advance(2.0)
        progress.tell("replaying batches", 0, 12_000)
        shown = terminal.getvalue()
        assert shown.splitlines()[-1].count("millstream: replaying batches") == 1
        assert "0 of 12,000  3.2 s" in shown
    last = terminal.getvalue()[len(shown) :]
    assert "\x1b[2K" in last, "the line was not erased"
    assert "millstream" not in last.rpartition("\x1b[2K")[2]


def test_what_is_counted_is_drawn_at_most_ten_times_a_second(clock: ManualClock, terminal: Terminal) -> None:
    with StartProgress(clock, start_bar(clock, terminal)) as progress:
        clock.advance(1.0)
        for done in range(1_000):
            progress.tell("reading the journal", done, 1_000)
            clock.advance(0.001)
    assert 8 <= terminal.getvalue().count("millstream: reading the journal") <= 14


def test_there_is_no_bar_where_there_is_no_terminal(
    clock: ManualClock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start_bar(clock, io.StringIO()) is None
    assert isinstance(start_bar(clock, terminal), StartBar)
    monkeypatch.setenv("TERM", "dumb")
    assert start_bar(clock, terminal) is None


def test_a_live_view_on_the_terminal_is_left_alone(clock: ManualClock, terminal: Terminal) -> None:
    from rich.console import Console
    from rich.file_proxy import FileProxy

    proxy: Any = FileProxy(Console(file=terminal), terminal)
    assert start_bar(clock, proxy) is None


def test_the_bar_goes_when_the_start_fails(clock: ManualClock, terminal: Terminal) -> None:
    def start() -> None:
        with StartProgress(clock, start_bar(clock, terminal)) as progress:
            clock.advance(2.0)
            progress.tell("opening sources and sinks", 0)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        start()
    assert "millstream: opening sources and sinks" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")

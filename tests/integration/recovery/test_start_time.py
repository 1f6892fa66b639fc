"""How long a start took is told, and shown while it takes long."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import millstream as ms
from millstream.context import start_bar
from millstream.errors import UserCodeError
from millstream.testing import ManualClock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(10.0)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    # Why not sys.stderr itself: pytest puts its own there again between the fixtures and the test.
    monkeypatch.setattr(start_bar, "sys", SimpleNamespace(stderr=terminal, modules=sys.modules))
    return terminal


class Slow:
    """A program whose batches run again at a start, each for some seconds."""

    def __init__(self, place: Path, clock: ManualClock) -> None:
        self.place = place
        self.clock = clock
        self.fails = False
        self.seconds = 0.0

    def start(self, numbers: int) -> ms.StreamingContext:
        ssc = ms.StreamingContext(
            1.0,
            name="slow",
            checkpoint=self.place,
            checkpoint_interval=3_600.0,
            state_log=False,
            batch_retries=0,
            environment=ms.Environment(self.clock),
        )
        stream = ssc.memory_stream(name="numbers")
        pairs = stream.map(lambda n: ("all", n))
        pairs.update_state_by_key(self.add, name="totals").collect_to([])
        ssc.start()
        for n in range(numbers):
            stream.push(n)
            self.clock.advance(1.0)
        return ssc

    def add(self, new: list[int], total: int | None) -> int:
        if self.fails:
            raise ValueError("a batch that fails ends the program without a last checkpoint")
        self.clock.advance(self.seconds)
        return (total or 0) + sum(new)


@pytest.fixture
def slow(tmp_path: Path, clock: ManualClock) -> Iterator[Slow]:
    slow = Slow(tmp_path, clock)
    yield slow
    if ssc := ms.StreamingContext.active("slow"):
        ssc.stop(graceful=False)


def test_a_start_that_takes_long_shows_what_it_does_and_says_what_it_took(
    slow: Slow, clock: ManualClock, terminal: Terminal, caplog: pytest.LogCaptureFixture
) -> None:
    ssc = slow.start(4)
    slow.fails = True
    clock.advance(1.0)
    with pytest.raises(UserCodeError):
        ssc.await_termination(0)
    assert terminal.getvalue() == ""
    slow.fails, slow.seconds = False, 0.5
    with caplog.at_level(logging.INFO, logger="millstream"):
        slow.start(2)
    assert re.search(r"millstream: replaying batches .* 3 of 4  1\.5 s", terminal.getvalue())
    assert terminal.getvalue().endswith("\x1b[2K")
    said = [line for line in caplog.messages if "first new batch" in line]
    assert len(said) == 1, caplog.messages
    assert re.search(r"was done \d\.\d\d s after the start: .*replaying batches 2\.00 s", said[0])


def test_a_first_start_and_a_quick_one_show_nothing(
    slow: Slow, terminal: Terminal, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="millstream"):
        slow.start(3).stop()
    assert not [line for line in caplog.messages if "first new batch" in line]
    slow.start(1).stop()
    assert terminal.getvalue() == ""

"""What Ctrl-C and SIGTERM do while a program waits in `run()`."""

from __future__ import annotations

import os
import signal
import threading
from queue import SimpleQueue

import pytest

from millstream.context.signals import stop_on_signals

WAIT_S = 60.0


class Stopped:
    """Writes down how it is stopped."""

    def __init__(self) -> None:
        self.stops: SimpleQueue[tuple[bool, str]] = SimpleQueue()

    def stop(self, graceful: bool = True, timeout: float | None = None) -> bool:
        self.stops.put((graceful, threading.current_thread().name))
        return True


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_gracefully_and_two_at_once(number: signal.Signals) -> None:
    stopped, said = Stopped(), list[str]()
    before = handlers()
    with stop_on_signals(stopped, said.append) as seen:
        assert not seen.forced
        os.kill(os.getpid(), number)
        assert stopped.stops.get(timeout=WAIT_S) == (True, "millstream-stop")
        assert (seen.count, seen.forced) == (1, False)
        os.kill(os.getpid(), number)
        assert stopped.stops.get(timeout=WAIT_S) == (False, "millstream-stop")
        assert (seen.count, seen.forced) == (2, True)
    assert handlers() == before
    assert said == [
        f"{number.name}: finishing what was received; once more stops at once.",
        f"{number.name}: stopping at once.",
    ]


def test_a_third_one_interrupts_like_any_other() -> None:
    stopped = Stopped()
    before = handlers()

    def interrupted() -> None:
        with stop_on_signals(stopped, lambda text: None):
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert handlers() == before


def test_two_kinds_count_together() -> None:
    stopped = Stopped()
    with stop_on_signals(stopped, lambda text: None) as seen:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert seen.forced
        assert sorted(stopped.stops.get(timeout=WAIT_S)[0] for _ in range(2)) == [False, True]


def test_one_that_comes_during_the_start_waits_for_its_end() -> None:
    stopped = Stopped()
    with stop_on_signals(stopped, lambda text: None) as seen:
        with seen.held():
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen.count == 1
            assert stopped.stops.empty()
        assert stopped.stops.get(timeout=WAIT_S) == (True, "millstream-stop")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_interrupt_the_start(number: signal.Signals) -> None:
    stopped, said = Stopped(), list[str]()
    before = handlers()

    def starting() -> None:
        with stop_on_signals(stopped, said.append) as seen, seen.held():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        starting()
    assert handlers() == before
    assert stopped.stops.empty()
    assert said[1:] == [f"{number.name}: stopping at once."]


def test_a_start_that_fails_stops_nothing() -> None:
    stopped = Stopped()

    def failing() -> None:
        with stop_on_signals(stopped, lambda text: None) as seen, seen.held():
            os.kill(os.getpid(), signal.SIGINT)
            raise KeyError("the start failed")

    with pytest.raises(KeyError):
        failing()
    assert stopped.stops.empty()


def test_what_was_there_comes_back_when_the_program_fails() -> None:
    before = handlers()

    def failing() -> None:
        with stop_on_signals(Stopped()):
            raise KeyError("the stream failed")

    with pytest.raises(KeyError):
        failing()
    assert handlers() == before


def test_outside_the_main_thread_nothing_is_changed() -> None:
    before, during = handlers(), list[object]()

    def run() -> None:
        with stop_on_signals(Stopped()) as seen:
            during.extend(handlers())
            assert seen.count == 0

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(WAIT_S)
    assert during == before


def test_the_user_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    stopped = Stopped()
    with stop_on_signals(stopped):
        os.kill(os.getpid(), signal.SIGTERM)
        stopped.stops.get(timeout=WAIT_S)
    assert capsys.readouterr().err == ("millstream: SIGTERM: finishing what was received; once more stops at once.\n")

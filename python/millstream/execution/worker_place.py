"""One place among the workers of a backend: the process that fills it, its death, and its successor."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from concurrent.futures import Future
from dataclasses import dataclass

from millstream.errors import BackendUnavailableError
from millstream.execution.launcher import Launcher, WorkerProcess, closed
from millstream.execution.messages import End, Hello, Message, decode, encode
from millstream.execution.wire import Wire, WireClosedError

_LAST_WORDS_TIMEOUT_S = 1.0
"""A dead worker's stderr ends with it, unless a process that it started holds it open."""

_DEATH_TIMEOUT_S = 5.0
"""A worker whose connection is closed is as good as gone; one that lives on is killed."""

_HEAVY_MODULES = ("numpy", "pyarrow", "polars")
_VARIABLES = ("PYTHONPATH", "PYTHONHASHSEED")


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker process ended.

    Attributes:
        index: the place that it filled.
        pid: its process id.
        status: its exit status, negative for the signal that ended it.
        task: the number of the task that ran, in its message, or None.
        last_words: the end of what it wrote to stderr.
    """

    index: int
    pid: int
    status: int
    task: int | None
    last_words: str

    @property
    def how(self) -> str:
        """Say how it ended.

        Example:
            >>> Death(0, 1, -9, None, "").how, Death(0, 1, 3, None, "").how
            ('was ended by signal 9 (SIGKILL)', 'ended with exit status 3')
        """
        if self.status >= 0:
            return f"ended with exit status {self.status}"
        try:
            name = f" ({signal.Signals(-self.status).name})"
        except ValueError:
            name = ""
        return f"was ended by signal {-self.status}{name}"


class WorkerPlace:
    """The process of one place; the next one is on its way as soon as one is gone.

    Args:
        index: the place, from 0.
        count: how many places there are.
        launcher: starts processes.
        start_timeout_s: how long a process may take until it is ready, seconds.
    """

    def __init__(self, index: int, count: int, launcher: Launcher, start_timeout_s: float) -> None:
        self.index = index
        self.count = count
        self._launcher = launcher
        self._start_timeout_s = start_timeout_s
        self._process: WorkerProcess | None = None
        self._launched: Future[WorkerProcess] = launcher.launch()

    @property
    def is_settled(self) -> bool:
        """True while a process is there that got ready; it may have died since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process id of the worker that is there."""
        assert self._process is not None
        return self._process.process.pid

    @property
    def wire(self) -> Wire:
        """The connection to the worker that is there."""
        process = self._process
        if process is None:  # Another thread, or the end of the program, has ended the worker meanwhile.
            raise closed()
        return process.wire

    def settle(self) -> None:
        """Wait for the process on its way, and until it is ready for tasks.

        Raises:
            BackendUnavailableError: it did not get ready.
        """
        process = self._process = self._launched.result()
        try:
            self.tell(self._hello())
            if process.wire.has_message(int(self._start_timeout_s * 1000)):
                self.hear()
                return
            why = f"It was not ready within {self._start_timeout_s:g} s."
            process.process.kill()
            said = self.bury().last_words
        except WireClosedError:
            death = self.bury()
            why, said = f"It {death.how}.", death.last_words
        except BaseException:
            self.abandon()
            raise
        raise BackendUnavailableError(
            "A worker process could not be started.",
            detail=f"{sys.executable} -m millstream.execution.worker: {why}" + (f" It said:\n{said}" if said else ""),
            hint="Check that this interpreter can import millstream, and the limits on memory and processes.",
        )

    def _hello(self) -> Hello:
        return Hello(
            self.index,
            self.count,
            list(sys.path),
            os.getcwd(),
            {name: os.environ.get(name) for name in _VARIABLES},
            [name for name in _HEAVY_MODULES if name in sys.modules],
        )

    def tell(self, message: Message) -> None:
        """Send a message.

        Raises:
            WireClosedError: the worker is gone.
        """
        self.wire.send(encode(message))

    def hear(self) -> Message:
        """Wait for a message.

        Raises:
            WireClosedError: the worker is gone.
        """
        return decode(self.wire.receive())

    def wait_printed(self, printed_bytes: tuple[int, int], timeout_s: float = 1.0) -> None:
        """Wait until what the worker has printed is on the driver's streams."""
        assert self._process is not None
        self._launcher.wait_printed(self._process, *printed_bytes, timeout_s)

    def bury(self) -> Death:
        """Take a dead worker's place back, send for the next one, and tell how it died."""
        process = self._process
        assert process is not None
        self._process = None
        self._launched = self._launcher.launch()
        status = process.end(_DEATH_TIMEOUT_S)
        last_words = self._launcher.last_words(process, _LAST_WORDS_TIMEOUT_S)
        return Death(self.index, process.process.pid, status, process.progress.task, last_words)

    def abandon(self) -> None:
        """Kill the worker, whatever it is doing, and send for the next one."""
        process, self._process = self._process, None
        if process is not None:
            process.process.kill()
            self._launched = self._launcher.launch()
            process.end(_DEATH_TIMEOUT_S)

    def kill(self) -> None:
        """Kill the worker from another thread; whoever waits for it learns that it is gone."""
        process = self._process
        if process is not None:
            process.process.kill()

    def ask_to_end(self) -> None:
        """Ask the worker to end; returns at once."""
        if self._process is None:
            # Why suppressed: a process that could not be started needs no end.
            with contextlib.suppress(BackendUnavailableError):
                self._process = self._launched.result()
        if self._process is not None:
            with contextlib.suppress(WireClosedError):
                self.tell(End())

    def end(self, timeout_s: float) -> None:
        """Wait until a worker that was asked to end has ended; kill it when the time is up."""
        process, self._process = self._process, None
        if process is not None:
            process.end(timeout_s)

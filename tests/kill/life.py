"""One life of a program: the process, how it is to end, and what it has said so far."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from typing import IO


@dataclass
class Fate:
    """How a life ends.

    Attributes:
        lines: killed from outside after so many lines at the latest; None: not killed, it is the last life.
        crash: the point at which the program kills itself, or None.
        count: at its how-manieth passage.
        worker_lines: a worker is killed after so many lines, or as soon as there is one; the driver is not killed from
            outside before that.
        broker_lines: the broker is killed, and started again, after so many lines.
        stop_lines: asked to stop after so many lines.
        receiver_process: the receiver runs in a process of its own.
    """

    lines: int | None
    crash: str | None = None
    count: int = 1
    worker_lines: int | None = None
    broker_lines: int | None = None
    stop_lines: int | None = None
    receiver_process: bool = False


class Life:
    """A running program, which tells each point that it passes in a line on its standard output.

    Attributes:
        lines_count: how many points it has passed.
        batches_count: how many batches it has finished.
        last: the last point that it passed.
        was_killed: from outside.
    """

    def __init__(self, process: subprocess.Popen[bytes], fate: Fate) -> None:
        assert process.stdout is not None
        self.fate = fate
        self.lines_count = 0
        self.batches_count = 0
        self.last = ""
        self.was_killed = False
        self.output: IO[bytes] = process.stdout
        self._process = process
        self._rest = b""

    @property
    def is_last(self) -> bool:
        return self.fate.lines is None

    def read(self) -> list[str] | None:
        """Take what the program said since; None: it has ended."""
        data = os.read(self.output.fileno(), 65_536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode() for line in lines] if data else None

    def passed(self, point: str) -> bool:
        """Note that the program passed a point; whether it finished a batch with it."""
        self.lines_count += 1
        self.last = point
        is_finished = point == "after finish"
        self.batches_count += is_finished
        return is_finished

    def stop(self) -> None:
        """Ask it to stop."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.was_killed = True
        self._process.kill()

    def workers(self) -> list[int]:
        """Give the process ids of its workers."""
        found = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False)
        return [int(number) for number in found.stdout.split()]

    def end(self) -> int:
        """Kill what still runs; give the exit status."""
        self._process.kill()
        status = self._process.wait()
        self.output.close()
        return status

"""A server of lines that a test speaks through, and programs that it starts and listens to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class LineServer:
    """Accepts one program at a time and sends it what the test says."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(60)
        self.port: int = self._listening.getsockname()[1]
        self._peer: socket.socket | None = None

    def accept(self) -> None:
        """Wait for the program to connect."""
        self._peer, _ = self._listening.accept()

    def send(self, *lines: str) -> None:
        """Send lines."""
        assert self._peer is not None
        self._peer.sendall("".join(f"{line}\n" for line in lines).encode())

    def hang_up(self) -> None:
        """Close the connection; the program may connect again."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        self._listening.close()


class Program:
    """A started program whose output is read line by line."""

    def __init__(
        self, arguments: Sequence[str], *, cwd: str | os.PathLike[str] = REPOSITORY, **environment: str
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            cwd=cwd,
        )
        self.seen: list[str] = []

    def read_until(self, wanted: Callable[[str], bool]) -> str:
        """Give the first line that is wanted; fails with all that was said when the output ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(line.rstrip("\n"))
            if wanted(self.seen[-1]):
                return self.seen[-1]
        _, complaint = self.end()
        raise AssertionError(f"The output ended. It was {self.seen}, and on standard error:\n{complaint}")

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def end(self, timeout_s: float = 60) -> tuple[int, str]:
        """Wait for the end and give the exit status and standard error."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.seen += self.process.stdout.read().splitlines()
        complaint = self.process.stderr.read()
        return self.process.wait(timeout_s), complaint

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

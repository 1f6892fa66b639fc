"""The text server in a process of its own, as the process that starts it sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from types import TracebackType

from millstream.errors import SourceUnavailableError

MODULE = "millstream.demo.text_server"

END_S = 5.0
"""How long the process may take to end before it is killed."""


class TextServerProcess:
    """Starts the server and ends it; use it in a `with` statement.

    Args:
        rate_lines_per_s: lines a second, > 0.

    Attributes:
        host: address that it listens on.
        port: port that it listens on.

    Raises:
        SourceUnavailableError: it did not start; the detail has what it said.
    """

    def __init__(self, rate_lines_per_s: float) -> None:
        # Why the import path and -P: the child must find this package as this process does, and nothing in the
        # folder where the user happens to be. Why a session of its own: Ctrl-C in a terminal goes to every process
        # of a group, and the stream has to end before its source.
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE, "--port", "0", "--rate", repr(rate_lines_per_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            self._process.wait()
            self.check()
        address = json.loads(said)
        self.host: str = address["host"]
        self.port: int = address["port"]

    def check(self) -> None:
        """Make sure that the server still runs.

        Raises:
            SourceUnavailableError: it has ended; the detail has its last words.
        """
        status = self._process.poll()
        if status is None:
            return
        self._complaints.seek(0)
        last_words = self._complaints.read().decode("utf-8", "replace").strip()
        raise SourceUnavailableError(
            "The text server has ended.",
            detail=f"Exit status {status}. {last_words}".strip(),
            hint=f"Run it by itself to see more: {sys.executable} -m {MODULE}",
        )

    def close(self) -> None:
        """End the process."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._complaints.close()

    def __enter__(self) -> TextServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

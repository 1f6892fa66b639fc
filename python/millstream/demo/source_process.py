"""The source of the demonstration in a process of its own, as the process that starts it sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Any

from millstream.errors import SourceUnavailableError

END_S = 5.0
"""How long the process may take to end before it is killed."""


class SourceProcess:
    """Starts a module as a program and ends it; use it in a `with` statement.

    Args:
        module: name of the module.
        arguments: what it is told on its command line.

    Attributes:
        said: what it said of itself when it was ready, one line of JSON.

    Raises:
        SourceUnavailableError: it did not start; the detail has what it said.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        # Why the import path and -P: the child must find this package as this process does, and nothing in the
        # folder where the user happens to be. Why a session of its own: Ctrl-C in a terminal goes to every process
        # of a group, and the stream has to end before its source.
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._by_itself = " ".join((sys.executable, "-m", module, *arguments))
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
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
        self.said: dict[str, Any] = json.loads(said)

    def check(self) -> None:
        """Make sure that the process still runs.

        Raises:
            SourceUnavailableError: it has ended; the detail has its last words.
        """
        status = self._process.poll()
        if status is None:
            return
        self._complaints.seek(0)
        last_words = self._complaints.read().decode("utf-8", "replace").strip()
        raise SourceUnavailableError(
            "The source of the demonstration has ended.",
            detail=f"Exit status {status}. {last_words}".strip(),
            hint=f"Run it by itself to see more: {self._by_itself}",
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

    def __enter__(self) -> SourceProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""The launcher: starts worker processes, passes on what they print, and ends them."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from concurrent.futures import Future
from typing import IO

from millstream.environment.environment import start_thread
from millstream.errors import BackendUnavailableError
from millstream.execution.progress import SIZE_BYTES, Progress
from millstream.execution.wire import Wire

_CHUNK_BYTES = 65_536
_TAIL_BYTES = 4_096
"""How much of a worker's last words an error shows."""
_LINE_BYTES_MAX = 65_536
"""A line that grows past this is passed on before it ends."""


class Printed:
    """What one worker writes to one of its two streams.

    Args:
        stream: the reading end of a pipe.
        name: `stdout` or `stderr`: the driver's stream that gets it.

    Attributes:
        passed_bytes: how much was passed on; waited for so that output comes before the result it belongs to.
        tail: the last bytes.
        ended: the worker has closed its end.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.stream = stream
        self.name = name
        self.passed_bytes = 0
        self.tail = b""
        self.ended = False
        self._line = b""

    def pass_on(self) -> None:
        """Read what is there and write whole lines of it to the driver's stream."""
        chunk = os.read(self.stream.fileno(), _CHUNK_BYTES)
        if chunk:
            self.tail = (self.tail + chunk)[-_TAIL_BYTES:]
            self._line += chunk
            cut = self._line.rfind(b"\n") + 1
            if not cut and len(self._line) > _LINE_BYTES_MAX:
                cut = len(self._line)
        else:
            cut = len(self._line)
        if cut:
            self._write(self._line[:cut])
            self._line = self._line[cut:]
        self.passed_bytes += len(chunk)
        self.ended = not chunk

    def _write(self, text: bytes) -> None:
        # Why looked up each time: notebooks and test runners replace the streams.
        target = getattr(sys, self.name)
        # Why suppressed: a driver that closed its output wants none, a stream put in its place may raise anything,
        # and the thread has to live on: it starts workers too.
        with contextlib.suppress(Exception):
            target.write(text.decode("utf-8", "replace"))
            target.flush()


class WorkerProcess:
    """A started worker.

    Args:
        process: the process.
        wire: the driver's end of the connection.
        progress: where the worker writes which task it runs.
        stdout: what it prints.
        stderr: what it prints to stderr.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        wire: Wire,
        progress: Progress,
        stdout: Printed,
        stderr: Printed,
    ) -> None:
        self.process = process
        self.wire = wire
        self.progress = progress
        self.stdout = stdout
        self.stderr = stderr

    def end(self, timeout_s: float) -> int:
        """Hang up, wait for the end of the process, kill it when the time is up; give its exit status."""
        self.wire.close()
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Launcher:
    """Starts workers from a thread of its own, which lives until `close`.

    Why a thread: Linux ends a child whose parent *thread* ends, where the child asked for that, and the caller's
    thread may end long before the program does. The same thread passes on what workers print.
    """

    def __init__(self) -> None:
        # Derived from the driver's own: sets are in one order in all workers, so a repeated task meets the same
        # order, and the order is as hard to foresee from outside as the driver's.
        self._hash_seed = hash("the workers of millstream") & 0xFFFF_FFFF
        self._requests: deque[Future[WorkerProcess]] = deque()
        self._changed = threading.Condition()
        self._selector = selectors.DefaultSelector()
        self._wakes, self._waker = socket.socketpair()
        self._selector.register(self._wakes, selectors.EVENT_READ, None)
        self._refusing = False
        self._closing = False
        self._thread = start_thread("millstream-launcher", self._run)

    def launch(self) -> Future[WorkerProcess]:
        """Start one worker, without waiting for it.

        Returns:
            The process, which may take a while until it is ready; or BackendUnavailableError, when the operating
            system refused to start one.
        """
        request: Future[WorkerProcess] = Future()
        if self._refusing:
            request.set_exception(closed())
        else:
            self._requests.append(request)
            self._wake()
        return request

    def refuse(self) -> None:
        """Start no more workers from now on."""
        self._refusing = True

    def wait_printed(self, worker: WorkerProcess, stdout_bytes: int, stderr_bytes: int, timeout_s: float) -> None:
        """Wait until that much of a worker's output was passed on."""
        out, err = worker.stdout, worker.stderr
        if out.passed_bytes >= stdout_bytes and err.passed_bytes >= stderr_bytes:
            return
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    (out.passed_bytes >= stdout_bytes or out.ended) and (err.passed_bytes >= stderr_bytes or err.ended)
                ),
                timeout_s,
            )

    def last_words(self, worker: WorkerProcess, timeout_s: float) -> str:
        """Give the end of what a dead worker wrote to stderr."""
        with self._changed:
            self._changed.wait_for(lambda: worker.stderr.ended, timeout_s)
        return worker.stderr.tail.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the thread after what was printed so far. Safe to call twice; workers are ended by their owner."""
        self.refuse()
        self._closing = True
        self._wake()
        self._thread.join()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _run(self) -> None:
        while True:
            # Once closing: what lies in the pipes is still passed on, but nothing is waited for.
            ready = self._selector.select(0 if self._closing else None)
            printed = [key.data for key, _ in ready if key.data is not None]
            if self._closing and not printed:
                break
            if len(printed) < len(ready):
                self._wakes.recv(_CHUNK_BYTES)
            while self._requests:
                self._answer(self._requests.popleft())
            for stream in printed:
                self._pass_on(stream)
        self._end()

    def _answer(self, request: Future[WorkerProcess]) -> None:
        try:
            request.set_result(self._start())
        except Exception as error:
            refusal = BackendUnavailableError(
                "A worker process could not be started.",
                detail=f"{type(error).__name__}: {error}; the interpreter is {sys.executable!r}.",
                hint="Check the limits on processes, memory and open files, or use backend='threads'.",
            )
            refusal.__cause__ = error
            request.set_exception(refusal)

    def _end(self) -> None:
        while self._requests:
            self._requests.popleft().set_exception(closed())
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                key.data.stream.close()
        self._selector.close()
        self._wakes.close()
        self._waker.close()

    def _pass_on(self, printed: Printed) -> None:
        printed.pass_on()
        if printed.ended:
            self._selector.unregister(printed.stream)
            printed.stream.close()
        with self._changed:
            self._changed.notify_all()

    def _start(self) -> WorkerProcess:
        here, there = socket.socketpair()
        with tempfile.TemporaryFile() as shared, there:
            shared.truncate(SIZE_BYTES)
            progress = Progress(shared.fileno())
            progress.task = None
            descriptors = (there.fileno(), shared.fileno())
            try:
                process = subprocess.Popen(
                    [
                        *(sys.executable, *_interpreter_flags(), "-P", "-m", "millstream.execution.worker"),
                        *(*map(str, descriptors), str(os.getpid())),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=self._environ(),
                    pass_fds=descriptors,
                    process_group=0,  # Ctrl-C in a terminal reaches the driver alone, which decides.
                )
            except BaseException:
                here.close()
                raise
        assert process.stdout is not None
        assert process.stderr is not None
        stdout, stderr = Printed(process.stdout, "stdout"), Printed(process.stderr, "stderr")
        self._selector.register(stdout.stream, selectors.EVENT_READ, stdout)
        self._selector.register(stderr.stream, selectors.EVENT_READ, stderr)
        return WorkerProcess(process, Wire(here), progress, stdout, stderr)

    def _environ(self) -> dict[str, str]:
        # The worker puts the driver's own environment back in place once it runs.
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            "PYTHONHASHSEED": str(self._hash_seed),
        }


def closed() -> BackendUnavailableError:
    """The error for whoever needs workers that have been closed."""
    return BackendUnavailableError(
        "The workers have been closed.",
        detail="The context was closed, or the program is ending.",
        hint="Make a new context.",
    )


def _interpreter_flags() -> list[str]:
    """List the flags that change what user code does."""
    flags = ["-O"] * sys.flags.optimize
    flags += [f"-W{option}" for option in sys.warnoptions]
    flags += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    return flags

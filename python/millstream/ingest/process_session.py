"""A receiver that runs in a process of its own, as the driver's process sees it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from millstream.environment.environment import Environment
from millstream.errors import InputFullError, LifecycleError, ShippingError, SourceUnavailableError
from millstream.ingest.block_buffer import BlockBuffer
from millstream.ingest.deadline import Deadline
from millstream.ingest.encoded_rows import EncodedRows
from millstream.ingest.frame_socket import Frame, FrameSocket, block_of, event_of
from millstream.ingest.session import Session, SessionLimits
from millstream.model.ports.block_feed import FeedEvent
from millstream.model.ports.receiver import Receiver

MODULE = "millstream.ingest.receiver_process"


def packed_receiver(receiver: Receiver[Any]) -> bytes:
    """Pickle a receiver for its process; classes of the main program go by value.

    Raises:
        ShippingError: it cannot be pickled; names the part that cannot.
    """
    import cloudpickle

    from millstream.encoding.unshippable import unshippable_part

    try:
        return bytes(cloudpickle.dumps(receiver))
    except Exception as error:
        part = unshippable_part(receiver, cloudpickle.dumps)
        raise ShippingError(
            f"The receiver {receiver.name} cannot be sent to a process of its own.",
            detail=f"{part} of {type(receiver).__qualname__} cannot be pickled: {error}",
            hint="Open connections and start threads in on_start, not in __init__.",
        ) from error


class ProcessSession(Session):
    """One run of a receiver in a process of its own.

    A thread of this process starts the other one, reads its blocks and waits for its end. Its blocks stay encoded;
    while the buffer is full it does not read, so the other process has to wait as well. The processes share one
    socket: when either dies the other one notices. A process that dies unasked is reported as `failed`.

    Args:
        name: of the receiver.
        packed: the receiver, from `packed_receiver`.
        buffer: where its blocks go.
        environment: threads and time.
        report: told what happens; called from any thread.
        limits: how long the receiver may take; its process gets twice as long to end, then it is killed.
        rate_per_s: limit of records a second, or None.
    """

    def __init__(
        self,
        name: str,
        packed: bytes,
        buffer: BlockBuffer[Any],
        environment: Environment,
        report: Callable[[FeedEvent], None],
        limits: SessionLimits,
        rate_per_s: float | None,
    ) -> None:
        self._name = name
        self._packed = packed
        self._buffer = buffer
        self._environment = environment
        self._report = report
        self._limits = limits
        self._rate_per_s = rate_per_s
        self._lock = threading.Lock()
        self._then: list[Callable[[], None]] = []
        self._frames: FrameSocket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._kill_deadline: Deadline | None = None
        self._told_end = False
        self._ending = False
        self._killed = False
        self._over = False

    @property
    def pid(self) -> int | None:
        """The process, once it was started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        self._environment.start_thread(f"receiver process of {self._name}", self._run)

    def end(self, then: Callable[[], None]) -> None:
        with self._lock:
            over = self._over
            if not over:
                self._then.append(then)
        if over:
            then()
        else:
            self._begin_end()

    def set_rate(self, records_per_s: float | None) -> None:
        with self._lock:
            self._rate_per_s = records_per_s
            frames = self._frames
        if frames is not None:
            frames.send_value(Frame.RATE, records_per_s)

    def _run(self) -> None:
        # Why this thread starts the process: on Linux the process dies with the thread that started it.
        try:
            frames = self._launch()
        except OSError as error:
            self._tell_failure(f"The process of the receiver {self._name} could not be started.", str(error), error)
        else:
            self._listen(frames)
            self._bury(frames)
        self._finish()

    def _launch(self) -> FrameSocket:
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(theirs.fileno()), str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        frames = FrameSocket(ours)
        rate_per_s = self._rate_per_s
        frames.send_value(Frame.RUN, (sys.path, self._packed, self._limits, rate_per_s))
        with self._lock:
            self._frames = frames
            ending = self._ending
            changed = self._rate_per_s != rate_per_s
        if changed:
            self.set_rate(self._rate_per_s)
        if ending:
            frames.send(Frame.STOP)
        return frames

    def _listen(self, frames: FrameSocket) -> None:
        """Serve the process until it says that it has ended or is gone."""
        while (received := frames.receive()) is not None:
            kind, content = received
            if kind is Frame.BLOCK:
                self._store(frames, content)
            elif kind is Frame.EVENT:
                event = event_of(content)
                if event.kind in ("failed", "stopped"):
                    self._told_end = True
                self._report(event)
            elif kind is Frame.ENDED:
                self._told_end = True
                self._begin_end()

    def _store(self, frames: FrameSocket, content: memoryview) -> None:
        number, records, position, payload = block_of(content)
        try:
            self._buffer.store_block(EncodedRows(records, payload), records, position)
        except (InputFullError, LifecycleError) as error:
            refusal: str | None = str(error)
            if not number:
                self._report(FeedEvent("error", f"{records} records of {self._name} came too late.", error))
        else:
            refusal = None
        if number:
            frames.send_value(Frame.STORED, (number, refusal))

    def _bury(self, frames: FrameSocket) -> None:
        process = self._process
        assert process is not None
        self._begin_end()
        code = process.wait()
        frames.close()
        if self._killed:
            self._report(FeedEvent("error", f"The process of the receiver {self._name} did not end and was killed."))
        elif not self._told_end:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._tell_failure(
                f"The process of the receiver {self._name} died.", f"Process {process.pid} ended with {how}.", None
            )

    def _tell_failure(self, message: str, detail: str, cause: BaseException | None) -> None:
        error = SourceUnavailableError(
            message, detail=detail, hint="Look at what it wrote to the standard error; it is started again."
        )
        error.__cause__ = cause
        self._report(FeedEvent("failed", message, error))

    def _begin_end(self) -> None:
        with self._lock:
            if self._ending:
                return
            self._ending = True
            frames = self._frames
            self._kill_deadline = Deadline(
                self._environment, f"end of {self._name}", 2 * self._limits.stop_s, self._kill
            )
        if frames is not None:
            frames.send(Frame.STOP)

    def _kill(self) -> None:
        with self._lock:
            if self._over:
                return
            self._killed = True
        if self._process is not None:
            self._process.kill()
        if self._frames is not None:
            self._frames.shut()

    def _finish(self) -> None:
        with self._lock:
            self._over = True
            then, self._then = self._then, []
            deadline = self._kill_deadline
        if deadline is not None:
            deadline.cancel()
        for call in then:
            call()

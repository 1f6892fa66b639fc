"""The process of a receiver: started as `python -m millstream.ingest.receiver_process FD PARENT_PID`.

It never imports the user's main module: what the receiver needs comes pickled over the socket whose descriptor
it inherits. It ends with its parent, whatever happens to that.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
from typing import Any

from millstream.environment.environment import Environment
from millstream.errors import ShippingError
from millstream.ingest.block_buffer import BLOCK_MAX_RECORDS, BlockBuffer
from millstream.ingest.block_sender import BlockSender
from millstream.ingest.frame_socket import Frame, FrameSocket, event_content
from millstream.ingest.receiver_session import ReceiverSession
from millstream.ingest.session import SessionLimits
from millstream.model.ports.block_feed import FeedEvent
from millstream.model.ports.receiver import Receiver

_PR_SET_PDEATHSIG = 1
"""Of Linux's <sys/prctl.h>: the signal that this process gets when the thread that started it ends."""


def main(arguments: list[str]) -> int:
    """Run one receiver until it is told to stop; give the exit code."""
    descriptor, parent_pid = int(arguments[0]), int(arguments[1])
    die_with(parent_pid)
    # Why: an interrupt from the keyboard reaches every process of the terminal; the driver decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)
    frames = FrameSocket(socket.socket(fileno=descriptor))
    received = frames.receive()
    if received is None:
        return 1
    _serve(frames, received[1])
    return 0


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies (Linux); elsewhere the socket's end tells it."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def _serve(frames: FrameSocket, content: memoryview) -> None:
    path, packed, limits, rate_per_s = pickle.loads(content)
    sys.path[:] = path

    def report(event: FeedEvent) -> None:
        frames.send(Frame.EVENT, event_content(event))

    receiver = _unpacked(packed, report)
    if receiver is not None:
        _run(receiver, frames, report, limits, rate_per_s)
    frames.send(Frame.ENDED)


def _unpacked(packed: bytes, report: Any) -> Receiver[Any] | None:
    try:
        receiver: Receiver[Any] = pickle.loads(packed)
    except Exception as cause:
        error = ShippingError(
            "The receiver could not be unpacked in its process.",
            detail=f"{type(cause).__name__}: {cause}",
            hint="Modules that it needs must be importable from the path of the main program.",
        )
        error.__cause__ = cause
        report(FeedEvent("failed", error.message, error))
        return None
    return receiver


def _run(
    receiver: Receiver[Any], frames: FrameSocket, report: Any, limits: SessionLimits, rate_per_s: float | None
) -> None:
    environment = Environment()
    buffer: BlockBuffer[Any] = BlockBuffer(environment.clock, name=receiver.name, max_records=BLOCK_MAX_RECORDS)
    buffer.set_rate(rate_per_s)
    sender = BlockSender(frames, buffer, report)
    session = ReceiverSession(receiver, buffer, environment, report, limits, sender.store)
    over = threading.Event()
    environment.start_thread("control", lambda: _obey(frames, buffer, session, sender, over))
    session.when_over(over.set)
    session.start()
    environment.start_thread("blocks", sender.run)
    over.wait()
    buffer.close()
    sender.finish()


def _obey(
    frames: FrameSocket,
    buffer: BlockBuffer[Any],
    session: ReceiverSession,
    sender: BlockSender,
    over: threading.Event,
) -> None:
    """Do what the driver's process says, until it is gone."""
    while (received := frames.receive()) is not None:
        kind, content = received
        if kind is Frame.STORED:
            sender.note_stored(*pickle.loads(content))
        elif kind is Frame.STOP:
            session.end(_nothing)
            buffer.drain()
        elif kind is Frame.RATE:
            buffer.set_rate(pickle.loads(content))
    if not over.is_set():
        # Why so rough: without its driver nothing that the receiver does has a meaning, and it must not linger.
        os._exit(1)


def _nothing() -> None:
    """The end is awaited elsewhere."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

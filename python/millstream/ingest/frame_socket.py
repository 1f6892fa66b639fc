"""Frames over a local socket: how the driver's process and a receiver's process talk."""

from __future__ import annotations

import contextlib
import enum
import pickle
import socket
import struct
import threading
import traceback
from typing import Any

from millstream.model.ports.block_feed import FeedEvent

PICKLE_PROTOCOL = 5

_HEADER = struct.Struct("!BQ")
_BLOCK = struct.Struct("!QQQ")

CAUSES_MAX = 20
"""Links of a chain of causes that travel with an exception."""


class Frame(enum.IntEnum):
    """What a frame says.

    To the receiver's process: `RUN` (path, receiver, limits, rate), `STOP`, `RATE`, `STORED` (the number of a block,
    and None or why it was refused). From it: `EVENT`, `BLOCK`, and `ENDED`, the last one.
    """

    RUN = 1
    STOP = 2
    RATE = 3
    STORED = 4
    EVENT = 5
    BLOCK = 6
    ENDED = 7


class FrameSocket:
    """Sends and receives frames: one byte of kind, eight of length, the content.

    Any thread may send; one thread receives. Waiting and copying into place happen without the GIL.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, kind: Frame, content: bytes = b"") -> bool:
        """Send one frame, waiting while the other side does not read; False when it is gone."""
        return self._send(kind, (content,))

    def send_value(self, kind: Frame, value: Any) -> bool:
        """Send a frame that holds one pickled value."""
        return self.send(kind, pickle.dumps(value, PICKLE_PROTOCOL))

    def send_block(self, number: int, records: int, position: Any, payload: bytes) -> bool:
        """Send a block of encoded records.

        Args:
            number: asks for a `STORED` with the same number; 0: for none.
            records: how many.
            position: where the sender stood, or None.
            payload: the encoded records.
        """
        place = pickle.dumps(position, PICKLE_PROTOCOL)
        return self._send(Frame.BLOCK, (_BLOCK.pack(number, records, len(place)), place, payload))

    def receive(self) -> tuple[Frame, memoryview] | None:
        """Wait for the next frame; None when the other side is gone."""
        header = self._read(_HEADER.size)
        if header is None:
            return None
        kind, size = _HEADER.unpack(header)
        content = self._read(size)
        return None if content is None else (Frame(kind), content)

    def shut(self) -> None:
        """End both directions: who waits in `receive`, here or there, gets None."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the socket."""
        self._connection.close()

    def _send(self, kind: Frame, parts: tuple[bytes, ...]) -> bool:
        try:
            with self._sending:
                self._connection.sendall(_HEADER.pack(kind, sum(map(len, parts))) + parts[0])
                for part in parts[1:]:
                    self._connection.sendall(part)
        except OSError:
            return False
        return True

    def _read(self, size: int) -> memoryview | None:
        content = memoryview(bytearray(size))
        got = 0
        while got < size:
            try:
                count = self._connection.recv_into(content[got:])
            except OSError:
                return None
            if count == 0:
                return None
            got += count
        return content


def block_of(content: memoryview) -> tuple[int, int, Any, memoryview]:
    """Take a `BLOCK` apart into number, count of records, position and payload."""
    number, records, place_size = _BLOCK.unpack_from(content)
    place_end = _BLOCK.size + place_size
    return number, records, pickle.loads(content[_BLOCK.size : place_end]), content[place_end:]


def event_content(event: FeedEvent) -> bytes:
    """Encode an event; an exception keeps its causes, and its traceback as a note."""
    chain: list[bytes] = []
    error = event.error
    while error is not None and len(chain) < CAUSES_MAX:
        chain.append(_portable(error))
        error = error.__cause__
    return pickle.dumps((event.kind, event.message, chain, event.delay_s), PICKLE_PROTOCOL)


def event_of(content: memoryview) -> FeedEvent:
    """Decode an event."""
    kind, message, chain, delay_s = pickle.loads(content)
    error: BaseException | None = None
    for link in reversed(chain):
        cause, error = error, pickle.loads(link)
        if error is not None:
            error.__cause__ = cause
    return FeedEvent(kind, message, error, delay_s)


def _portable(error: BaseException) -> bytes:
    """Pickle an exception; one that cannot be carried over becomes a RuntimeError with its text."""
    if error.__traceback__ is not None:
        lines = "".join(traceback.format_tb(error.__traceback__))
        error.add_note(f"In the receiver's process:\n{lines}")
    try:
        content = pickle.dumps(error, PICKLE_PROTOCOL)
        pickle.loads(content)
    except Exception:
        stand_in = RuntimeError(f"{type(error).__name__}: {error}")
        stand_in.__notes__ = list(getattr(error, "__notes__", ()))
        content = pickle.dumps(stand_in, PICKLE_PROTOCOL)
    return content

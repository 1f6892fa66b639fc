"""The wire: whole messages between driver and worker over a local stream socket.

A message is a row of parts, each a run of bytes. On the wire it is a header (the number of parts, then the
length of each), then the parts, every one starting at a multiple of 16 bytes, so that Arrow and NumPy can use
them where they lie. The first part of a message says what it is; parts after it are buffers that were
pickled out of band and are never copied on the sender's side.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Sequence
from typing import TypeAlias

Part: TypeAlias = bytes | bytearray | memoryview

_COUNT = struct.Struct("<Q")
_ALIGNMENT_BYTES = 16
_PADDING = [bytes(size) for size in range(_ALIGNMENT_BYTES)]
_READ_BYTES = 65_536
"""A first read takes most messages whole: a batch's commands and small results are a few KB."""
_SCATTER_MAX = 512
"""Runs of bytes in one call to the kernel; IOV_MAX is 1,024 on Linux and macOS."""


class WireClosedError(EOFError):
    """The other end is gone."""


class Wire:
    """One end of a connection.

    Every wait is a poll: polars has SIGINT restart what it interrupts, and a poll is never restarted, so Ctrl-C
    reaches a driver that waits for a worker.

    Args:
        connection: a connected stream socket in blocking mode; the wire owns it from here on.

    Example:
        >>> here, there = (Wire(end) for end in socket.socketpair())
        >>> here.send([b"run", b"data"])
        >>> [bytes(part) for part in there.receive()]
        [b'run', b'data']
        >>> here.close(); there.close()
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unread = b""
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(connection, select.POLLIN)
        self._writable.register(connection, select.POLLOUT)

    def fileno(self) -> int:
        """Give the descriptor, for waiting on it."""
        return self._socket.fileno()

    def send(self, parts: Sequence[Part]) -> None:
        """Send one message; blocks until the kernel has taken it all.

        Raises:
            WireClosedError: the other end is gone; how much it got is unknown.
        """
        lengths = [len(part) for part in parts]
        runs: list[Part] = [struct.pack(f"<{len(parts) + 1}Q", len(parts), *lengths)]
        room = -len(runs[0]) % _ALIGNMENT_BYTES
        for part, length in zip(parts, lengths, strict=True):
            if room:
                runs.append(_PADDING[room])
            runs.append(part)
            room = -length % _ALIGNMENT_BYTES
        total = sum(map(len, runs))
        try:
            sent = self._send_some(runs[:_SCATTER_MAX])
            if sent < total:
                self._send_rest(runs, sent)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise WireClosedError("The other end closed the connection.") from error

    def _send_some(self, runs: Sequence[Part]) -> int:
        try:
            return self._socket.sendmsg(runs, (), socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._writable.poll()
            return 0

    def _send_rest(self, runs: list[Part], sent: int) -> None:
        first = 0
        while True:
            while first < len(runs) and sent >= len(runs[first]):
                sent -= len(runs[first])
                first += 1
            if first == len(runs):
                return
            if sent:
                runs[first] = memoryview(runs[first])[sent:]
            sent = self._send_some(runs[first : first + _SCATTER_MAX])

    def receive(self) -> list[memoryview]:
        """Wait for one message and give its parts, which share one stretch of memory.

        Raises:
            WireClosedError: the other end is gone, perhaps in the middle of a message.
        """
        read = self._unread or self._read()
        while len(read) < _COUNT.size:
            read += self._read()
        (count,) = _COUNT.unpack_from(read)
        header_bytes = _COUNT.size * (count + 1)
        while len(read) < header_bytes:
            read += self._read()
        lengths = struct.unpack_from(f"<{count}Q", read, _COUNT.size)
        starts = []
        end = header_bytes
        for length in lengths:
            start = end + -end % _ALIGNMENT_BYTES
            starts.append(start)
            end = start + length
        if len(read) >= end:
            # Buffers become arrays that code may write into, as it may in the process that made them.
            whole = memoryview(bytearray(read)) if count > 1 else memoryview(read)
            self._unread = read[end:] if len(read) > end else b""
        else:
            whole = self._read_until(read, end)
            self._unread = b""
        return [whole[start : start + length] for start, length in zip(starts, lengths, strict=True)]

    def has_message(self, timeout_ms: int = 0) -> bool:
        """Tell whether something can be received, perhaps the end of the connection; waits for it up to a limit."""
        return bool(self._unread) or bool(self._readable.poll(timeout_ms))

    def close(self) -> None:
        """Close this end. Safe to call twice."""
        self._socket.close()

    def _read(self) -> bytes:
        self._readable.poll()
        try:
            read = self._socket.recv(_READ_BYTES)
        except ConnectionResetError as error:
            raise WireClosedError("The other end closed the connection.") from error
        if not read:
            raise WireClosedError("The other end closed the connection.")
        return read

    def _read_until(self, read: bytes, end: int) -> memoryview:
        whole = memoryview(bytearray(end))
        have = len(read)
        whole[:have] = read
        while have < end:
            self._readable.poll()
            try:
                count = self._socket.recv_into(whole[have:])
            except ConnectionResetError as error:
                raise WireClosedError("The other end closed the connection.") from error
            if not count:
                raise WireClosedError("The other end closed the connection in the middle of a message.")
            have += count
        return whole

"""A way to a broker that breaks where a test wants it to."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Literal, TypeAlias

Loss: TypeAlias = Literal["request", "answer"]
"""What the line loses: the request, so that the broker never hears of it, or the answer to it."""

END_TXN = 26
"""The number of the request that ends a transaction."""


class KafkaLine:
    """Passes requests and answers between clients and one broker. Clients are told its port for the broker's.

    Args:
        port: of the broker.

    Attributes:
        servers: what clients connect to.
        lost: set when something was lost.
    """

    def __init__(self, port: int) -> None:
        self._broker_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port: int = self._listener.getsockname()[1]
        self.servers = f"127.0.0.1:{self._port}"
        self.lost = threading.Event()
        self._wanted: tuple[int, Loss, bool] | None = None
        self._held: tuple[int, float] | None = None
        self._released = threading.Event()
        self._is_down = self._stays_down = False
        self._answer_lost: socket.socket | None = None
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, loss: Loss, *, request: int = END_TXN, stay_down: bool = True) -> None:
        """Lose the next request of a kind, or its answer, and all connections with it.

        Args:
            loss: which of the two.
            request: number of the request.
            stay_down: nobody gets through until `mend`.
        """
        self._wanted = (request, loss, stay_down)

    def hold(self, seconds: float, *, request: int = END_TXN) -> None:
        """Pass requests of a kind on only when so much time is over, or with `release`."""
        self._released.clear()
        self._held = (request, time.monotonic() + seconds)

    def release(self) -> None:
        """Pass on what is held."""
        self._held = None
        self._released.set()

    def mend(self) -> None:
        """Let clients through again."""
        self._is_down = False

    def close(self) -> None:
        """Let go of everything."""
        self._listener.close()
        self._cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_down:
                client.close()
                continue
            broker = socket.create_connection(("127.0.0.1", self._broker_port))
            self._ends |= {client, broker}
            threading.Thread(target=self._requests, args=(client, broker), daemon=True).start()
            threading.Thread(target=self._answers, args=(client, broker), daemon=True).start()

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        while frame := _frame(client):
            wanted = self._wanted
            if wanted is not None and _kind(frame) == wanted[0]:
                self._wanted = None
                self._stays_down = wanted[2]
                self._is_down = True
                if wanted[1] == "answer":
                    # The broker has done it when it answers; the other thread waits for that.
                    self._answer_lost = broker
                    _send(broker, frame)
                else:
                    self._lose()
                continue
            held = self._held
            if held is not None and _kind(frame) == held[0]:
                self._released.wait(max(0.0, held[1] - time.monotonic()))
            _send(broker, frame)
        _close(broker)

    def _answers(self, client: socket.socket, broker: socket.socket) -> None:
        true, told = (b"127.0.0.1" + struct.pack(">i", port) for port in (self._broker_port, self._port))
        while frame := _frame(broker):
            if self._answer_lost is broker:
                self._lose()
            elif not self._is_down:
                _send(client, frame.replace(true, told))
        _close(client)

    def _lose(self) -> None:
        self._answer_lost = None
        self._cut()
        self._is_down = self._stays_down
        self.lost.set()

    def _cut(self) -> None:
        for end in list(self._ends):
            _close(end)
        self._ends.clear()


def _kind(request: bytes) -> int:
    """Give the number of a request."""
    return int(struct.unpack_from(">h", request, 4)[0])


def _frame(end: socket.socket) -> bytes:
    """Receive a request or an answer whole; nothing at the end."""
    try:
        head = _exactly(end, 4)
        return head + _exactly(end, struct.unpack(">i", head)[0]) if head else b""
    except OSError:
        return b""


def _exactly(end: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        piece = end.recv(size - len(found))
        if not piece:
            return b""
        found += piece
    return bytes(found)


def _send(end: socket.socket, frame: bytes) -> None:
    with contextlib.suppress(OSError):
        end.sendall(frame)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Why not close: the other thread waits for this end to say something.
        end.shutdown(socket.SHUT_RDWR)

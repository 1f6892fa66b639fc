"""A way to a server that breaks where a test wants it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Literal, TypeAlias

Break: TypeAlias = Literal["before", "after"]
"""`before` the server hears of what is looked for, or `after` it has answered, which the client then never hears."""

PIECE_BYTES = 1 << 16


class BrokenLine:
    """Passes bytes between clients and a server, until a client says what `break_at` names.

    Example: `line.break_at(b"COMMIT", "after")`.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.broken = threading.Event()
        self._wanted: tuple[bytes, Break] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def break_at(self, said: bytes, where: Break) -> None:
        """Break the connection on which a client says this next, once."""
        self._wanted = (said, where)

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            lost = threading.Event()
            threading.Thread(target=self._to_server, args=(client, server, lost), daemon=True).start()
            threading.Thread(target=self._to_client, args=(client, server, lost), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        while piece := _received(client):
            wanted = self._wanted
            if wanted is not None and wanted[0] in piece:
                self._wanted = None
                lost.set()
                if wanted[1] == "before":
                    self._cut(client, server)
                    return
            _send(server, piece)
        _send(server, b"")

    def _to_client(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        while piece := _received(server):
            if lost.is_set():
                self._cut(client, server)
                return
            _send(client, piece)
        _send(client, b"")

    def _cut(self, client: socket.socket, server: socket.socket) -> None:
        for end in (client, server):
            with contextlib.suppress(OSError):
                # Why not close: the other thread waits for this end to say something.
                end.shutdown(socket.SHUT_RDWR)
        self.broken.set()


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(PIECE_BYTES)
    except OSError:
        return b""


def _send(end: socket.socket, piece: bytes) -> None:
    """Pass bytes on, or the end of them."""
    with contextlib.suppress(OSError):
        if piece:
            end.sendall(piece)
        else:
            end.shutdown(socket.SHUT_RDWR)

"""A receiver of lines over TCP, written as a user would write it, and the server that it connects to."""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import threading

from millstream.model.ports.receiver import Receiver

WAIT_S = 60.0


class LineReceiver(Receiver[str]):
    name = "lines"

    def __init__(self, port: int, *, whole_blocks: bool = False) -> None:
        self._port = port
        self._whole_blocks = whole_blocks

    def on_start(self) -> None:
        self._connection = socket.create_connection(("127.0.0.1", self._port), timeout=WAIT_S)
        self._connection.settimeout(None)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def on_stop(self) -> None:
        if hasattr(self, "_thread"):
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._connection.close()
            del self._thread

    def _receive(self) -> None:
        with self._connection.makefile(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                if self.is_stopped():
                    return
                if self._whole_blocks:
                    self.store_many([line.rstrip("\n")], position=number)
                else:
                    self.store(line.rstrip("\n"))


class LineServer:
    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepted: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def send(self, lines: list[str]) -> None:
        self.send_bytes("".join(f"{line}\n" for line in lines).encode())

    def send_bytes(self, data: bytes) -> None:
        if self._connection is None or self._gone(self._connection):
            self._connection = self._accepted.get(timeout=WAIT_S)
        self._connection.sendall(data)

    def hang_up(self) -> None:
        if self._connection is None:
            self._connection = self._accepted.get(timeout=WAIT_S)
        self._connection.close()
        self._connection = None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(WAIT_S)
        if self._connection is not None:
            self._connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._accepted.put(connection)

    @staticmethod
    def _gone(connection: socket.socket) -> bool:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""

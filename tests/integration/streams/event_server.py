"""Services for tests that send events and messages to those who connect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any, Self

WAIT_S = 30.0

HANG_UP = b""
"""What ends an answer."""


class EventServer:
    """Sends events numbered from 1, from behind the one that the client names; hangs up when the test says."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[dict[str, str]] = SimpleQueue()
        self.answers: list[tuple[int, str]] = []
        self._connections: SimpleQueue[SimpleQueue[bytes]] = SimpleQueue()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.put({name.lower(): value for name, value in self.headers.items()})
                status, media_type = server.answers.pop(0) if server.answers else (200, "text/event-stream")
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.end_headers()
                if status != 200:
                    return
                pieces: SimpleQueue[bytes] = SimpleQueue()
                server._connections.put(pieces)
                while (piece := pieces.get()) != HANG_UP:
                    self.wfile.write(piece)
                    self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/events?key=k1"

    def connection(self) -> Callable[[bytes], None]:
        """Wait for a client, and give what sends it a piece."""
        return self._connections.get(timeout=WAIT_S).put

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def event(number: int) -> bytes:
    return f"id: {number}\nevent: tick\ndata: {number}\n\n".encode()

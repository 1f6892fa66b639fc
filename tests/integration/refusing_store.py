"""An object store that refuses, or is out of order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class RefusingStore:
    """Answers every request with one status, and echoes what it got, as some stores do."""

    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code
        self.requests = 0
        store = self

        class Answer(BaseHTTPRequestHandler):
            def answer(self) -> None:
                store.requests += 1
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                said = f"<Error><Code>{store.code}</Code><Message>{self.headers} {self.path}</Message></Error>".encode()
                self.send_response(store.status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_PUT = do_DELETE = do_POST = do_HEAD = answer  # noqa: N815 - the names that the library calls.

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[RefusingStore]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

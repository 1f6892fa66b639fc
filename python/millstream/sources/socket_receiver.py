"""Records that a program's own decoder finds in what a TCP server sends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, TypeVar

from millstream.environment.environment import start_thread
from millstream.errors import SourceUnavailableError, UserCodeError, shown
from millstream.model.ports.receiver import Receiver
from millstream.sources.server_address import check_address

T = TypeVar("T")

CONNECT_TIMEOUT_S = 4.0
"""How long a server may take to accept, and a thread to end: less than the engine waits for the end of a receiver."""


class SocketReceiver(Receiver[T]):
    """Connects to a TCP server, and stores what a decoder finds in the bytes that come.

    A connection that ends or breaks, that cannot be made, or in which the decoder raised, is reported as a failure;
    the engine starts the receiver again, for ever, after pauses that double from 0.1 to 10 seconds. What the server
    sent while nobody was connected is lost. While batches are slower than the server, the socket is not read, so that
    TCP slows the server.

    Args:
        host: name or address of the server; looked up for each connection.
        port: its port, 1 to 65,535.
        decoder: given a binary stream like an open file, gives the records: a generator, usually. Called once for
            each connection, in a thread; `stream.read(n)` and `stream.readline()` wait for bytes and give fewer, or
            none, when the connection has ended. When it returns, the connection is closed and made again.

    Raises:
        ConfigurationError: host or port cannot work.
    """

    def __init__(self, host: str, port: int, decoder: Callable[[BinaryIO], Iterable[T]]) -> None:
        check_address(host, port)
        self.host = host
        self.port = port
        self.name = f"socket {host}:{port}"
        self._decoder = decoder
        self._connection: _Connection | None = None
        self._thread: threading.Thread | None = None  # noqa: TID251 - only its type

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connection": None, "_thread": None, "_host": None}

    def on_start(self) -> None:
        connection = _Connection(self.host, self.port)
        self._connection = connection
        self._thread = start_thread(self.name, lambda: self._receive(connection))

    def on_stop(self) -> None:
        connection, self._connection = self._connection, None
        thread, self._thread = self._thread, None
        if connection is not None:
            connection.close()
        if thread is not None and thread is not threading.current_thread():
            # Why with a limit: a look-up of a name cannot be woken. Its connection is closed and stores nothing.
            thread.join(CONNECT_TIMEOUT_S)

    def _receive(self, connection: _Connection) -> None:
        try:
            with connection.opened() as stream:
                self._store_all(connection, stream)
        except (UserCodeError, SourceUnavailableError) as error:
            self._lost(connection, error)
        except OSError as error:
            self._lost(connection, self._broken(connection, error))
        else:
            self._lost(connection, self._ended())

    def _store_all(self, connection: _Connection, stream: BinaryIO) -> None:
        try:
            for record in self._decoder(stream):
                if connection.closed:
                    return
                self.store(record)
        except (OSError, SourceUnavailableError):
            raise
        except BaseException as error:  # Why not only Exception: SystemExit would end the thread without a word.
            if connection.closed:
                return
            raise UserCodeError(
                f"The decoder of {self.name} raised {type(error).__name__}: {error}",
                operator="socket_stream",
                detail=f"{getattr(self._decoder, '__qualname__', shown(self._decoder))}, in a connection to "
                f"{self.host}:{self.port}. The connection is made again.",
                hint="The traceback of the cause shows the line.",
            ) from error

    def _lost(self, connection: _Connection, error: SourceUnavailableError | UserCodeError) -> None:
        if not connection.closed:
            self.restart(error.message, error)

    def _broken(self, connection: _Connection, error: OSError) -> SourceUnavailableError:
        what = "lost its connection" if connection.made else "could not connect"
        unavailable = SourceUnavailableError(
            f"{self.name} {what}.",
            detail=f"{self.host}:{self.port}: {error.strerror or error or type(error).__name__}.",
            hint="Check that the server runs and that host and port are right; the connection is tried again.",
        )
        unavailable.__cause__ = error
        return unavailable

    def _ended(self) -> SourceUnavailableError:
        return SourceUnavailableError(
            f"The connection of {self.name} has ended.",
            detail=f"The server at {self.host}:{self.port} closed it, or the decoder returned.",
            hint="The connection is made again; if the server is done, stop the stream.",
        )


class _Connection:
    """One connection, which another thread may close at any time, also while it is being made."""

    def __init__(self, host: str, port: int) -> None:
        self.closed = False
        self.made = False
        self._address = (host, port)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def opened(self) -> BinaryIO:
        """Connect, and give the bytes that come.

        Raises:
            OSError: nobody answers, or it was closed meanwhile.
        """
        host, port = self._address
        failure: OSError = ConnectionAbortedError("the name stands for no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            attempt = socket.socket(family, kind, protocol)
            with self._lock:
                if self.closed:
                    attempt.close()
                    raise ConnectionAbortedError("closed")
                self._socket = attempt
            try:
                attempt.settimeout(CONNECT_TIMEOUT_S)
                attempt.connect(address)
                attempt.settimeout(None)
            except OSError as error:
                attempt.close()
                failure = error
                continue
            self.made = True
            stream = attempt.makefile("rb")
            # Why already: the stream keeps the connection open until it is closed itself.
            attempt.close()
            return stream
        raise failure

    def close(self) -> None:
        """Close it and wake whoever waits for it."""
        with self._lock:
            self.closed = True
            if self._socket is not None:
                # Why not closed too: its number could be another file's before the other thread wakes.
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

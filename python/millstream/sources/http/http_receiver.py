"""Records that are posted to a server of ours."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from millstream.environment.environment import Environment
from millstream.environment.logger import logger
from millstream.environment.optional_package import optional_package
from millstream.errors import ConfigurationError, ShippingError, SourceUnavailableError, shown
from millstream.model.ports.receiver import Receiver
from millstream.sources.http.bearer_tokens import BearerTokens
from millstream.sources.http.body_decoder import body_decoder
from millstream.sources.http.post_endpoint import PostEndpoint
from millstream.sources.http.refusal_reports import RefusalReports
from millstream.sources.http.server_certificate import ServerCertificate

T = TypeVar("T")

STORING_THREADS = 16
"""Bodies that are decoded or wait for disk or room at once: those that wait for the disk share one sync."""

CONNECTIONS_MAX = 1_000
BACKLOG = 1_024
KEEP_ALIVE_S = 30
STOP_S = 3
"""How long requests that are under way may take to end: less than the engine waits for the end of a receiver."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one sender can take from the others.

    Attributes:
        max_body_bytes: the largest body.
        body_timeout_s: how long a body may take to arrive.
        max_wait_s: how long a body waits for room before its sender is told to come again.
        max_requests: how many bodies may be under way at once.
    """

    max_body_bytes: int = 8_388_608
    body_timeout_s: float = 30.0
    max_wait_s: float = 1.0
    max_requests: int = 64


class HttpReceiver(Receiver[T]):
    """Serves HTTP, and stores the records of each body that is posted.

    A body is answered 202 when its records are stored: durable, in a program with a checkpoint. One that cannot be
    taken now is answered 503 with Retry-After, and everything else that is wrong with it by the status that says so;
    nothing of it is stored then.

    Args:
        host: address to listen on; `0.0.0.0` for all.
        port: 0 to 65,535; 0: one that is free.
        environment: clock and threads.
        path: where bodies are posted.
        token: one secret, or several, of which each request has to show one; None: every request is taken.
        format: `json`, `lines` or `bytes`.
        decoder: makes records of a body instead.
        limits: of what is taken.
        health_path: answered 200 to anybody; None: there is none.
        certificate: file of the certificate chain, for TLS; None: plain HTTP.
        key: file of its private key; None: it is in the same file.

    Raises:
        ConfigurationError: an argument cannot work, a file is missing, or `millstream[http]` is not installed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        environment: Environment,
        *,
        path: str = "/",
        token: str | Iterable[str] | None = None,
        format: str = "json",
        decoder: Callable[[bytes], Iterable[T]] | None = None,
        limits: HttpLimits | None = None,
        health_path: str | None = "/health",
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> None:
        _check_address(host, port)
        for given, argument in ((path, "path"), (health_path, "health_path")):
            if given is not None and not (isinstance(given, str) and given.startswith("/")):
                raise ConfigurationError(
                    f"{argument} is no path.", detail=f"{argument}={shown(given)}.", hint='Give one such as "/orders".'
                )
        self._uvicorn: Any = optional_package("uvicorn", extra="http", needed_by="http_stream")
        optional_package("httptools", extra="http", needed_by="http_stream")
        self._certificate = ServerCertificate(certificate, key) if certificate is not None or key is not None else None
        self.host = host
        self.name = f"http {host}:{port}{path}"
        self._port = port
        self._path = path
        self._health_path = health_path
        self._tokens = BearerTokens(token)
        self._decoder = body_decoder(format, decoder)
        self._limits = limits if limits is not None else HttpLimits()
        self._environment = environment
        self._run: _ServerRun | None = None
        self._listening = threading.Event()

    def __reduce__(self) -> NoReturn:
        raise ShippingError(
            "An HTTP receiver cannot be sent to another process.",
            detail=f"{self.name} listens in the process of the driver.",
            hint="Leave process= out.",
        )

    def url(self, timeout_s: float) -> str:
        """Wait until the server listens, and give where bodies are posted.

        Raises:
            SourceUnavailableError: it does not listen in time.
        """
        if not self._listening.wait(timeout_s):
            raise SourceUnavailableError(
                f"{self.name} does not listen yet.",
                detail=f"It was waited for {timeout_s:g} s.",
                hint="Start the context first; the log of millstream says why a server cannot listen.",
            )
        scheme = "http" if self._certificate is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self._port}{self._path}"

    def on_start(self) -> None:
        try:
            self._serve()
        except SourceUnavailableError as error:
            self.restart(error.message, error)

    def _serve(self) -> None:
        listener = self._opened()
        # Why kept: after a restart senders should find it at the same place.
        self._port = listener.getsockname()[1]
        self.name = f"http {self.host}:{self._port}{self._path}"
        if not self._tokens.needed and self.host not in ("127.0.0.1", "::1", "localhost"):
            logger.warning("%s takes records from anybody who can reach it: give http_stream a token=.", self.name)
        executor = ThreadPoolExecutor(STORING_THREADS, thread_name_prefix=self.name)
        run = self._run = _ServerRun(self._server(self._endpoint(executor)), listener, executor)
        self._environment.start_thread(self.name, lambda: run.serve(self._ended))
        run.wait_until_started()
        self._listening.set()

    def on_stop(self) -> None:
        self._listening.clear()
        run, self._run = self._run, None
        if run is not None:
            run.stop()

    def _ended(self, error: BaseException | None) -> None:
        if not self.is_stopped():
            self.restart(f"The server of {self.name} has ended.", error)

    def _opened(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # Why with its protocol: asyncio sends answers without delay only on connections that are known to be TCP.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self._port))
            listener.listen(BACKLOG)
            return listener
        except OSError as error:
            listener.close()
            taken = error.errno == errno.EADDRINUSE
            raise SourceUnavailableError(
                f"{self.name} cannot listen: {'the port is taken' if taken else error.strerror or error}.",
                detail=f"{self.host}:{self._port}. It is tried again, so senders are refused until then.",
                hint="Stop the other server, or give another port=; port=0 takes one that is free."
                if taken
                else "Give a host= that is an address of this machine, such as 127.0.0.1 or 0.0.0.0.",
            ) from error

    def _endpoint(self, executor: ThreadPoolExecutor) -> PostEndpoint:
        limits = self._limits
        reports = RefusalReports(self.name, self._environment.clock, self.report_error)
        return PostEndpoint(
            path=self._path,
            health_path=self._health_path,
            tokens=self._tokens,
            decoder=self._decoder,
            store=self.store_many,
            max_body_bytes=limits.max_body_bytes,
            body_timeout_s=limits.body_timeout_s,
            max_requests=limits.max_requests,
            retry_after_s=max(1, math.ceil(limits.max_wait_s)),
            executor=executor,
            refused=reports.add,
            failed=self.report_error,
        )

    def _server(self, endpoint: PostEndpoint) -> Any:
        # Why: without it what the server warns of would go to standard error, where nobody has set logging up.
        logging.getLogger("uvicorn").addHandler(logging.NullHandler())
        config = self._uvicorn.Config(
            endpoint,
            http="httptools",
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_S,
            **({} if self._certificate is None else self._certificate.arguments()),
        )
        return self._uvicorn.Server(config)


class _ServerRun:
    """One life of the server, in a thread of its own."""

    def __init__(self, server: Any, listener: socket.socket, executor: ThreadPoolExecutor) -> None:
        self._server = server
        self._listener = listener
        self._executor = executor
        self._over = threading.Event()
        self._started = threading.Event()
        self._failure: BaseException | None = None

    def serve(self, ended: Callable[[BaseException | None], None]) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # Why not only Exception: SystemExit would end the thread without a word.
            self._failure = error
        finally:
            self._listener.close()
            self._executor.shutdown(wait=False)
            self._over.set()
            started = self._started.is_set()
            self._started.set()
        if started:
            ended(self._failure)

    async def _serve(self) -> None:
        serving = asyncio.ensure_future(self._server.serve(sockets=[self._listener]))
        # Why not wait for a sign: the server gives none, and is ready after its first turns of the loop.
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.001)
        self._started.set()
        await serving

    def wait_until_started(self) -> None:
        """Return when it listens.

        Raises:
            SourceUnavailableError: it could not start.
        """
        self._started.wait()
        if self._failure is not None:
            raise SourceUnavailableError(
                "The HTTP server could not start.", detail=f"{self._failure}", hint="It is tried again."
            ) from self._failure

    def stop(self) -> None:
        """Take no more requests, and return when those under way have ended, or their time is over."""
        self._server.should_exit = True
        self._over.wait(STOP_S + 1)


def _check_address(host: Any, port: Any) -> None:
    if not isinstance(host, str) or not host:
        raise ConfigurationError(
            "http_stream needs an address to listen on.",
            detail=f"host={shown(host)}.",
            hint='Give one such as "127.0.0.1", or "0.0.0.0" for all of this machine.',
        )
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65_535:
        raise ConfigurationError(
            "http_stream needs a port.",
            detail=f"port={shown(port)}.",
            hint="Give a whole number, 1 to 65535, or 0 for one that is free.",
        )

"""A stream of what is sent to a server of this program."""

from __future__ import annotations

from typing import Protocol

from millstream.graph.node import Node
from millstream.model.durations import Duration, duration_ms
from millstream.stream.core import T_co
from millstream.stream.dstream import DStream
from millstream.stream.program import Program


class Server(Protocol):
    """What listens."""

    def url(self, timeout_s: float) -> str: ...


class ServedStream(DStream[T_co]):
    """A stream whose records are sent to a server in this process."""

    __slots__ = ("_server",)

    def __init__(self, node: Node, program: Program, server: Server) -> None:
        super().__init__(node, program)
        self._server = server

    def url(self, timeout: Duration = 10.0) -> str:
        """Wait until the server listens, which it does soon after the context has started, and give its address.

        Args:
            timeout: the longest wait, seconds or timedelta.

        Raises:
            SourceUnavailableError: it does not listen in time.
        """
        return self._server.url(duration_ms(timeout, "timeout") / 1000.0)

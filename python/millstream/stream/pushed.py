"""A stream into which the program pushes records itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from millstream.graph.node import Node
from millstream.stream.core import T_co
from millstream.stream.dstream import DStream
from millstream.stream.program import Program


class Pushable(Protocol):
    """What takes the records."""

    def push(self, record: Any) -> None: ...
    def push_many(self, records: Iterable[Any]) -> None: ...


class PushedStream(DStream[T_co]):
    """A stream with `push` and `push_many`, which any thread may call.

    Attributes:
        push: hands over one record; blocks or raises when too many wait, as the stream was made.
        push_many: hands over records that stay together.
    """

    __slots__ = ("push", "push_many")

    def __init__(self, node: Node, program: Program, feed: Pushable) -> None:
        super().__init__(node, program)
        # Why bound methods as attributes: a push is then one call, and there are 100,000 of them a second.
        self.push = feed.push
        self.push_many = feed.push_many

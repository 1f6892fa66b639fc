"""The one way in: what every method that makes a stream goes through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from millstream.environment.environment import Environment
from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.graph.inputs import FeedInput, InputNode, SourceInput
from millstream.model.label import Label
from millstream.model.ports.block_feed import BlockFeed
from millstream.model.ports.replayable_source import ReplayableSource
from millstream.rdd.arguments import whole_number
from millstream.stream.dstream import DStream
from millstream.stream.program import Program


class SourceCore:
    """Adds inputs to a program.

    Args:
        program: the program that the streams belong to.
        environment: gives receivers their threads.
    """

    def __init__(self, program: Program, environment: Environment) -> None:
        self.program = program
        self._environment = environment

    def _add_input(self, make: Callable[[str, Label], InputNode], at: Label) -> DStream[Any]:
        graph = self.program.graph
        node = make(graph.input_name(at), at)
        graph.add(node)
        return DStream(node, self.program)

    def _stream(self, source: Any, at: Label, limit: int | None = None, *, limit_name: str = "limit") -> DStream[Any]:
        interval_ms = self.program.interval_ms
        if limit is not None:
            whole_number(limit, at.operator, limit_name, least=1)
        if isinstance(source, ReplayableSource):
            return self._add_input(lambda name, label: SourceInput(name, interval_ms, source, limit, label), at)
        if isinstance(source, BlockFeed):
            if limit is not None:
                raise ConfigurationError(
                    f"{at.operator} cannot limit the batches of an input that gets its records pushed.",
                    detail=f"{limit_name}={limit} for {source.name}.",
                    hint="Limit its rate, with max_records_per_s= or set_rate.",
                )
            return self._add_input(lambda name, label: FeedInput(name, interval_ms, source, label), at)
        raise ArgumentTypeError(
            f"{at.operator} needs a source.",
            detail=f"It was given {shown(source)} of type {type(source).__name__}.",
            hint="Implement millstream.ReplayableSource, or hand a millstream.Receiver to receiver_stream.",
        )

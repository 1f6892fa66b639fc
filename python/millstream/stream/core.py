"""The core that every group of stream methods builds on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from millstream.errors import ArgumentTypeError, GraphError
from millstream.graph.node import Node
from millstream.model.arity import refuse_coroutine
from millstream.model.label import Label
from millstream.rdd.core import label
from millstream.rdd.operations import Operation
from millstream.rdd.partitioner import KeyGroups, partitions_checked
from millstream.stream.program import Program

if TYPE_CHECKING:
    from millstream.stream.dstream import DStream

T_co = TypeVar("T_co", covariant=True)


class StreamCore(Generic[T_co]):
    """A stream: one node of the graph of a program.

    Args:
        node: the node whose batches these are.
        program: the program that the node belongs to.
    """

    __slots__ = ("node", "program")

    def __init__(self, node: Node, program: Program) -> None:
        self.node = node
        self.program = program

    def add(self, node: Node) -> DStream[Any]:
        """Add a node to the program and give its stream."""
        from millstream.stream.dstream import DStream

        self.program.graph.add(node)
        return DStream(node, self.program)

    def narrow(self, operation: Operation) -> DStream[Any]:
        """Add a narrow operation."""
        from millstream.graph.narrow import NarrowNode

        return self.add(NarrowNode(self.node, operation))

    def key_groups(self, partitions: int | None) -> KeyGroups:
        """Give the partitioner of a shuffle by key."""
        return KeyGroups(partitions_checked(partitions, self.program.default_partitions))

    def of_this_program(self, other: StreamCore[Any], at: Label) -> Node:
        """Give the node of another stream of the same program."""
        if not isinstance(other, StreamCore):
            raise ArgumentTypeError(
                f"{at.operator} needs a stream.",
                detail=f"It was given {other!r} of type {type(other).__name__}.",
                hint="Inside transform(f), join with an RDD; streams join with streams.",
            )
        if other.program is not self.program:
            raise GraphError(
                f"{at.operator} was given a stream of another context.",
                detail=f"At {at.site}.",
                hint="Make both streams from the same StreamingContext.",
            )
        return other.node

    def __repr__(self) -> str:
        return f"<DStream {self.node.id} of {self.node.label.site}>"


def labelled(operator: str, f: Callable[..., Any] | None = None, name: str | None = None) -> Label:
    """Label an operator with the user's call, after a check of its function.

    Raises:
        ArgumentTypeError: `f` cannot be called.
        GraphError: `f` is a coroutine function, which nothing would await.
    """
    if f is not None:
        callable_checked(f, operator)
    return label(operator, name)


def callable_checked(f: Any, operator: str) -> None:
    """Check that something is a function that can be called for each record."""
    if not callable(f):
        raise ArgumentTypeError(
            f"{operator} needs a function.",
            detail=f"It was given {f!r} of type {type(f).__name__}.",
            hint=f"Give a function or a lambda, such as .{operator}(lambda x: x).",
        )
    refuse_coroutine(f, operator)

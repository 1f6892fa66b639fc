"""The core that every group of stream methods builds on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from millstream.errors import ArgumentTypeError, GraphError, ShippingError, shown
from millstream.graph.node import Node
from millstream.model.html_table import html_table
from millstream.model.label import Label
from millstream.rdd.arguments import check_function
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
        return node_of(other, self.program, at)

    def __reduce__(self) -> NoReturn:
        raise ShippingError(
            "A stream cannot be sent to an executor.",
            detail="A function that runs in tasks refers to it.",
            hint="Put streams together by operators, such as join or transform_with, outside of functions.",
        )

    def _repr_html_(self) -> str:
        """Show it in a notebook: the operators on the way to it, from the inputs on."""
        nodes: dict[str, Node] = {}
        waiting = [self.node]
        while waiting:
            node = waiting.pop()
            if node.id not in nodes:
                nodes[node.id] = node
                waiting += node.parents
        # The order in which they were added is the order of the flow.
        way = [node for node in self.program.graph.nodes if node.id in nodes]
        return html_table(
            f"DStream {self.node.id}, a batch every {self.node.slide_ms / 1000:g} s",
            [(node.id, _described(node)) for node in way],
        )

    def __repr__(self) -> str:
        return f"<DStream {self.node.id} of {self.node.label.site}>"


def _described(node: Node) -> str:
    """Say which operator a node is, where it was added, and what it reads."""
    at = f" at {node.label.site}" if node.label.site else ""
    of = f", of {', '.join(parent.id for parent in node.parents)}" if node.parents else ""
    return f"{node.label.operator}{at}{of}"


def node_of(stream: Any, program: Program, at: Label) -> Node:
    """Give the node of a stream.

    Raises:
        ArgumentTypeError: it is no stream.
        GraphError: it belongs to another program.
    """
    if not isinstance(stream, StreamCore):
        raise ArgumentTypeError(
            f"{at.operator} needs a stream.",
            detail=f"It was given {shown(stream)} of type {type(stream).__name__}.",
            hint="Streams go with streams; to bring in an RDD, use transform(lambda rdd: ...).",
        )
    if stream.program is not program:
        raise GraphError(
            f"{at.operator} was given a stream of another context.",
            detail=f"{stream!r}; the call is at {at.site}.",
            hint="Make all streams from the same StreamingContext.",
        )
    return stream.node


def labelled(
    operator: str,
    *functions: Callable[..., Any],
    takes: int | None = None,
    batch: bool = False,
    name: str | None = None,
) -> Label:
    """Label an operator with the user's call, after a check of its functions.

    Args:
        operator: the method that the user called.
        functions: what it was given as functions.
        takes: how many positional arguments they get; None: not checked here.
        batch: they get the batch as one more if they require it.
        name: what the user calls the operator.

    Raises:
        ArgumentTypeError: a function cannot be called, or not with these arguments; or the name is no text.
        GraphError: a function is a coroutine function, which nothing would await.
    """
    for f in functions:
        check_function(f, operator, takes=takes, batch=batch)
    if name is not None and not isinstance(name, str):
        raise ArgumentTypeError(
            f"The name of {operator} is no text.",
            detail=f"name={shown(name)} is of type {type(name).__name__}.",
            hint='Give a str, such as name="totals", that no other operator of the program has.',
        )
    return label(operator, name)

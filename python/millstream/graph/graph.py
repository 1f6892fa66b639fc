"""The graph of one program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from millstream.errors import GraphError, LifecycleError
from millstream.graph.inputs import InputNode
from millstream.graph.node import MemoryNode, Node
from millstream.graph.outputs import Output
from millstream.graph.remembered import Remembered
from millstream.model.label import Label


class Graph:
    """All operators of a program, in the order in which they were added.

    Args:
        interval_ms: the batch interval.
    """

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self.nodes: list[Node] = []
        self.inputs: list[InputNode] = []
        self.outputs: list[Output] = []
        self.remembered = Remembered()
        self._names: set[str] = set()
        self._frozen = False

    def add(self, node: Node) -> None:
        """Add an operator; its id is its name, or its place among the operators.

        Raises:
            LifecycleError: the context has been started.
            GraphError: the name is taken.
        """
        self.check_open(node.label)
        node.id = self._unique(node.label.name, f"{node.label.operator}-{len(self.nodes)}")
        self.nodes.append(node)
        if isinstance(node, InputNode):
            self.inputs.append(node)

    def add_output(self, output: Output) -> None:
        """Add an output operation."""
        self.check_open(output.label)
        self.outputs.append(output)

    def output_name(self, label: Label) -> str:
        """Give the name of the next output: the user's, or its place among the outputs."""
        return self._unique(label.name, f"{label.operator}-{len(self.outputs)}")

    def input_name(self, label: Label) -> str:
        """Give the name of the next input: the user's, or its place among the inputs."""
        return label.name if label.name is not None else f"{label.operator}-{len(self.inputs)}"

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Check the graph before it starts; from here on it cannot change, unless the start raises.

        Raises:
            GraphError: there is no output operation.
        """
        if not self.outputs:
            raise GraphError(
                "The program has no output operation.",
                detail="Nothing would ever be computed.",
                hint="Add one, such as .print(), .foreach_rdd(f) or .collect_to(list).",
            )
        self._frozen = True
        try:
            yield
        except BaseException:
            self._frozen = False
            raise

    @property
    def memory_nodes(self) -> Iterator[MemoryNode]:
        """The nodes that remember, parents before children."""
        return (node for node in self.nodes if isinstance(node, MemoryNode))

    @property
    def long_slides_ms(self) -> tuple[int, ...]:
        """The slides longer than the interval: their times must not be skipped."""
        slides = {node.slide_ms for node in [*self.nodes, *(output.node for output in self.outputs)]}
        return tuple(sorted(slide for slide in slides if slide > self.interval_ms))

    def _unique(self, given: str | None, otherwise: str) -> str:
        name = given if given is not None else otherwise
        if name in self._names:
            raise GraphError(
                f"Two operators have the name {name!r}.",
                detail="A name is the identity of an operator: its state and its commits are kept by it.",
                hint="Give each operator a name= of its own.",
            )
        self._names.add(name)
        return name

    def check_open(self, label: Label) -> None:
        """Check that the program can still be changed.

        Raises:
            LifecycleError: the context has been started.
        """
        if self._frozen:
            raise LifecycleError(
                f"{label.operator} was called after the context had been started.",
                detail=f"At {label.site}.",
                hint="Put the whole program together first, then start; use transform for what changes by batch.",
            )

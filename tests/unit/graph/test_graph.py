from __future__ import annotations

import pytest
from tests.unit.graph.nodes import INTERVAL_MS, Given

from millstream.errors import GraphError, LifecycleError
from millstream.graph.graph import Graph
from millstream.graph.outputs import DeliveryOutput
from millstream.graph.window import WindowNode
from millstream.model.label import Label
from millstream.sinks.collect import CollectTo


@pytest.fixture
def graph() -> Graph:
    return Graph(INTERVAL_MS)


def put_out(graph: Graph, node: Given, name: str | None = None) -> DeliveryOutput:
    at = Label("collect_to", name)
    output = DeliveryOutput(node, CollectTo([]), graph.output_name(at), at)
    graph.add_output(output)
    return output


def test_an_operator_is_known_by_its_name_or_its_place(graph: Graph) -> None:
    unnamed, named = Given({}), Given({})
    named.label = Label("map", "totals")
    graph.add(unnamed)
    graph.add(named)
    assert [node.id for node in graph.nodes] == ["given-0", "totals"]
    assert [put_out(graph, unnamed).name, put_out(graph, unnamed, "ledger").name] == ["collect_to-0", "ledger"]


def test_a_name_is_given_once_to_operators_and_outputs_together(graph: Graph) -> None:
    node = Given({})
    node.label = Label("map", "totals")
    graph.add(node)
    with pytest.raises(GraphError, match="Two operators have the name 'totals'"):
        graph.add(node)
    with pytest.raises(GraphError, match="Two operators have the name 'totals'"):
        put_out(graph, node, "totals")


def test_a_graph_without_outputs_does_not_start(graph: Graph) -> None:
    graph.add(Given({}))
    with pytest.raises(GraphError, match="no output operation"), graph.starting():
        raise AssertionError("It started.")
    graph.add(Given({}))  # It can still be changed.


def test_a_graph_that_started_cannot_change(graph: Graph) -> None:
    node = Given({})
    graph.add(node)
    put_out(graph, node)
    with graph.starting(), pytest.raises(LifecycleError, match="given was called after"):
        graph.add(Given({}))
    with pytest.raises(LifecycleError, match="given was called after"):
        graph.add(Given({}))


def test_a_graph_whose_start_failed_can_change(graph: Graph) -> None:
    node = Given({})
    graph.add(node)
    put_out(graph, node)

    def start() -> None:
        with graph.starting():
            raise OSError("the directory is missing")

    with pytest.raises(OSError, match="missing"):
        start()
    graph.add(Given({}))


def test_slides_longer_than_the_interval_are_known(graph: Graph) -> None:
    node = Given({})
    slow = WindowNode(node, 60, 30, Label("window"))
    slower = WindowNode(slow, 60, 60, Label("window"))
    for each in (node, slow, slower):
        graph.add(each)
    assert graph.long_slides_ms == (30, 60)
    assert list(graph.memory_nodes) == [slow, slower]

"""Outputs that a checkpoint knows and the program has no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.graph.graph import Graph
from millstream.graph.inputs import FeedInput, SourceInput
from millstream.graph.outputs import SinkOutput

if TYPE_CHECKING:
    from millstream.model.kafka_client_options import ClientOptions


def settle_removed_outputs(graph: Graph, notes: Mapping[str, Any]) -> None:
    """End what outputs left open in Kafka that the program has no more, or has in another form.

    Called when the checkpoint is this driver's and nothing is written yet. What it could not end is told in a warning,
    and forgotten: what the sinks of this program note takes the place of these notes.

    Args:
        graph: of the program.
        notes: what the sinks of earlier drivers had noted, by output.
    """
    gone = {name: note for name, note in notes.items() if isinstance(note, Mapping) and note.get("transactional_id")}
    if not gone:
        return
    from millstream.sinks.kafka.kafka_sink import KafkaSink
    from millstream.sinks.kafka.removed_outputs import end_removed_outputs

    for output in graph.outputs:
        # One that has stayed ends what its own producers left.
        if isinstance(output, SinkOutput) and isinstance(output.sink, KafkaSink) and output.sink.uses_transactions:
            gone.pop(output.name, None)
    if gone:
        end_removed_outputs(gone.values(), list(_kafka_options(graph)))


def _kafka_options(graph: Graph) -> Iterator[ClientOptions]:
    """Give how the program speaks to the brokers of its inputs and outputs."""
    from millstream.sinks.kafka.kafka_sink import KafkaSink
    from millstream.sources.kafka.group.group_feed import KafkaGroupFeed
    from millstream.sources.kafka.kafka_source import KafkaSource

    for output in graph.outputs:
        if isinstance(output, SinkOutput) and isinstance(output.sink, KafkaSink) and output.sink.options is not None:
            yield output.sink.options
    for node in graph.inputs:
        if isinstance(node, SourceInput) and isinstance(node.source, KafkaSource):
            yield node.source.options
        elif isinstance(node, FeedInput) and isinstance(node.feed, KafkaGroupFeed):
            yield node.feed.options

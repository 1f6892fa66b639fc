"""What a batch had of each input and gave to each output, in numbers that a later run is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millstream.graph.graph import Graph
from millstream.graph.inputs import InputNode, PlannedInput, SourceInput
from millstream.graph.outputs import SinkOutput
from millstream.recovery.decisions import Digest


def take_digests(graph: Graph, *, logs_state: bool) -> None:
    """Have checksums taken where a later run can be compared with them: of a program with state and a checkpoint.

    Without state nothing of a batch is durable before its end but the plan, so that there is nothing to compare with.
    For the same reason outputs need a state log, and a second one: when a batch runs again whose only output has
    committed it, nothing comes of what is staged then; with two, one may have the records of the first run and the
    other those of the second.

    Args:
        graph: the frozen graph.
        logs_state: whether batches journal what they change in the state.
    """
    for node in graph.inputs:
        if isinstance(node, SourceInput):
            node.reads.takes_checksums = True
    committing = [output for output in graph.outputs if isinstance(output, SinkOutput)]
    if logs_state and len(committing) > 1:
        for output in committing:
            output.take_digests()


def input_digests(
    inputs: Iterable[InputNode], planned: Mapping[str, PlannedInput], time_ms: int
) -> dict[str, tuple[Digest, ...]]:
    """Say what a batch had of each input, as far as it is known once its tasks ran.

    Args:
        inputs: of the program.
        planned: what each contributed, by its name.
        time_ms: the batch.

    Returns:
        For each input that had something a digest of every block or split, in the order of the plan.
    """
    digests: dict[str, tuple[Digest, ...]] = {}
    for node in inputs:
        given = planned[node.name]
        if given.blocks:
            # Why no checksum: blocks come again out of the write-ahead log, which has checksums of its own.
            digests[node.name] = tuple(Digest(block.records) for block in given.blocks)
        elif isinstance(node, SourceInput) and given.splits:
            counts = node.reads.counts(time_ms, given.splits)
            checksums = node.reads.checksums(time_ms, given.splits)
            digests[node.name] = tuple(map(Digest, counts, checksums))
    return digests

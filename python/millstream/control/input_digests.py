"""What a batch had of each input, in numbers that a later run is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millstream.graph.inputs import InputNode, PlannedInput, SourceInput
from millstream.recovery.decisions import Digest


def input_digests(
    inputs: Iterable[InputNode], planned: Mapping[str, PlannedInput], time_ms: int
) -> dict[str, tuple[Digest, ...]]:
    """Count what a batch had of each input, as far as it is known once its tasks ran.

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
            digests[node.name] = tuple(Digest(block.records) for block in given.blocks)
        elif isinstance(node, SourceInput) and given.splits:
            counts = node.reads.counts(time_ms, given.splits)
            digests[node.name] = tuple(Digest(count) for count in counts)
    return digests

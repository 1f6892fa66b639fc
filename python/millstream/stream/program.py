"""The program that streams belong to: its graph and what they need to know of the context."""

from __future__ import annotations

from millstream.graph.graph import Graph
from millstream.rdd.partitioner import partitions_checked
from millstream.rdd.runner import Runner


class Program:
    """One program under construction.

    Args:
        interval_ms: the batch interval.
        runner: computes the RDDs that `slice` gives.
        partitions: partitions of a shuffle when nobody says; None: what the runner says.

    Attributes:
        zero_ms: the zero time of the grid, set when the program starts; None before.
    """

    def __init__(self, interval_ms: int, runner: Runner, partitions: int | None = None) -> None:
        self.interval_ms = interval_ms
        self.runner = runner
        self.default_partitions = partitions_checked(partitions, runner.default_partitions)
        self.graph = Graph(interval_ms)
        self.zero_ms: int | None = None

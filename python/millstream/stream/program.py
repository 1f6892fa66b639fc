"""The program that streams belong to: its graph and what they need to know of the context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from millstream.graph.graph import Graph
from millstream.rdd.lineage import Lineage


class Program:
    """One program under construction.

    Args:
        interval_ms: the batch interval.
        default_partitions: partitions of a shuffle when nobody says.
    """

    def __init__(self, interval_ms: int, default_partitions: int) -> None:
        self.interval_ms = interval_ms
        self.default_partitions = default_partitions
        self.graph = Graph(interval_ms)
        self.remembered: Callable[[str, int, int], list[tuple[int, Lineage]]] | None = None
        self.runner: Any = None

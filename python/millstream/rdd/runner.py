"""What an RDD needs to compute itself: injected, so that lineage knows nothing of executors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from millstream.environment.rng import Rng
from millstream.model.batch import Batch
from millstream.rdd.lineage import Lineage
from millstream.rdd.operations import End


class Runner(Protocol):
    """Runs lineage on executors."""

    @property
    def default_partitions(self) -> int:
        """How many partitions a shuffle or a parallelized list gets when nobody says."""
        ...

    @property
    def home(self) -> object:
        """Where the executors live: RDDs whose runners have the same home can be combined."""
        ...

    @property
    def batch(self) -> Batch | None:
        """The batch that functions run in, or None in a batch program."""
        ...

    @property
    def rng(self) -> Rng:
        """Chance for what was given no seed; inside a batch the same at every attempt."""
        ...

    def run(self, lineage: Lineage, end: End, partitions: Sequence[int] | None = None) -> list[Any]:
        """Compute partitions (None: all) and give the result of `end` for each, in order."""
        ...

    def run_lazily(self, lineage: Lineage, end: End) -> Iterator[Any]:
        """Give the result of `end` for partition after partition, computing a few at a time as they are asked for.

        Stages before the last one run once, when the first result is asked for.
        """
        ...

    def keep(self, lineage: Lineage) -> list[Any]:
        """Compute all partitions once and give their data, for a `Held` lineage."""
        ...

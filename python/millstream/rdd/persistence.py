"""RDD methods about keeping what was computed."""

from __future__ import annotations

from typing import Self

from millstream.rdd.core import RDDCore, T_co


class PersistenceMethods(RDDCore[T_co]):
    """Methods that keep partitions in memory after their first computation."""

    __slots__ = ()

    def persist(self) -> Self:
        """Keep the partitions once they are computed, until `unpersist` or until nothing refers to the RDD.

        Without it, every action computes the RDD anew. Returns the RDD itself; RDDs that were derived from it
        before use the kept partitions as well.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> calls = context.accumulator(0)
            >>> numbers = context.range(3).map(lambda x: (calls.add(1), x)[1]).persist()
            >>> numbers.count(), numbers.collect(), calls.value
            (3, [0, 1, 2], 3)
        """
        self.lineage.keep()
        return self

    def cache(self) -> Self:
        """Do what `persist` does."""
        return self.persist()

    def unpersist(self) -> Self:
        """Let go of kept partitions; the next action computes them again."""
        self.lineage.drop()
        return self

    @property
    def is_persisted(self) -> bool:
        """Whether computed partitions are kept."""
        return self.lineage.kept is not None

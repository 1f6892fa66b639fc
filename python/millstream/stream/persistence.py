"""Stream methods that keep what a batch gave: for its other users, and for later."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from millstream.errors import ConfigurationError, LifecycleError
from millstream.model.instants import instant_ms
from millstream.rdd.rdd import RDD
from millstream.stream.core import StreamCore, T_co, labelled


class PersistenceMethods(StreamCore[T_co]):
    """Methods that keep the RDDs of batches, and look back on them."""

    __slots__ = ()

    def persist(self) -> Self:
        """Keep each batch's RDD once it is computed, for the rest of the batch.

        A stream that several operators or outputs read is kept by itself; this is for functions, such as that of
        `foreach_rdd`, that run several actions on one RDD.

        Raises:
            LifecycleError: the context has been started.
        """
        self.program.graph.check_open(labelled("persist"))
        self.node.is_kept = True
        return self

    def cache(self) -> Self:
        """The same as `persist`."""
        return self.persist()

    def slice(self, begin: datetime | float, end: datetime | float) -> list[RDD[T_co]]:
        """Give the RDDs of the batches from `begin` to `end`, both included, oldest first.

        Args:
            begin: seconds since the epoch, or an aware datetime; both ends are rounded down to a batch time.
            end: the same.

        Raises:
            LifecycleError: the context was not started.
            ConfigurationError: it reaches further back than `ssc.remember(...)` keeps.
        """
        zero_ms, slide_ms = self.program.zero_ms, self.node.slide_ms
        if zero_ms is None:
            raise LifecycleError(
                "slice needs a context that was started.",
                detail="Before the start there is no batch to look back on.",
                hint="Call ssc.start() first.",
            )
        from_ms, to_ms = (
            zero_ms + (instant_ms(at, argument) - zero_ms) // slide_ms * slide_ms
            for at, argument in ((begin, "begin"), (end, "end"))
        )
        remembered = self.program.graph.remembered
        if max(from_ms, zero_ms + 1) <= remembered.forgotten_ms:
            raise ConfigurationError(
                "slice reaches back further than batches are remembered.",
                detail=f"It asks for {from_ms} ms, and batches up to {remembered.forgotten_ms} ms are forgotten.",
                hint="Call ssc.remember(duration) before start, with a duration that covers the slice.",
            )
        return [RDD(lineage, runner) for lineage, runner in remembered.between(self.node, from_ms, to_ms)]

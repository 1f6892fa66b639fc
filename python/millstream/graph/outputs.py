"""Output operations: what a batch leaves behind. Computed before the batch is prepared, made visible after."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from millstream.encoding.record_checksum import record_checksum
from millstream.errors import MillstreamError, UserCodeError
from millstream.graph.batch_run import BatchRun
from millstream.graph.node import Node
from millstream.model.batch import Batch
from millstream.model.current import running_batch
from millstream.model.label import Label
from millstream.model.partition import Partition, PartitionData
from millstream.model.ports.sink import Sink, SinkLineage
from millstream.rdd.lineage import Held
from millstream.rdd.operations import ApplyPartition, Collect
from millstream.rdd.rdd import RDD
from millstream.recovery.decisions import Digest


class Output(ABC):
    """One output operation.

    Args:
        node: what it puts out.
        name: unique in the program; commits are kept by it.

    Attributes:
        slide_ms: it is due when its node is.
    """

    def __init__(self, node: Node, name: str, label: Label) -> None:
        self.node = node
        self.name = name
        self.label = label
        self.slide_ms = node.slide_ms
        node.dependents += 1
        self._key = ""

    def open(self, lineage: SinkLineage) -> int | None:
        """Get ready; give the newest batch time that is committed already, or None."""
        self._key = lineage.key
        return None

    def note(self) -> Any:
        """Give what later drivers have to know of an open output, or None."""
        return None

    def own(self, batch: Batch) -> Batch:
        """Give the batch as functions of this output see it: with an identity of this output alone."""
        return replace(batch, output=self._key)

    @abstractmethod
    def stage(self, run: BatchRun) -> Any:
        """Compute the output of a batch so that nobody sees it yet; repeated for every attempt."""

    @abstractmethod
    def commit(self, batch: Batch, staged: Any) -> None:
        """Make what was staged visible; idempotent where the sink is."""

    def discard(self, batch: Batch, staged: Any) -> None:  # noqa: B027 - most outputs stage nothing outside
        """Throw away what was staged."""

    def close(self) -> None:  # noqa: B027 - most outputs hold nothing
        """Let go of everything."""


class RDDOutput(Output):
    """`foreach_rdd`: a user's function on the RDD of each batch, at least once.

    Args:
        f: takes the RDD and the batch.
    """

    def __init__(self, node: Node, f: Callable[[RDD[Any], Batch], Any], name: str, label: Label) -> None:
        super().__init__(node, name, label)
        self.f = f

    def stage(self, run: BatchRun) -> Any:
        """Call the function; a batch in which the stream gives nothing has an empty RDD."""
        lineage = run.lineage(self.node)
        rdd: RDD[Any] = RDD(Held([]) if lineage is None else lineage, run.runner)
        batch = self.own(run.batch)
        try:
            with running_batch(batch):
                self.f(rdd, batch)
        except MillstreamError:
            raise
        except Exception as error:
            raise output_failed(self.name, self.label, run.batch, error) from error

    def commit(self, batch: Batch, staged: Any) -> None:
        """The function did its work already."""


class Delivery(Protocol):
    """Gets the rows of a batch on the driver, such as a printer or a list.

    Attributes:
        limit: how many rows it wants at most, or None for all.
    """

    limit: int | None

    def deliver(self, batch: Batch, rows: list[Any]) -> None:
        """Take the rows of one batch."""
        ...


class DeliveryOutput(Output):
    """Rows of each batch handed over on the driver when the batch is prepared."""

    def __init__(self, node: Node, delivery: Delivery, name: str, label: Label) -> None:
        super().__init__(node, name, label)
        self.delivery = delivery
        self._end = Collect(delivery.limit)

    def stage(self, run: BatchRun) -> list[Any]:
        """Collect the rows, no more than are wanted, from no more partitions than are needed."""
        lineage = run.lineage(self.node)
        if lineage is None:
            return []
        limit = self.delivery.limit
        if limit is None or lineage.partitions <= 1:
            parts = run.runner.run(lineage, self._end)
            if len(parts) == 1:
                rows: list[Any] = parts[0]
                return rows
            return [row for part in parts for row in part]
        return RDD[Any](lineage, run.runner).take(limit)

    def commit(self, batch: Batch, staged: Any) -> None:
        """Hand the rows over."""
        try:
            with running_batch(batch):
                self.delivery.deliver(self.own(batch), staged)
        except MillstreamError:
            raise
        except Exception as error:
            raise output_failed(self.name, self.label, batch, error) from error


class SinkOutput(Output):
    """A sink: staged by tasks, committed once for each batch."""

    def __init__(self, node: Node, sink: Sink[Any], name: str, label: Label) -> None:
        super().__init__(node, name, label)
        self.sink = sink
        self._stages = StagePartition(sink, name, label)
        self._end = ApplyPartition(self._stages)

    def take_digests(self) -> None:
        """Take a digest of every partition from now on, into the run that stages it."""
        self._stages.takes_digests = True

    def open(self, lineage: SinkLineage) -> int | None:
        """Open the sink."""
        return self.sink.open(lineage)

    def note(self) -> Any:
        """Ask the sink."""
        return self.sink.note()

    def stage(self, run: BatchRun) -> list[Any]:
        """Stage every partition."""
        lineage = run.lineage(self.node)
        staged = [] if lineage is None else run.runner.run(lineage, self._end)
        if not self._stages.takes_digests:
            return staged
        run.output_digests[self.name] = tuple(digest for _, digest in staged)
        return [receipt for receipt, _ in staged]

    def commit(self, batch: Batch, staged: Any) -> None:
        """Commit the receipts."""
        try:
            self.sink.commit(batch, staged)
        except MillstreamError:
            raise
        except Exception as error:
            raise output_failed(self.name, self.label, batch, error) from error

    def discard(self, batch: Batch, staged: Any) -> None:
        """Discard the receipts."""
        self.sink.discard(batch, staged)

    def close(self) -> None:
        """Close the sink."""
        self.sink.close()


class StagePartition:
    """Stages one partition on an executor.

    Args:
        sink: takes the partition.
        name: of the output, for errors.
        label: of the output, for errors.

    Attributes:
        takes_digests: whether a digest of the partition goes with its receipt.
    """

    def __init__(self, sink: Sink[Any], name: str, label: Label) -> None:
        self.sink = sink
        self.name = name
        self.label = label
        self.takes_digests = False

    def __call__(self, batch: Batch, index: int, data: PartitionData) -> Any:
        """Stage a partition and give its receipt, with the digest where one is taken."""
        try:
            if not self.takes_digests:
                return self.sink.stage(batch, index, Partition(data))
            # Before the sink has it, which may change what it is given.
            digest = Digest(len(data), record_checksum(data))
            return self.sink.stage(batch, index, Partition(data)), digest
        except MillstreamError:
            raise
        except Exception as error:
            raise output_failed(self.name, self.label, batch, error) from error


def output_failed(name: str, label: Label, batch: Batch, error: Exception) -> UserCodeError:
    """The error for an output whose function or sink raised."""
    return UserCodeError(
        f"The output {name} raised {type(error).__name__}: {error}",
        operator=label.operator,
        site=label.site,
        batch_time_ms=batch.time_ms,
        detail=f"{label.operator} was added at {label.site}.",
        hint="The traceback of the cause shows the line.",
    )

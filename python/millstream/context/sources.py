"""The ways in: methods of the streaming context that make streams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

from millstream.context.file_sources import FileSourceMethods
from millstream.context.http_sources import HttpSourceMethods
from millstream.context.kafka_sources import KafkaSourceMethods
from millstream.context.service_sources import ServiceSourceMethods
from millstream.context.socket_sources import SocketSourceMethods
from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.graph.inputs import FeedInput, QueueInput
from millstream.model.ports.block_feed import BlockFeed
from millstream.model.ports.receiver import Receiver
from millstream.model.ports.replayable_source import ReplayableSource
from millstream.rdd.core import label
from millstream.rdd.partitioner import partitions_checked
from millstream.rdd.rdd import RDD
from millstream.stream.core import labelled, node_of
from millstream.stream.dstream import DStream
from millstream.stream.pushed import PushedStream

T = TypeVar("T")


class SourceMethods(
    FileSourceMethods, HttpSourceMethods, KafkaSourceMethods, ServiceSourceMethods, SocketSourceMethods
):
    """Methods that make streams."""

    def stream(
        self, source: ReplayableSource[T] | BlockFeed, *, limit: int | None = None, name: str | None = None
    ) -> DStream[T]:
        """Make the stream of a source: the one door that every `*_stream` method goes through.

        Args:
            source: a `ReplayableSource`, or a feed of pushed blocks.
            limit: most records (for files: files) a batch, for a replayable source.
            name: identity of the input.

        Raises:
            ArgumentTypeError: it is no source.
            ConfigurationError: the limit is not positive, or the source has none.
        """
        return self._stream(source, labelled("stream", name=name), limit)

    def set_rate(self, stream: DStream[Any], records_per_s: float | None) -> None:
        """Change the limit of an input that gets its records pushed, before the start or while the stream runs.

        A rate controller limits it further while batches are too slow for that.

        Args:
            stream: what `socket_text_stream`, `receiver_stream`, `memory_stream` or `stream` gave.
            records_per_s: most records a second, above zero; None: no limit.

        Raises:
            ConfigurationError: the rate is not positive, or the stream is not such an input.
        """
        node = node_of(stream, self.program, label("set_rate"))
        if not isinstance(node, FeedInput):
            raise ConfigurationError(
                "Only inputs that get their records pushed have a rate.",
                detail=f"{stream!r} is none.",
                hint="Give the stream that socket_text_stream, receiver_stream or memory_stream gave.",
            )
        node.set_rate(records_per_s)

    def queue_stream(
        self,
        queue: Iterable[RDD[T] | Iterable[T]],
        *,
        one_at_a_time: bool = True,
        default: RDD[T] | Iterable[T] | None = None,
        partitions: int | None = None,
        name: str | None = None,
    ) -> DStream[T]:
        """Make a stream of ready batches, for tests and trials.

        Args:
            queue: one element a batch, an RDD or records; a list or deque may grow while the stream runs.
            one_at_a_time: False takes all that is there in one batch.
            default: what a batch holds when the queue is empty; None: no records.
            partitions: over how many partitions records are spread.
            name: identity of the input.
        """
        from millstream.sources.queue import BatchQueue

        batches: Any = BatchQueue(queue, one_at_a_time=one_at_a_time, default=default)
        interval_ms = self.program.interval_ms
        count = partitions_checked(partitions, self.program.default_partitions)
        return self._add_input(
            lambda name, label: QueueInput(name, interval_ms, batches, count, label),
            labelled("queue_stream", name=name),
        )

    def memory_stream(
        self,
        *,
        max_records: int = 1_000_000,
        on_full: Literal["block", "raise"] = "block",
        name: str | None = None,
    ) -> PushedStream[Any]:
        """Make a stream into which this process pushes records, from any thread.

        Args:
            max_records: how many records may wait.
            on_full: what `push` does when so many wait: `block` until there is room, or `raise`.
            name: identity of the input.

        Returns:
            A stream with `push(record)` and `push_many(records)`.

        Example:
            >>> import millstream as ms
            >>> from millstream.testing import ManualClock
            >>> clock, seen = ManualClock(), []
            >>> ssc = ms.StreamingContext(1.0, environment=ms.Environment(clock))
            >>> numbers = ssc.memory_stream()
            >>> numbers.map(lambda x: x + 1).collect_to(seen)
            >>> ssc.start()
            >>> numbers.push(1); clock.advance(1.0); ssc.stop()
            True
            >>> seen
            [[2]]
        """
        from millstream.sources.memory import MemoryStream

        feed: MemoryStream[Any] = MemoryStream(self._environment.clock, max_records=max_records, on_full=on_full)
        stream = self._stream(feed, labelled("memory_stream", name=name))
        return PushedStream(stream.node, self.program, feed)

    def receiver_stream(
        self,
        receiver: Receiver[T],
        *,
        process: bool = False,
        max_records_per_s: float | None = None,
        name: str | None = None,
    ) -> DStream[T]:
        """Make a stream of what a receiver of your own stores.

        Args:
            receiver: an instance of a subclass of `millstream.Receiver`.
            process: run it in a process of its own, so that Python code of the receiver cannot hold up batches.
            max_records_per_s: most records a second that `store` takes; None: no limit.
            name: identity of the input.
        """
        from millstream.ingest.receiver_feed import ReceiverFeed

        if not isinstance(receiver, Receiver):
            raise ArgumentTypeError(
                "receiver_stream needs a Receiver.",
                detail=f"It was given {shown(receiver)}.",
                hint="Make a subclass of millstream.Receiver with on_start and on_stop, and hand over an instance.",
            )
        feed = ReceiverFeed(receiver, self._environment, process=process, rate_per_s=max_records_per_s)
        return self._stream(feed, labelled("receiver_stream", name=name))

"""millstream: micro-batch stream processing for Python, with batches of a few milliseconds."""

from millstream.context.context import Context
from millstream.context.streaming_context import StreamingContext
from millstream.environment.environment import Environment
from millstream.errors import MillstreamError
from millstream.model.batch import Batch
from millstream.model.current import batch_rng, batch_time
from millstream.model.partition import Partition
from millstream.model.ports.receiver import Receiver
from millstream.model.ports.replayable_source import Plan, ReplayableSource, Split
from millstream.model.ports.sink import Sink, SinkLineage
from millstream.observe.events import (
    BatchAttemptFailed,
    BatchCompleted,
    BatchStarted,
    BatchSubmitted,
    BatchTimesMerged,
    InputsHeld,
    OutputCompleted,
    OutputStarted,
    ReceiverFailed,
    ReceiverStarted,
    ReceiverStopped,
    StreamingStarted,
    StreamingStopped,
)
from millstream.observe.listener import StreamingListener
from millstream.observe.stats_report_listener import StatsReportListener
from millstream.rdd.rdd import RDD
from millstream.sinks.read_committed import read_committed
from millstream.state.state import State
from millstream.state.state_spec import StateSpec
from millstream.stream.dstream import DStream

__all__ = [
    "RDD",
    "Batch",
    "BatchAttemptFailed",
    "BatchCompleted",
    "BatchStarted",
    "BatchSubmitted",
    "BatchTimesMerged",
    "Context",
    "DStream",
    "Environment",
    "InputsHeld",
    "MillstreamError",
    "OutputCompleted",
    "OutputStarted",
    "Partition",
    "Plan",
    "Receiver",
    "ReceiverFailed",
    "ReceiverStarted",
    "ReceiverStopped",
    "ReplayableSource",
    "Sink",
    "SinkLineage",
    "Split",
    "State",
    "StateSpec",
    "StatsReportListener",
    "StreamingContext",
    "StreamingListener",
    "StreamingStarted",
    "StreamingStopped",
    "batch_rng",
    "batch_time",
    "read_committed",
]

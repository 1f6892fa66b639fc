"""millstream: micro-batch stream processing for Python, with batches of a few milliseconds."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from millstream._core import KafkaRecord
    from millstream.context.context import Context
    from millstream.context.streaming_context import StreamingContext
    from millstream.control.rate.pid_rate_controller import PidRateController
    from millstream.encoding.codec import Codec
    from millstream.encoding.registered_types import register_type
    from millstream.environment.environment import Environment
    from millstream.errors import MillstreamError
    from millstream.model.batch import Batch
    from millstream.model.current import batch_rng, batch_time
    from millstream.model.offset_range import OffsetRange
    from millstream.model.partition import Partition
    from millstream.model.ports.rate_controller import BatchMeasured, RateController
    from millstream.model.ports.receiver import Receiver
    from millstream.model.ports.replayable_source import Plan, ReplayableSource, SourceReport, Split
    from millstream.model.ports.sink import Sink, SinkLineage
    from millstream.model.refused import Refused
    from millstream.model.server_sent_event import ServerSentEvent
    from millstream.observe.events import (
        BatchAttemptFailed,
        BatchCompleted,
        BatchDiverged,
        BatchSkipped,
        BatchStarted,
        BatchSubmitted,
        BatchTimesMerged,
        CheckpointFailed,
        CheckpointWritten,
        ClockSetBack,
        InputsHeld,
        OutputCompleted,
        OutputStarted,
        RateChanged,
        ReceiverFailed,
        ReceiverStarted,
        ReceiverStopped,
        SourceReported,
        StateRestored,
        StreamingStarted,
        StreamingStopped,
    )
    from millstream.observe.listener import StreamingListener
    from millstream.observe.stats_report_listener import StatsReportListener
    from millstream.rdd.rdd import RDD
    from millstream.sinks.read_committed import read_committed
    from millstream.sources.kafka.schemas.avro_decoder import AvroDecoder
    from millstream.sources.kafka.schemas.protobuf_decoder import ProtobufDecoder
    from millstream.sources.kafka.schemas.schema_registry_decoder import SchemaRegistryDecoder
    from millstream.state.state import State
    from millstream.state.state_options import StateOptions
    from millstream.state.state_spec import StateSpec
    from millstream.stream.dstream import DStream
    from millstream.stream.refreshed import Refreshed

_HOMES: Final = {
    "AvroDecoder": "millstream.sources.kafka.schemas.avro_decoder",
    "Batch": "millstream.model.batch",
    "BatchAttemptFailed": "millstream.observe.events",
    "BatchCompleted": "millstream.observe.events",
    "BatchSkipped": "millstream.observe.events",
    "BatchStarted": "millstream.observe.events",
    "BatchSubmitted": "millstream.observe.events",
    "BatchTimesMerged": "millstream.observe.events",
    "Codec": "millstream.encoding.codec",
    "Context": "millstream.context.context",
    "DStream": "millstream.stream.dstream",
    "Environment": "millstream.environment.environment",
    "InputsHeld": "millstream.observe.events",
    "BatchDiverged": "millstream.observe.events",
    "CheckpointFailed": "millstream.observe.events",
    "CheckpointWritten": "millstream.observe.events",
    "ClockSetBack": "millstream.observe.events",
    "StateRestored": "millstream.observe.events",
    "KafkaRecord": "millstream._core",
    "MillstreamError": "millstream.errors",
    "Refreshed": "millstream.stream.refreshed",
    "OffsetRange": "millstream.model.offset_range",
    "OutputCompleted": "millstream.observe.events",
    "OutputStarted": "millstream.observe.events",
    "BatchMeasured": "millstream.model.ports.rate_controller",
    "PidRateController": "millstream.control.rate.pid_rate_controller",
    "ProtobufDecoder": "millstream.sources.kafka.schemas.protobuf_decoder",
    "RateChanged": "millstream.observe.events",
    "RateController": "millstream.model.ports.rate_controller",
    "Partition": "millstream.model.partition",
    "Plan": "millstream.model.ports.replayable_source",
    "RDD": "millstream.rdd.rdd",
    "Receiver": "millstream.model.ports.receiver",
    "ReceiverFailed": "millstream.observe.events",
    "ReceiverStarted": "millstream.observe.events",
    "ReceiverStopped": "millstream.observe.events",
    "Refused": "millstream.model.refused",
    "ReplayableSource": "millstream.model.ports.replayable_source",
    "SchemaRegistryDecoder": "millstream.sources.kafka.schemas.schema_registry_decoder",
    "ServerSentEvent": "millstream.model.server_sent_event",
    "Sink": "millstream.model.ports.sink",
    "SinkLineage": "millstream.model.ports.sink",
    "SourceReport": "millstream.model.ports.replayable_source",
    "SourceReported": "millstream.observe.events",
    "Split": "millstream.model.ports.replayable_source",
    "State": "millstream.state.state",
    "StateOptions": "millstream.state.state_options",
    "StateSpec": "millstream.state.state_spec",
    "StatsReportListener": "millstream.observe.stats_report_listener",
    "StreamingContext": "millstream.context.streaming_context",
    "StreamingListener": "millstream.observe.listener",
    "StreamingStarted": "millstream.observe.events",
    "StreamingStopped": "millstream.observe.events",
    "batch_rng": "millstream.model.current",
    "batch_time": "millstream.model.current",
    "read_committed": "millstream.sinks.read_committed",
    "register_type": "millstream.encoding.registered_types",
}
"""Where each public name lives. It is loaded at its first use, so that a program pays for what it uses."""

__all__ = [
    "RDD",
    "AvroDecoder",
    "Batch",
    "BatchAttemptFailed",
    "BatchCompleted",
    "BatchDiverged",
    "BatchMeasured",
    "BatchSkipped",
    "BatchStarted",
    "BatchSubmitted",
    "BatchTimesMerged",
    "CheckpointFailed",
    "CheckpointWritten",
    "ClockSetBack",
    "Codec",
    "Context",
    "DStream",
    "Environment",
    "InputsHeld",
    "KafkaRecord",
    "MillstreamError",
    "OffsetRange",
    "OutputCompleted",
    "OutputStarted",
    "Partition",
    "PidRateController",
    "Plan",
    "ProtobufDecoder",
    "RateChanged",
    "RateController",
    "Receiver",
    "ReceiverFailed",
    "ReceiverStarted",
    "ReceiverStopped",
    "Refreshed",
    "Refused",
    "ReplayableSource",
    "SchemaRegistryDecoder",
    "ServerSentEvent",
    "Sink",
    "SinkLineage",
    "SourceReport",
    "SourceReported",
    "Split",
    "State",
    "StateOptions",
    "StateRestored",
    "StateSpec",
    "StatsReportListener",
    "StreamingContext",
    "StreamingListener",
    "StreamingStarted",
    "StreamingStopped",
    "batch_rng",
    "batch_time",
    "read_committed",
    "register_type",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

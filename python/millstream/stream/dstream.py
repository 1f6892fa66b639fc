"""The stream that users see: all groups of methods in one class."""

from __future__ import annotations

from millstream.stream.async_calls import AsyncMethods
from millstream.stream.core import T_co
from millstream.stream.frames import FrameMethods
from millstream.stream.kafka_output import KafkaOutputMethods
from millstream.stream.narrow import NarrowMethods
from millstream.stream.pairs import PairMethods
from millstream.stream.persistence import PersistenceMethods
from millstream.stream.state import StateMethods
from millstream.stream.static_joins import StaticJoinMethods
from millstream.stream.tries import TryMethods
from millstream.stream.windows import WindowMethods


class DStream(
    NarrowMethods[T_co],
    AsyncMethods[T_co],
    TryMethods[T_co],
    PairMethods[T_co],
    WindowMethods[T_co],
    StateMethods[T_co],
    KafkaOutputMethods[T_co],
    PersistenceMethods[T_co],
    StaticJoinMethods[T_co],
    FrameMethods[T_co],
):
    """A discretized stream: one RDD a batch, and operators that work on every one of them.

    Streams are made by the `*_stream` methods of a `StreamingContext`, and nothing runs before it starts.
    Records may be shared between branches and windows, so they must not be changed in place.
    """

    __slots__ = ()

"""The receiver that is a member of a consumer group."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from millstream.environment.environment import Environment
from millstream.errors import MillstreamError
from millstream.model.kafka_client_options import ClientOptions
from millstream.model.ports.receiver import Receiver
from millstream.model.ports.replayable_source import SourceReport
from millstream.sources.kafka.dead_letter_topic import DeadLetterTopic
from millstream.sources.kafka.group.group_lags import GroupLags
from millstream.sources.kafka.group.group_member import (
    GroupMember,
    GroupStart,
    OnGroupOffsetOutOfRange,
    StoreColumns,
)
from millstream.sources.kafka.group.group_positions import GroupPositions
from millstream.sources.kafka.kafka_errors import as_error
from millstream.sources.kafka.subscription import Subscription

if TYPE_CHECKING:
    from millstream.model.partition import Columns

BLOCK_RECORDS = 10_000
"""Most records of a block: one write to the log and one commit are spread over them."""

STOP_S = 4.5
"""How long the end may take: less than the engine waits for the end of a receiver."""

CHECK_S = 10.0
"""How long the brokers may take to say whether the topic of dead letters is there."""

_REFRESH_MS = 60_000


class KafkaGroupReceiver(Receiver[Any]):
    """Is a member of a consumer group, and stores what it is given.

    Args:
        options: how the brokers are spoken to.
        subscription: topics or a pattern.
        group_id: the group.
        start: where a partition begins of which the group has committed nothing.
        isolation: `read_committed` or `read_uncommitted`.
        on_offset_out_of_range: what happens when the offset that comes next is gone.
        environment: gives the thread.
        dead_letters: where records go that cannot be decoded; it must be there.

    Attributes:
        options: how the brokers are spoken to.
        lags: how much waits in the partitions that the member has.
        most: records of a block, at most.
        store_columns: stores a block; set by the feed.
    """

    def __init__(
        self,
        options: ClientOptions,
        subscription: Subscription,
        group_id: str,
        *,
        start: GroupStart,
        isolation: str,
        on_offset_out_of_range: OnGroupOffsetOutOfRange,
        environment: Environment,
        dead_letters: DeadLetterTopic | None = None,
    ) -> None:
        self.name = f"Kafka group {group_id} over {subscription}"
        self.most = BLOCK_RECORDS
        self.store_columns: StoreColumns = _unset
        self.options = options
        self._subscription = subscription
        self._group_id = group_id
        self._start: GroupStart = start
        self._isolation = isolation
        self._on_offset_out_of_range: OnGroupOffsetOutOfRange = on_offset_out_of_range
        self._environment = environment
        self._dead_letters = dead_letters
        self._positions = GroupPositions()
        self.lags = GroupLags()
        self._losses: deque[SourceReport] = deque()
        self._stopping = threading.Event()
        self._ended = threading.Event()

    def take_over(self, position: Mapping[str, int] | None) -> None:
        """Be told, before the start, what is durable already."""
        self._positions.take_over(position or {})

    def reports(self) -> list[SourceReport]:
        """Take what was lost since the last call; from any thread."""
        # Why one by one: the thread of the member may put another one in meanwhile.
        return [self._losses.popleft() for _ in range(len(self._losses))]

    def on_start(self) -> None:
        stopping, ended = self._stopping, self._ended = threading.Event(), threading.Event()
        self._environment.start_thread(self.name, lambda: self._run(stopping, ended))

    def on_stop(self) -> None:
        self._stopping.set()
        self._ended.wait(STOP_S)

    def _run(self, stopping: threading.Event, ended: threading.Event) -> None:
        from millstream._core import KafkaClientError

        try:
            member = self._join()
            try:
                while not stopping.is_set():
                    member.turn(self.most)
            finally:
                member.leave()
        except KafkaClientError as error:
            what = f"{self.name} cannot go on."
            self._fail(as_error(error, what, self.options), stopping)
        except Exception as error:
            # Why any: the thread has nobody else to tell.
            self._fail(error, stopping)
        finally:
            self.lags.end()
            ended.set()

    def _fail(self, error: Exception, stopping: threading.Event) -> None:
        message = error.message if isinstance(error, MillstreamError) else f"{type(error).__name__}: {error}"
        tell: Callable[[str, BaseException], None] = self.report_error if stopping.is_set() else self.restart
        tell(message, error)

    def _join(self) -> GroupMember:
        from millstream._core import KafkaGroup, KafkaWatch

        watch = KafkaWatch(self.options.for_watching(self._isolation, self._group_id), _REFRESH_MS, False)
        if self._dead_letters is not None:
            self._dead_letters.check(watch, CHECK_S)
        self.lags.begin(watch)
        return GroupMember(
            KafkaGroup(self.options.for_group(self._isolation, self._group_id), self._subscription.for_group),
            watch,
            self._positions,
            self.lags,
            self.store_columns,
            self.report_error,
            self._losses.append,
            self._start,
            self._on_offset_out_of_range,
        )


def _unset(columns: Columns, position: Any) -> None:
    """The feed sets it before the start."""
    raise AssertionError("the feed stores")

"""The feed in front of a member of a consumer group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millstream.environment.environment import Environment
from millstream.ingest.receiver_feed import ReceiverFeed
from millstream.model.kafka_client_options import ClientOptions
from millstream.model.partition import Columns
from millstream.model.ports.block_feed import Block, BlockStore
from millstream.model.ports.replayable_source import SourceReport
from millstream.sources.kafka.decoding import Decoding
from millstream.sources.kafka.group.group_decoding import GroupDecoding
from millstream.sources.kafka.group.group_receiver import BLOCK_RECORDS, KafkaGroupReceiver
from millstream.sources.kafka.kafka_columns import kafka_rows

_ROOM_PATIENCE_S = 0.1
"""How long a block waits for room before the group is looked after."""

_BLOCK_S = 0.1
"""While a rate limit holds, a block has records of at most so long."""


class KafkaGroupFeed(ReceiverFeed[Any]):
    """Runs a `KafkaGroupReceiver`; its blocks are columns of Kafka records.

    Args:
        receiver: the member.
        environment: clock and threads.
        rate_per_s: limit of records a second, or None.
        decoding: what keys and values become in the tasks; None: they stay bytes.
    """

    gives_columns = True
    make = staticmethod(kafka_rows)

    def __init__(
        self,
        receiver: KafkaGroupReceiver,
        environment: Environment,
        rate_per_s: float | None,
        decoding: Decoding | None = None,
    ) -> None:
        self._member = receiver
        self.reads = None if decoding is None else GroupDecoding(receiver.name, decoding)
        super().__init__(receiver, environment, rate_per_s=rate_per_s, full_timeout_s=_ROOM_PATIENCE_S)
        receiver.store_columns = self._store

    @property
    def options(self) -> ClientOptions:
        """How the brokers are spoken to."""
        return self._member.options

    def persist(self, name: str, store: BlockStore, position: Any) -> None:
        super().persist(name, store, position)
        self._member.take_over(position)

    def set_rate(self, records_per_s: float | None) -> None:
        super().set_rate(records_per_s)
        most = BLOCK_RECORDS if records_per_s is None else max(1, int(records_per_s * _BLOCK_S))
        self._member.most = min(BLOCK_RECORDS, most)

    def lags(self, blocks: Sequence[Block]) -> Mapping[str, int]:
        return self._member.lags.behind(block.position for block in blocks)

    def reports(self) -> Sequence[SourceReport]:
        return self._member.reports()

    def _store(self, columns: Columns, position: Any) -> None:
        self._buffer.store_block(columns, len(columns), position)

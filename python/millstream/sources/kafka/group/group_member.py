"""One membership in a consumer group, from joining to leaving."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from millstream.environment.clock import SystemClock
from millstream.environment.logger import logger
from millstream.errors import DataError, InputFullError
from millstream.model.partition import Columns
from millstream.model.ports.replayable_source import SourceReport
from millstream.sources.kafka.group.group_lags import GroupLags
from millstream.sources.kafka.group.group_positions import GroupPositions
from millstream.sources.kafka.kafka_columns import kafka_rows

if TYPE_CHECKING:
    from millstream._core import KafkaGroup, KafkaWatch

GroupStart: TypeAlias = Literal["earliest", "latest"]
"""Where a partition begins of which the group has committed nothing."""

OnGroupOffsetOutOfRange: TypeAlias = Literal["fail", "earliest", "latest"]
"""What happens when the offset that comes next is not, or no longer, in its partition."""

StoreColumns: TypeAlias = Callable[[Columns, Any], None]
"""Stores a block of columns with its position, or raises InputFullError."""

POLL_S = 0.1
ASK_S = 10.0
COMMIT_S = 1.0
"""How often what was stored is committed."""

LAST_COMMIT_S = 3.0
"""How long the group may take to take the last offsets of partitions that are given back."""

PATIENCE_S = 1.0
"""After so long without room, the partitions are paused, and the group is served meanwhile."""

_Partition: TypeAlias = tuple[str, int]
_End: TypeAlias = tuple[str, int, int]


class GroupMember:
    """Reads what the group gives, stores it, commits what is stored. One thread.

    Args:
        group: the client that is in the group.
        watch: a client for questions about topics and offsets.
        positions: what was stored, also by earlier memberships.
        lags: told what the member has.
        store: stores a block.
        report: told what the user should know.
        lose: told what is lost.
        start: of partitions of which nothing is known.
        on_offset_out_of_range: see `OnGroupOffsetOutOfRange`.
    """

    def __init__(
        self,
        group: KafkaGroup,
        watch: KafkaWatch,
        positions: GroupPositions,
        lags: GroupLags,
        store: StoreColumns,
        report: Callable[[str], None],
        lose: Callable[[SourceReport], None],
        start: GroupStart,
        on_offset_out_of_range: OnGroupOffsetOutOfRange,
    ) -> None:
        self._group = group
        self._watch = watch
        self._positions = positions
        self._lags = lags
        self._store = store
        self._report = report
        self._lose = lose
        self._start: GroupStart = start
        self._on_out_of_range: OnGroupOffsetOutOfRange = on_offset_out_of_range
        self._clock = SystemClock()
        self._reached: dict[_Partition, int] = {}
        self._uncommitted: dict[_Partition, int] = {}
        self._pending: deque[tuple[Any, list[_End]]] = deque()
        self._full_since_ms: float | None = None
        self._paused = False
        self._committed_ms = self._clock.monotonic_ms()

    def turn(self, most: int) -> None:
        """Store what waits, take what comes next, of records at most so many.

        Raises:
            KafkaClientError: the group or the brokers refuse.
            DataError: an offset is gone, and the policy is to fail.
        """
        self._tell_health()
        full = not self._store_pending()
        self._pause(full and self._is_patience_over())
        if full and not self._paused:
            return
        met = self._group.poll(0.0 if full else POLL_S, most)
        match met:
            case ("records", columns, ends):
                self._pending.append((columns, ends))
                self._store_pending()
            case ("given", partitions, _):
                self._take(partitions)
            case ("taken", partitions, lost):
                self._give_back(partitions, lost)
            case ("out_of_range", partitions, _):
                self._go_on_elsewhere(*partitions[0])
            case _:
                pass
        if self._clock.monotonic_ms() - self._committed_ms >= COMMIT_S * 1_000:
            self._commit(list(self._uncommitted), 0.0)

    def leave(self) -> None:
        """Commit what is stored, and leave the group."""
        self._commit(list(self._uncommitted), LAST_COMMIT_S)
        self._group.leave(LAST_COMMIT_S)

    def _take(self, partitions: Sequence[_Partition]) -> None:
        topics = sorted({topic for topic, _ in partitions})
        for name, topic_id, *_ in self._watch.describe(topics, ASK_S) if topics else ():
            self._positions.name_topic(name, topic_id)
        committed = self._watch.committed(list(partitions), ASK_S) if partitions else []
        begun = self._beginnings(partitions)
        offsets: list[_End] = []
        for (topic, number), in_group, first in zip(partitions, committed, begun, strict=True):
            known = [offset for offset in (in_group, self._positions.next(topic, number)) if offset is not None]
            # Why the later one: the group's is behind when a commit was lost, the journal's when another member read.
            offset = max(known) if known else first
            offsets.append((topic, number, offset))
            self._reached[topic, number] = offset
            if in_group is None:
                # Who has the partition next begins there too, also if no record came.
                self._uncommitted[topic, number] = offset
        self._group.assign(offsets)
        self._note_given(offsets)
        if partitions:
            logger.info("Given to read: %s", ", ".join(f"{topic}[{number}] from {at}" for topic, number, at in offsets))

    def _note_given(self, offsets: Sequence[_End]) -> None:
        self._lags.give({(topic, number): (self._positions.name(topic, number), at) for topic, number, at in offsets})

    def _beginnings(self, partitions: Sequence[_Partition]) -> list[int]:
        """Give where partitions begin of which nothing is known; after the first records they are taken to be new."""
        if not partitions:
            return []
        time = -1 if self._start == "latest" and self._positions.is_new else -2
        return self._watch.offsets([(*partition, time) for partition in partitions], ASK_S)

    def _give_back(self, partitions: Sequence[_Partition], lost: bool) -> None:
        if not lost:
            self._store_pending()
            self._commit(partitions, LAST_COMMIT_S)
        for partition in partitions:
            self._reached.pop(partition, None)
            self._uncommitted.pop(partition, None)
        self._drop_pending()
        self._group.unassign(list(partitions))
        self._lags.take(partitions)
        if partitions:
            names = ", ".join(f"{topic}[{number}]" for topic, number in partitions)
            logger.info("%s: %s", "Lost to others" if lost else "Given back", names)

    def _drop_pending(self) -> None:
        """Drop what there was no room for: it is not committed, and read again by whoever has its partition."""
        dropped = {(topic, number) for _, ends in self._pending for topic, number, _ in ends}
        self._pending.clear()
        self._go_on(dropped & set(self._reached))

    def _go_on(self, partitions: Collection[_Partition]) -> None:
        if partitions:
            ends = [(*partition, offset) for partition, offset in self._reached.items()]
            self._group.go_on([end for end in ends if end[:2] in partitions], ends)

    def _store_pending(self) -> bool:
        """Store what waits; False while there is no room."""
        import pyarrow as pa

        while self._pending:
            columns, ends = self._pending[0]
            table = pa.table(columns)
            try:
                self._store(Columns(table, scalar=False, make=kafka_rows), self._positions.of(ends))
            except InputFullError:
                self._pending[0] = (table, ends)
                if self._full_since_ms is None:
                    self._full_since_ms = self._clock.monotonic_ms()
                return False
            self._pending.popleft()
            self._positions.store(*ends)
            for topic, number, offset in ends:
                self._reached[topic, number] = self._uncommitted[topic, number] = offset
        self._full_since_ms = None
        return True

    def _is_patience_over(self) -> bool:
        since_ms = self._full_since_ms
        return since_ms is not None and self._clock.monotonic_ms() - since_ms > PATIENCE_S * 1_000

    def _pause(self, paused: bool) -> None:
        if paused != self._paused:
            self._paused = paused
            if self._reached:
                self._group.pause(list(self._reached), paused)

    def _commit(self, partitions: Sequence[_Partition], wait_s: float) -> None:
        from millstream._core import KafkaClientError

        self._committed_ms = self._clock.monotonic_ms()
        offsets = [
            (*partition, self._uncommitted[partition]) for partition in partitions if partition in self._uncommitted
        ]
        if not offsets:
            return
        try:
            self._group.commit(offsets, wait_s)
        except KafkaClientError as error:
            # Why not raised: the journal has the offsets. Another member may read these records once more.
            self._report(f"Offsets could not be committed to the group: {error}")
            return
        for topic, number, _ in offsets:
            del self._uncommitted[topic, number]

    def _go_on_elsewhere(self, topic: str, number: int) -> None:
        where = f"{topic}[{number}]"
        reached = self._reached[topic, number]
        [(_, topic_id, *_)] = self._watch.describe([topic], ASK_S)
        # Why two questions: one list cannot name a partition twice.
        [low] = self._watch.offsets([(topic, number, -2)], ASK_S)
        [high] = self._watch.offsets([(topic, number, -1)], ASK_S)
        anew = topic_id != self._positions.id_of(topic)
        said = f"Offset {reached} of {where} comes next; it holds {low} to {high}" + (
            ", and its topic was made anew." if anew else "."
        )
        if self._on_out_of_range == "fail":
            raise DataError(
                f"Records of {where} are gone before they were read.",
                detail=said,
                hint="Keep records longer (retention.ms, retention.bytes) than the stream may be behind; or give "
                'on_offset_out_of_range="earliest" or "latest" to go on without them.',
            )
        self._positions.name_topic(topic, topic_id)
        then = high if self._on_out_of_range == "latest" else low
        # Of a topic that was made anew nobody can say what the old one held.
        lost = None if anew else max(0, then - reached)
        message = f"{said} It goes on at {then}." + ("" if lost is None else f" {lost} offsets are left out.")
        self._lose(SourceReport("lost", message, lost))
        self._report(message)
        self._reached[topic, number] = then
        self._go_on([(topic, number)])
        self._note_given([(topic, number, then)])

    def _tell_health(self) -> None:
        for kind, detail in self._group.events():
            if kind == "failed":
                self._report(f"Kafka does not answer: {detail}")
            else:
                logger.info("Kafka answers again %s", detail)

"""The source that reads Kafka directly: each batch is a range of offsets of each Kafka partition."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from millstream.environment.logger import logger
from millstream.errors import InvalidError
from millstream.model.choices import above_zero, one_of
from millstream.model.kafka_client_options import ClientOptions
from millstream.model.offset_range import OffsetRange
from millstream.model.partition import Partition
from millstream.model.ports.replayable_source import Plan, ReplayableSource, SourceReport, Split
from millstream.sources.kafka.dead_letter_topic import DeadLetterTopic
from millstream.sources.kafka.decoding import Decoder, Decoding, OnUndecodable
from millstream.sources.kafka.kafka_errors import as_error
from millstream.sources.kafka.planner import OnOffsetOutOfRange, OnTopicChange, Planner, Position, offset_range
from millstream.sources.kafka.range_reads import RangeReads
from millstream.sources.kafka.readers import drop_reader, reader_here
from millstream.sources.kafka.start import Start, StartOffsets
from millstream.sources.kafka.subscription import Subscription
from millstream.sources.kafka.topic_watch import TopicWatch

Isolation: TypeAlias = Literal["read_committed", "read_uncommitted"]
"""Whether records of transactions that are open or were aborted are read."""

_SHORT_INTERVAL_MS = 20
"""With batches as short as this, none waits for an answer of the brokers: it takes the last one."""

_WAIT_MAX_S = 0.05
"""How long a plan waits for the brokers' answer at most."""

_LONG_INTERVAL_MS = 500
"""With batches as long as this, the brokers are asked a little before the batch time, and nobody waits for them."""

_EARLY_S, _FRESH_S = 0.005, 0.01
"""So long before the batch time, with long batches; and how old the answer may be."""

_FOLLOWED_FRESH_S = 0.05
"""How old it may be with short intervals where records are read in this process: what was fetched is newer anyway, and
a question for each batch takes time of the brokers and of this process."""

_LAST_COMMIT_S = 2.0
"""How long the end of the stream waits until the group has the last offsets."""

_numbers = itertools.count(1)


class KafkaSource(ReplayableSource[Any]):
    """Reads topics of Kafka. The position is the next offset of each Kafka partition; a split is a range of offsets.

    Made by `StreamingContext.kafka_stream`, which describes the arguments.

    Example:
        >>> KafkaSource("localhost:9092", topics=["lines"], options={"sasl.password": "hunter2"})
        <KafkaSource lines at localhost:9092>
    """

    limits_records = True

    def __init__(
        self,
        servers: str | Iterable[str],
        *,
        topics: str | Iterable[str] | None = None,
        pattern: str | re.Pattern[str] | None = None,
        partitions: Iterable[tuple[str, int]] | None = None,
        start: Start = "latest",
        isolation: Isolation = "read_committed",
        group_id: str | None = None,
        min_records_per_partition: int | None = None,
        max_records_per_partition: int | None = None,
        max_records_per_task: int | None = None,
        key_decoder: Decoder = "bytes",
        value_decoder: Decoder = "bytes",
        on_undecodable: OnUndecodable = "fail",
        dead_letters: str | None = None,
        on_offset_out_of_range: OnOffsetOutOfRange = "fail",
        on_topic_change: OnTopicChange = "fail",
        refresh: float = 5.0,
        start_timeout: float = 10.0,
        read_timeout: float = 60.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        one_of("isolation", isolation, ("read_committed", "read_uncommitted"))
        one_of("on_offset_out_of_range", on_offset_out_of_range, ("fail", "earliest", "latest"))
        one_of("on_undecodable", on_undecodable, ("fail", "skip", "dead_letter"))
        one_of("on_topic_change", on_topic_change, ("fail", "restart"))
        for name, seconds in (("refresh", refresh), ("start_timeout", start_timeout), ("read_timeout", read_timeout)):
            above_zero(name, seconds)
        for name, count in (
            ("min_records_per_partition", min_records_per_partition),
            ("max_records_per_partition", max_records_per_partition),
            ("max_records_per_task", max_records_per_task),
        ):
            if count is not None:
                above_zero(name, count)
        self.options = ClientOptions(servers, options)
        self.isolation = isolation
        self._subscription = Subscription(topics, pattern, partitions)
        self.name = f"Kafka {self._subscription}"
        self._start = StartOffsets(start, group_id)
        self._group_id = group_id
        self._refresh_s = refresh
        self._start_timeout_s = start_timeout
        self._planner = Planner(
            isolation,
            on_offset_out_of_range,
            on_topic_change,
            min_records_per_partition,
            max_records_per_partition,
            max_records_per_task,
        )
        # The same in the copies that executors have, and no other source's.
        self._reads = RangeReads(f"{os.getpid()}-{next(_numbers)}", self.options, read_timeout, on_offset_out_of_range)
        self._dead_letters = DeadLetterTopic.named(self.options, on_undecodable, dead_letters)
        self._decoding = Decoding(key_decoder, value_decoder, on_undecodable, self._dead_letters)
        self._watch: TopicWatch | None = None
        self._first: Position | None = None
        self._planned: dict[int, Position] = {}
        self._done: Position | None = None
        self._last_ms: int | None = None
        self._interval_ms: int | None = None
        self._reports: list[SourceReport] = []
        self._losses_seen = 0
        self._group_trouble: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Why without these: executors only read.
        return {
            **self.__dict__,
            "_watch": None,
            "_planner": None,
            "_planned": {},
            "_done": None,
            "_first": None,
            "_reports": [],
        }

    def __repr__(self) -> str:
        return f"<KafkaSource {self._subscription} at {self.options.servers}>"

    @property
    def lags(self) -> dict[str, int]:
        """How many offsets wait behind the newest plan in each Kafka partition, by `topic[number]`."""
        return dict(self._planner.lags)

    def open(self, position: Any) -> None:
        """Connect, and find out where to begin.

        Raises:
            ConfigurationError: a topic is not there, credentials are refused, or an option cannot work.
            SourceUnavailableError: no broker answered in time.
        """
        watch = self._watch = TopicWatch(
            self.options,
            self._subscription,
            self.isolation,
            self._group_id,
            self._refresh_s,
            self._start_timeout_s,
        )
        watch.start(list(position or ()))
        if self._dead_letters is not None:
            self._check_dead_letters(watch, self._dead_letters)
        if position is None:
            self._first = self._beginning(watch)

    def plan(self, batch_ms: int, after: Any, limit: int | None) -> Plan:
        """Give the offsets that are there and that no batch has taken.

        It asks the brokers, but waits no longer than a quarter of the batch interval (50 ms at most), and not at all
        with short intervals or while they do not answer: then the batch has what was known before. With long
        intervals they have been asked just before.

        Raises:
            DataError: offsets or a topic are gone, and the policy is to fail.
        """
        watch = self._watch
        assert watch is not None, "open comes first"
        begun = self._first if after is None else after
        assert begun is not None
        position: Position = begun
        wait_s = self._wait_s(batch_ms)
        watch.client.ask_for_ends(wait_s, self._fresh_s)
        try:
            watch.look()
            for name in watch.gone():
                position = self._planner.drop(name, position)
                watch.forget(name)
            plan = self._planner.plan(watch.topics, position, limit, self._fetched(watch, position), watch.asked)
        except InvalidError:
            raise
        finally:
            self._collect_reports(watch)
        if self._planner._beyond:
            watch.client.ask_for_topics()
        if self._group_id is not None:
            self._planned[batch_ms] = plan.position
        if self._is_long:
            watch.client.ask_in((self._interval_ms or 0) / 1_000 - _EARLY_S)
        return plan

    def confirm(self, splits: Sequence[Split]) -> Sequence[Split]:
        """Ask the brokers whether the topics are still those that were planned.

        Raises:
            DataError: one was deleted, or made anew, and the policy is to fail.
            SourceUnavailableError: the brokers did not answer in time.
        """
        watch = self._watch
        assert watch is not None, "open comes first"
        names = {split.data["topic"] for split in splits}
        return self._planner.confirm(splits, watch.ids(names, self._reads.timeout_s))

    def read(self, split: Split) -> Partition[Any]:
        """Read one range of one Kafka partition.

        Raises:
            DataError: records of it are gone or cannot be decoded, and the policy is to fail.
            SourceUnavailableError: the brokers did not answer in time.
        """
        return self._decoding.partition(self._reads.table(split), split.description)

    def ranges(self, splits: Sequence[Split]) -> tuple[OffsetRange, ...]:
        """Give the offsets of splits."""
        return tuple(offset_range(split) for split in splits)

    @property
    def invalid(self) -> int:
        """How many records could not be decoded and were left out."""
        return self._decoding.skipped.value

    def done(self, batch_ms: int) -> None:
        """Commit the offsets of the batch to the group, where there is one; an outside monitor sees the lag."""
        position = self._planned.pop(batch_ms, None)
        if position is not None:
            self._done = position
            self._commit(position, 0.0)
            for older in [time for time in self._planned if time < batch_ms]:
                del self._planned[older]

    def reports(self) -> list[SourceReport]:
        """Take what happened since the last call: records that were lost, brokers that do not answer."""
        self._collect_losses()
        taken, self._reports = self._reports, []
        return taken

    def close(self) -> None:
        """Let the clients go."""
        for isolation in ("read_committed", "read_uncommitted"):
            drop_reader(f"{self._reads.name} {isolation}")
        if self._watch is not None:
            if self._done is not None:
                # What was sent last may not have arrived, and would not after this.
                self._commit(self._done, _LAST_COMMIT_S)
            self._watch.close()
            self._watch = None

    def _check_dead_letters(self, watch: TopicWatch, topic: DeadLetterTopic) -> None:
        from millstream._core import KafkaClientError

        try:
            topic.check(watch.client, self._start_timeout_s)
        except KafkaClientError as error:
            raise as_error(error, "Kafka could not be asked for the topic of dead letters.", self.options) from error

    def _beginning(self, watch: TopicWatch) -> Position:
        from millstream._core import KafkaClientError

        pairs = [(name, part.number) for name, topic in watch.topics.items() for part in topic.parts]
        try:
            offsets = self._start.resolve(watch.client, pairs, self._start_timeout_s) if pairs else []
        except KafkaClientError as error:
            raise as_error(error, "Kafka could not be asked where to start.", self.options) from error
        position: dict[str, dict[str, Any]] = {}
        for (name, number), offset in zip(pairs, offsets, strict=True):
            entry = position.setdefault(name, {"id": watch.topics[name].id, "next": []})
            entry["next"] += [None] * (number - len(entry["next"])) + [offset]
        return position

    def _wait_s(self, batch_ms: int) -> float:
        last_ms, self._last_ms = self._last_ms, batch_ms
        if last_ms is not None and batch_ms > last_ms:
            interval_ms = batch_ms - last_ms
            self._interval_ms = min(interval_ms, self._interval_ms or interval_ms)
        if self._interval_ms is None:
            return _WAIT_MAX_S
        return 0.0 if self._interval_ms < _SHORT_INTERVAL_MS else min(_WAIT_MAX_S, self._interval_ms / 4_000)

    @property
    def _is_long(self) -> bool:
        return self._interval_ms is not None and self._interval_ms >= _LONG_INTERVAL_MS

    @property
    def _fresh_s(self) -> float:
        """How old what the brokers said may be, so that they are not asked again, seconds."""
        if self._is_long:
            return _FRESH_S
        is_short = self._interval_ms is not None and self._interval_ms < _SHORT_INTERVAL_MS
        return _FOLLOWED_FRESH_S if is_short and reader_here(self._reader_name) is not None else 0.0

    @property
    def _reader_name(self) -> str:
        return f"{self._reads.name} {self.isolation}"

    def _fetched(self, watch: TopicWatch, position: Position) -> dict[tuple[str, int], int]:
        """Say up to which offsets records are in this process already: newer than any answer."""
        reader = reader_here(self._reader_name)
        if reader is None:
            return {}
        wanted = [
            (name, number, start)
            for name, entry in position.items()
            if name in watch.topics and watch.topics[name].id == entry["id"]
            for number, start in enumerate(entry["next"])
            if start is not None
        ]
        found = reader.follow(wanted)
        return {
            (name, number): until for (name, number, _), until in zip(wanted, found, strict=True) if until is not None
        }

    def _commit(self, position: Position, wait_s: float) -> None:
        from millstream._core import KafkaClientError

        assert self._watch is not None
        offsets = [
            (name, number, offset)
            for name, entry in position.items()
            for number, offset in enumerate(entry["next"])
            if offset is not None
        ]
        try:
            if offsets:
                self._watch.client.commit(offsets, wait_s)
            trouble = self._watch.client.group_error()
        except KafkaClientError as error:
            trouble = str(error)
        # Why not raised: the journal has the offsets; the group's are for monitors alone.
        if trouble is not None and trouble != self._group_trouble:
            logger.warning("The offsets of the group %s could not be committed: %s", self._group_id, trouble)
            self._group_trouble = trouble

    def _collect_reports(self, watch: TopicWatch) -> None:
        for kind, detail in watch.client.events():
            failed = kind == "failed"
            message = f"Kafka at {self.options.servers} " + (
                f"does not answer: {detail}" if failed else f"answers again {detail}"
            )
            self._report(SourceReport("unreachable" if failed else "reachable", message))
        self._collect_losses()
        for report in self._planner.reports:
            self._report(report)
        self._planner.reports.clear()

    def _collect_losses(self) -> None:
        """Take what was lost in reading; tasks have told of it by the end of their batch."""
        losses = self._reads.losses.value
        for message, records in losses[self._losses_seen :]:
            self._report(SourceReport("lost", message, records))
        self._losses_seen = len(losses)

    def _report(self, report: SourceReport) -> None:
        log = logger.info if report.kind == "reachable" else logger.warning
        log("%s: %s", self.name, report.message)
        self._reports.append(report)

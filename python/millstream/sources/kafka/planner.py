"""Which offsets belong to a batch: pure, given what is known about the partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from millstream.errors import DataError
from millstream.model.offset_range import OffsetRange
from millstream.model.ports.replayable_source import Plan, SourceReport, Split
from millstream.sources.kafka.shares import shares
from millstream.sources.kafka.topic_watch import WatchedTopic

OnOffsetOutOfRange: TypeAlias = Literal["fail", "earliest", "latest"]
"""What happens when the offset that comes next is not, or no longer, in its partition."""

OnTopicChange: TypeAlias = Literal["fail", "restart"]
"""What happens when a topic is deleted, or was deleted and made anew."""

Position: TypeAlias = Mapping[str, Mapping[str, Any]]
"""By topic: `id`, and in `next` the next offset of each Kafka partition by number, None where it is not read."""

TIMES_BEYOND = 2
"""How often the end of a partition must be found before the offset that comes next until it is believed."""


@dataclass(slots=True)
class _Range:
    topic: str
    topic_id: str
    number: int
    epoch: int
    start: int
    high: int


@dataclass(slots=True)
class Planner:
    """Plans batches.

    Args:
        isolation: goes into the splits.
        on_offset_out_of_range: see `OnOffsetOutOfRange`.
        on_topic_change: see `OnTopicChange`.
        least: records that a partition gives at least, when there are more than the batch takes.
        most: records that a partition gives at most.
        per_task: records after which a range is cut, so that several tasks read it.

    Attributes:
        reports: what was lost, for whoever takes it.
        lags: how many offsets wait behind the last plan in each partition, by `topic[number]`.
    """

    isolation: str
    on_offset_out_of_range: OnOffsetOutOfRange = "fail"
    on_topic_change: OnTopicChange = "fail"
    least: int | None = None
    most: int | None = None
    per_task: int | None = None
    reports: list[SourceReport] = field(default_factory=list)
    lags: dict[str, int] = field(default_factory=dict)
    _beyond: dict[tuple[str, int], int] = field(default_factory=dict)

    def plan(
        self,
        topics: Mapping[str, WatchedTopic],
        after: Position,
        limit: int | None,
        fetched: Mapping[tuple[str, int], int],
        asked: int,
    ) -> Plan:
        """Plan a batch.

        Args:
            topics: what is known.
            after: the position.
            limit: most records of the batch.
            fetched: offsets up to which records are here already, where they are.
            asked: how often topics and offsets were asked for.

        Raises:
            DataError: offsets or a topic are gone, and the policy is to fail.
        """
        ranges: list[_Range] = []
        moved: dict[str, dict[str, Any]] = {}
        for name, topic in topics.items():
            before = self._known(name, topic.id, after)
            nexts = list(before)
            for part in topic.parts:
                if part.high < 0:
                    continue  # Its leader has not answered yet.
                nexts.extend([None] * (part.number + 1 - len(nexts)))
                start = nexts[part.number]
                key = (name, part.number)
                high = max(part.high, fetched.get(key, -1))
                if start is None:
                    # Why from the first: what is in a partition that came later was written after the start.
                    start = max(0, part.low)
                elif start < part.low:
                    start = self._out_of_range(name, part.number, start, part.low, high)
                elif start > high:
                    start = self._before_the_end(key, start, part.low, high, asked)
                else:
                    self._beyond.pop(key, None)
                nexts[part.number] = start
                ranges.append(_Range(name, topic.id, part.number, part.epoch, start, max(start, high)))
            if name not in after or nexts != before or after[name]["id"] != topic.id:
                moved[name] = {"id": topic.id, "next": nexts}
        return self._shared(ranges, after, moved, limit)

    def drop(self, name: str, after: Position) -> Position:
        """Take a topic that is gone out of the position.

        Raises:
            DataError: the policy is to fail.
        """
        if name not in after:
            return after
        if self.on_topic_change == "fail":
            raise DataError(
                f"The topic {name} has been deleted.",
                detail=f"Its id was {after[name]['id']}; it was read up to {_shown(after[name]['next'])}.",
                hint='Give on_topic_change="restart" to go on without it, and with a new one of this name from its '
                "beginning; records that were not read are lost either way.",
            )
        self._lost(f"The topic {name} has been deleted; it was read up to {_shown(after[name]['next'])}.", None)
        return {other: entry for other, entry in after.items() if other != name}

    def confirm(self, splits: Sequence[Split], ids: Mapping[str, str | None]) -> list[Split]:
        """Say which splits of an earlier plan are of topics that are still the same.

        Args:
            splits: of one batch.
            ids: of topics as they are now, None where there is none; one that is not in it is taken to be the same.

        Raises:
            DataError: a topic is another one, and the policy is to fail.
        """
        left: list[Split] = []
        lost: dict[str, list[Split]] = {}
        for split in splits:
            name = split.data["topic"]
            (left if ids.get(name, split.data["id"]) == split.data["id"] else lost.setdefault(name, [])).append(split)
        for name, gone in lost.items():
            happened = "has been deleted" if ids[name] is None else "was deleted and made anew"
            ranges = ", ".join(split.description for split in gone)
            if self.on_topic_change == "fail":
                now = "there is none of this name now" if ids[name] is None else f"the id is {ids[name]} now"
                raise DataError(
                    f"The topic {name} {happened} after a batch was planned that reads it.",
                    detail=f"The batch reads {ranges} of the topic with the id {gone[0].data['id']}; {now}.",
                    hint='Give on_topic_change="restart" to run the batch without these records and go on with a new '
                    "topic of this name from its beginning; or give the whole batch up: millstream checkpoint skip.",
                )
            self._lost(
                f"The topic {name} {happened}; a batch that runs again is without {ranges}.",
                sum(split.data["until"] - split.data["from"] for split in gone),
            )
        return left

    def _known(self, name: str, topic_id: str, after: Position) -> Sequence[int | None]:
        entry = after.get(name)
        if entry is None:
            return ()
        if entry["id"] == topic_id:
            nexts: Sequence[int | None] = entry["next"]
            return nexts
        if self.on_topic_change == "fail":
            raise DataError(
                f"The topic {name} was deleted and made anew.",
                detail=f"Its id was {entry['id']} and is {topic_id}; it was read up to {_shown(entry['next'])}.",
                hint='Give on_topic_change="restart" to read the new topic from its beginning; records of the old one '
                "that were not read are lost either way.",
            )
        self._lost(
            f"The topic {name} was deleted and made anew; the old one was read up to {_shown(entry['next'])}, and the "
            "new one is read from its beginning.",
            None,
        )
        return ()

    def _out_of_range(self, name: str, number: int, start: int, low: int, high: int) -> int:
        policy = self.on_offset_out_of_range
        where = f"{name}[{number}]"
        if policy == "fail":
            raise DataError(
                f"Records of {where} are gone before they were read.",
                detail=f"Offset {start} comes next; the partition holds {low} to {high}.",
                hint="Keep records longer (retention.ms, retention.bytes) than the stream may be behind; or give "
                'on_offset_out_of_range="earliest" or "latest" to go on without them.',
            )
        then = low if policy == "earliest" else high
        lost = max(0, then - start)
        self._lost(
            f"{where} goes on at {then} in place of {start}: it holds {low} to {high}, and the offsets "
            f"{start} to {max(start, then)} are left out.",
            lost,
        )
        return then

    def _before_the_end(self, key: tuple[str, int], start: int, low: int, high: int, asked: int) -> int:
        since = self._beyond.setdefault(key, asked)
        # Why not at once: the end that is known may be older than the position.
        if asked - since < TIMES_BEYOND:
            return start
        del self._beyond[key]
        return self._out_of_range(*key, start, low, high)

    def _shared(
        self, ranges: list[_Range], after: Position, moved: dict[str, dict[str, Any]], limit: int | None
    ) -> Plan:
        waiting = [part.high - part.start for part in ranges]
        total = sum(waiting)
        if total == 0:
            self.lags = {_name(part): 0 for part in ranges}
            return Plan([], {**after, **moved} if moved else after, 0, self.lags)
        taken = shares(waiting, limit, least=self.least, most=self.most)
        splits: list[Split] = []
        self.lags = {}
        for part, wait, count in zip(ranges, waiting, taken, strict=True):
            self.lags[_name(part)] = wait - count
            if count:
                entry = moved.get(part.topic)
                if entry is None:
                    old = after[part.topic]
                    entry = moved[part.topic] = {"id": old["id"], "next": list(old["next"])}
                entry["next"][part.number] = part.start + count
                splits += self._splits(part, count)
        return Plan(splits, {**after, **moved}, total - sum(taken), self.lags)

    def _splits(self, part: _Range, count: int) -> list[Split]:
        pieces = 1 if self.per_task is None else -(-count // self.per_task)
        bounds = [part.start + count * piece // pieces for piece in range(pieces + 1)]
        return [self._split(part, low, high) for low, high in pairwise(bounds)]

    def _split(self, part: _Range, start: int, until: int) -> Split:
        data = {
            "topic": part.topic,
            "id": part.topic_id,
            "partition": part.number,
            "from": start,
            "until": until,
            "epoch": part.epoch,
            "isolation": self.isolation,
        }
        # Why no count: markers of transactions and compaction leave gaps, and only reading can tell.
        return Split(data, None, f"{_name(part)} {start}..{until}")

    def _lost(self, message: str, records: int | None) -> None:
        self.reports.append(SourceReport("lost", message, records))


def offset_range(split: Split) -> OffsetRange:
    """Give the offsets of a split."""
    data = split.data
    return OffsetRange(data["topic"], data["partition"], data["from"], data["until"])


def _name(part: _Range) -> str:
    return f"{part.topic}[{part.number}]"


def _shown(nexts: Sequence[int | None]) -> str:
    return ", ".join(f"[{number}] {offset}" for number, offset in enumerate(nexts) if offset is not None)

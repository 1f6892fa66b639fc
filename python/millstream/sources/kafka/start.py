"""Where a Kafka stream begins at its very first start."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from millstream.errors import ConfigurationError, shown

if TYPE_CHECKING:
    from millstream._core import KafkaWatch

Start: TypeAlias = Literal["earliest", "latest", "committed"] | Mapping[int | tuple[str, int], int] | datetime.datetime
"""Where a stream begins; see `StreamingContext.kafka_stream`."""

_Named: TypeAlias = Literal["earliest", "latest", "committed"]
_EARLIEST, _LATEST = -2, -1


class StartOffsets:
    """Where a stream begins in each Kafka partition.

    Args:
        start: a word, an aware datetime, or an offset for each partition: by its number where one topic is read, else
            by topic and number.
        group_id: the group of `committed`.

    Raises:
        ConfigurationError: it cannot work.
    """

    def __init__(self, start: Start, group_id: str | None) -> None:
        self.start = start
        if isinstance(start, str):
            known = start in get_args(_Named)
        elif isinstance(start, datetime.datetime):
            known = start.tzinfo is not None
        else:
            known = isinstance(start, Mapping) and all(isinstance(offset, int) for offset in start.values())
        if not known:
            raise ConfigurationError(
                "start says nothing that a Kafka stream could do.",
                detail=f"start={shown(start)}.",
                hint='Give "earliest", "latest", "committed", {partition: offset}, or a datetime with its time zone.',
            )
        if start == "committed" and group_id is None:
            raise ConfigurationError(
                "A stream that starts at what a group has committed needs the group.",
                detail='start="committed" and group_id=None.',
                hint="Give group_id=.",
            )

    def resolve(self, watch: KafkaWatch, partitions: Sequence[tuple[str, int]], timeout_s: float) -> list[int]:
        """Ask for the offset of each partition.

        Returns:
            Offsets in the order of the partitions. Where a group has committed nothing it is the first one, where
            no record is as late as the datetime it is the end.

        Raises:
            KafkaClientError: the brokers refused or did not answer.
            ConfigurationError: an offset is missing.
        """
        start = self.start
        if isinstance(start, Mapping):
            return _given(start, partitions)
        if isinstance(start, datetime.datetime):
            found = watch.offsets(_at(partitions, int(start.timestamp() * 1000)), timeout_s)
            return self._filled(
                [offset if offset >= 0 else None for offset in found], _LATEST, watch, partitions, timeout_s
            )
        if start == "committed":
            committed = watch.committed(list(partitions), timeout_s)
            return self._filled(committed, _EARLIEST, watch, partitions, timeout_s)
        return watch.offsets(_at(partitions, _EARLIEST if start == "earliest" else _LATEST), timeout_s)

    def _filled(
        self,
        found: Sequence[int | None],
        otherwise: int,
        watch: KafkaWatch,
        partitions: Sequence[tuple[str, int]],
        timeout_s: float,
    ) -> list[int]:
        if None not in found:
            return [offset for offset in found if offset is not None]
        ends = watch.offsets(_at(partitions, otherwise), timeout_s)
        return [end if offset is None else offset for offset, end in zip(found, ends, strict=True)]


def _at(partitions: Sequence[tuple[str, int]], time: int) -> list[tuple[str, int, int]]:
    return [(topic, number, time) for topic, number in partitions]


def _given(start: Mapping[Any, int], partitions: Sequence[tuple[str, int]]) -> list[int]:
    single = len({topic for topic, _ in partitions}) == 1
    offsets = {pair: start.get(pair, start.get(pair[1]) if single else None) for pair in partitions}
    missing = [f"{topic}[{number}]" for (topic, number), offset in offsets.items() if offset is None]
    strange = [key for key in start if key not in offsets and not (single and (partitions[0][0], key) in offsets)]
    if missing or strange:
        raise ConfigurationError(
            "start does not name the offsets of the partitions that are read.",
            detail=f"Without offset: {', '.join(missing) or 'none'}; not read: {shown(strange)}.",
            hint="Give an offset for each partition: {number: offset}; with several topics {(topic, number): offset}.",
        )
    return [offset for offset in offsets.values() if offset is not None]

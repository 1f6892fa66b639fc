"""Which topics and Kafka partitions a stream reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from millstream.errors import ArgumentTypeError, ConfigurationError, shown


class Subscription:
    """Topics by name, topics by pattern, or single Kafka partitions.

    Args:
        topics: names of topics; all their partitions are read, also those that are added later.
        pattern: a regular expression that the whole name of a topic has to match; topics that are made later are
            read too. Names that begin with `__` are Kafka's own and never match.
        partitions: pairs of topic and number of the partition.

    Raises:
        ConfigurationError: not exactly one of them is given, or it is empty or cannot work.

    Example:
        >>> Subscription(pattern="logs-.*").matching(["logs-a", "other", "__consumer_offsets"])
        ['logs-a']
        >>> Subscription(partitions=[("a", 2), ("a", 0)]).numbers("a", 3)
        [0, 2]
    """

    def __init__(
        self,
        topics: str | Iterable[str] | None = None,
        pattern: str | re.Pattern[str] | None = None,
        partitions: Iterable[tuple[str, int]] | None = None,
    ) -> None:
        if sum(given is not None for given in (topics, pattern, partitions)) != 1:
            raise ConfigurationError(
                "A Kafka stream reads topics, a pattern of topics, or partitions.",
                detail=f"topics={shown(topics)}, pattern={shown(pattern)}, partitions={shown(partitions)}.",
                hint="Give exactly one of the three.",
            )
        self._topics = None if topics is None else _names(topics)
        self._pattern = None if pattern is None else _compiled(pattern)
        self._partitions = None if partitions is None else _pairs(partitions)

    @property
    def has_pattern(self) -> bool:
        """Tell whether topics may come later."""
        return self._pattern is not None

    @property
    def named(self) -> list[str]:
        """The topics that must be there, sorted."""
        if self._partitions is not None:
            return sorted(self._partitions)
        return self._topics or []

    @property
    def for_group(self) -> list[str]:
        """What a consumer group subscribes to: names, or one pattern as the client library knows patterns."""
        if self._pattern is not None:
            return [f"^({self._pattern.pattern})$"]
        return self.named

    def matching(self, names: Iterable[str]) -> list[str]:
        """Give those of the names that match the pattern, sorted."""
        assert self._pattern is not None
        return sorted(name for name in names if not name.startswith("__") and self._pattern.fullmatch(name))

    def numbers(self, topic: str, count: int) -> Sequence[int]:
        """Give the numbers of the partitions that are read of a topic that has `count` of them."""
        return range(count) if self._partitions is None else self._partitions[topic]

    def __str__(self) -> str:
        if self._pattern is not None:
            return f"topics like {self._pattern.pattern}"
        if self._partitions is not None:
            return ", ".join(f"{topic}{numbers}" for topic, numbers in sorted(self._partitions.items()))
        return ", ".join(self.named)


def _names(topics: str | Iterable[str]) -> list[str]:
    names = [topics] if isinstance(topics, str) else list(topics)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigurationError(
            "The topics of a Kafka stream are their names.",
            detail=f"topics={shown(topics)}.",
            hint='Give topics=["name"].',
        )
    return sorted(set(names))


def _compiled(pattern: Any) -> re.Pattern[str]:
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    if not isinstance(pattern, str):
        raise ArgumentTypeError(
            "The pattern of a Kafka stream is a regular expression.",
            detail=f"pattern={shown(pattern)} is of type {type(pattern).__name__}.",
            hint='Give text such as "logs-.*", or what re.compile gives.',
        )
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(
            "The pattern of a Kafka stream is no regular expression.",
            detail=f"pattern={pattern!r}: {error}.",
            hint="It has to match the whole name of a topic.",
        ) from error


def _pairs(partitions: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, set[int]] = {}
    for pair in partitions:
        match pair:
            case (str(topic), int(number)) if topic and number >= 0:
                found.setdefault(topic, set()).add(number)
            case _:
                raise ConfigurationError(
                    "The partitions of a Kafka stream are pairs of topic and number.",
                    detail=f"partitions has {shown(pair)}.",
                    hint='Give partitions=[("topic", 0), ("topic", 1)].',
                )
    if not found:
        raise ConfigurationError(
            "A Kafka stream of no partitions was asked for.", detail="partitions=[].", hint="Name at least one."
        )
    return {topic: sorted(numbers) for topic, numbers in found.items()}

"""What the driver knows about the topics and Kafka partitions of a stream."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from millstream.environment.clock import SystemClock
from millstream.errors import ConfigurationError
from millstream.model.kafka_client_options import ClientOptions
from millstream.sources.kafka.kafka_errors import as_error
from millstream.sources.kafka.subscription import Subscription

ATTEMPT_S = 1.0
"""How long one question at the start may take before it is looked whether the credentials were refused."""

PATIENCE_S = 2.0
"""How long a topic may be unknown at the start: one that was just made is not known to all brokers at once."""

TIMES_MISSING = 2
"""How often in a row the brokers must say that a topic does not exist before it is gone."""


@dataclass(slots=True)
class Part:
    """A Kafka partition of a stream.

    Attributes:
        number: its number.
        low: the first offset that is there.
        high: the offset after the last record that can be read.
        epoch: the epoch of the leader that said so, -1: not known.
    """

    number: int
    low: int
    high: int
    epoch: int


@dataclass(slots=True)
class WatchedTopic:
    """A topic of a stream.

    Attributes:
        id: its identity, which one that is made anew does not keep.
        parts: the partitions that are read, by number.
    """

    id: str
    parts: list[Part] = field(default_factory=list)


class TopicWatch:
    """The topics of a stream and the offsets of their partitions, asked for in the background.

    Args:
        options: how the brokers are spoken to.
        subscription: what is read.
        isolation: `read_committed` or `read_uncommitted`; of the last offsets.
        group_id: the group whose offsets are asked for and committed.
        refresh_s: how often topics and first offsets are asked for, seconds.
        timeout_s: how long the brokers may take at the start, seconds.

    Attributes:
        topics: what is known, by name; topics that cannot be read are not in it.
        asked: how often topics were asked for.
    """

    def __init__(
        self,
        options: ClientOptions,
        subscription: Subscription,
        isolation: str,
        group_id: str | None,
        refresh_s: float,
        timeout_s: float,
    ) -> None:
        from millstream._core import KafkaClientError, KafkaWatch

        self._options = options
        self._subscription = subscription
        self._timeout_s = timeout_s
        self._clock = SystemClock()
        self._versions: tuple[int, int] = (-1, -1)
        self._watched: list[str] = []
        self._missing: dict[str, int] = {}
        self.topics: dict[str, WatchedTopic] = {}
        self.asked = 0
        try:
            self.client = KafkaWatch(
                options.for_watching(isolation, group_id), int(refresh_s * 1000), subscription.has_pattern
            )
        except KafkaClientError as error:
            raise as_error(error, "Kafka cannot be asked for its topics.", options) from error

    def start(self, kept: Sequence[str]) -> None:
        """Ask for everything once, and go on asking in the background.

        Args:
            kept: topics that were read before.

        Raises:
            ConfigurationError: a topic is not there, or the credentials are refused.
            SourceUnavailableError: no broker answered in time.
        """
        self._watch_also(self._subscription.named or kept)
        self._ask()
        if self._subscription.has_pattern:
            self._watch_also({*self._subscription.matching(self.client.names()), *kept})
            self._ask()
        deadline_ms = self._clock.monotonic_ms() + PATIENCE_S * 1000
        while self._unknown() and self._clock.monotonic_ms() < deadline_ms:
            self._ask()
        if unknown := [name for name in self._unknown() if name not in kept]:
            self._refuse(unknown)
        self.look()
        self._check_numbers()
        self.client.start()

    def look(self) -> None:
        """Take over what the background has learnt."""
        topics_version, ends_version, asked = self.client.versions()
        if topics_version != self._versions[0] or (self._missing and asked != self.asked):
            self._take_topics(asked)
        if (topics_version, ends_version) != self._versions:
            self._take_ends()
            self._versions = (topics_version, ends_version)
        self.asked = asked

    def ids(self, names: Collection[str], timeout_s: float) -> dict[str, str | None]:
        """Ask the brokers now for the ids of topics; None: there is no such topic.

        Args:
            names: of the topics; those of which the brokers say something else are not in the answer.
            timeout_s: how long the brokers may take, seconds.

        Raises:
            SourceUnavailableError: no broker answered in time.
        """
        from millstream._core import KafkaClientError

        deadline_ms = self._clock.monotonic_ms() + PATIENCE_S * 1000
        while True:
            try:
                answers = self.client.describe(sorted(names), timeout_s)
            except KafkaClientError as error:
                raise as_error(error, "Kafka could not be asked for its topics.", self._options) from error
            found = {
                name: topic_id if kind is None else None
                for name, topic_id, _, kind, _ in answers
                if kind in (None, "unknown_topic")
            }
            missing = {name for name, topic_id in found.items() if topic_id is None}
            # Two that say the same are believed: the background has asked too.
            if missing <= set(self._unknown()) or self._clock.monotonic_ms() >= deadline_ms:
                return found

    def gone(self) -> list[str]:
        """Give the topics that the brokers have repeatedly said do not exist."""
        return [name for name, since in self._missing.items() if self.asked - since >= TIMES_MISSING]

    def forget(self, name: str) -> None:
        """Take a topic that is gone as one that was never there; one of this name that is made later is a new one."""
        self._missing.pop(name, None)

    def close(self) -> None:
        """Let the client go."""
        del self.client

    def _take_topics(self, asked: int) -> None:
        if self._subscription.has_pattern:
            self._watch_also({*self._subscription.matching(self.client.names()), *self.topics})
        found: dict[str, WatchedTopic] = {}
        for name, topic_id, count, kind, text in self.client.topics():
            if kind is None:
                self._missing.pop(name, None)
                numbers = self._subscription.numbers(name, count)
                found[name] = WatchedTopic(topic_id, [Part(number, -1, -1, -1) for number in numbers if number < count])
            elif kind == "unknown_topic":
                if name in self.topics:
                    self._missing.setdefault(name, asked)
            elif kind == "authorization":
                raise ConfigurationError(
                    f"The topic {name} may not be read.",
                    detail=f"{text}.",
                    hint="Give the user the rights DESCRIBE and READ on it.",
                )
        self.topics = found
        self._versions = (-1, -1)

    def _take_ends(self) -> None:
        ends: Mapping[tuple[str, int], tuple[int, int, int]] = {
            (topic, number): (low, high, epoch) for topic, number, low, high, epoch in self.client.ends()
        }
        for name, topic in self.topics.items():
            for part in topic.parts:
                part.low, part.high, part.epoch = ends.get((name, part.number), (-1, -1, -1))

    def _watch_also(self, names: object) -> None:
        wanted = sorted(names)  # type: ignore[call-overload]
        if wanted != self._watched:
            self._watched = wanted
            self.client.watch(wanted)

    def _unknown(self) -> list[str]:
        return [name for name, _, _, kind, _ in self.client.topics() if kind == "unknown_topic"]

    def _ask(self) -> None:
        from millstream._core import KafkaClientError

        deadline_ms = self._clock.monotonic_ms() + self._timeout_s * 1000
        while True:
            left_s = (deadline_ms - self._clock.monotonic_ms()) / 1000
            try:
                return self.client.ask_now(max(0.001, min(ATTEMPT_S, left_s)))
            except KafkaClientError as error:
                if error.kind == "unavailable" and left_s > ATTEMPT_S:
                    continue
                # A topic without leader at this moment: the background goes on asking.
                if error.kind == "unknown_topic" and self.client.topics():
                    return None
                raise as_error(error, f"Kafka did not answer within {self._timeout_s:g} s.", self._options) from error

    def _refuse(self, unknown: Sequence[str]) -> None:
        from millstream._core import KafkaClientError

        try:
            names = [name for name in self.client.list_names(ATTEMPT_S) if not name.startswith("__")]
        except KafkaClientError:
            names = []
        # Those that look alike come first: a slip of the pen is the usual cause.
        alike = get_close_matches(unknown[0], names, 5)
        known = ", ".join([*alike, *sorted(set(names) - set(alike))][:20]) or "none"
        raise ConfigurationError(
            f"There is no topic {', '.join(unknown)}.",
            detail=f"The topics of {self._options.servers} are: {known}{', ...' if len(names) > 20 else ''}.",
            hint="Check the name, or make the topic before the stream starts; with pattern= topics may come later.",
        )

    def _check_numbers(self) -> None:
        for name, topic in self.topics.items():
            there = {part.number for part in topic.parts}
            wanted = set(self._subscription.numbers(name, len(topic.parts)))
            if not wanted <= there:
                raise ConfigurationError(
                    f"The topic {name} has no such partition.",
                    detail=f"Asked for, and not there: {sorted(wanted - there)}.",
                    hint="Partitions are numbered from 0; check partitions=.",
                )

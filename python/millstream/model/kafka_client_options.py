"""The options of Kafka clients: what the engine sets, what the user gives, and what nobody may see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from millstream.errors import ArgumentTypeError, ConfigurationError, shown

_SET_BY_ENGINE = {
    "auto.offset.reset": "start= and on_offset_out_of_range=",
    "bootstrap.servers": "the first argument",
    "enable.auto.commit": "group_id=",
    "enable.auto.offset.store": "group_id=",
    "enable.partition.eof": "nothing: the engine needs it",
    "group.id": "group_id=",
    "isolation.level": "isolation=",
    "metadata.broker.list": "the first argument",
}

_DEFAULTS = {
    "client.id": "millstream",
    "reconnect.backoff.max.ms": "1000",
    # The library is linked in with its own TLS, which does not know where the machine keeps its authorities.
    "ssl.ca.location": "probe",
}

_READING = {
    "auto.offset.reset": "error",
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "enable.partition.eof": "true",
    "fetch.error.backoff.ms": "100",
    # With the library's own 1,000 ms, a reader that is slower than the fetching stands still most of the time.
    "fetch.queue.backoff.ms": "2",
    # A partition that joins waits until the fetch that is under way ends.
    "fetch.wait.max.ms": "100",
    # Of each partition: what is fetched ahead. More of it only costs memory, and time for pages that are new.
    "queued.min.messages": "20000",
    "queued.max.messages.kbytes": "16384",
}

_MEMBER = {
    # A member that comes or goes takes nothing from the others that they keep.
    "partition.assignment.strategy": "cooperative-sticky",
}

_SET_BY_SINK = {
    "enable.idempotence": "nothing: the engine needs it",
    "message.timeout.ms": "write_timeout=",
    "delivery.timeout.ms": "write_timeout=",
    "partitioner": "partitioner=",
    "transaction.timeout.ms": "transaction_timeout=",
    "transactional.id": "exactly_once=",
}

_WRITING = {
    "enable.idempotence": "true",
    # Whoever waits for records flushes, which sends at once.
    "linger.ms": "1",
    "queue.buffering.max.kbytes": "262144",
    "queue.buffering.max.messages": "500000",
    # A transaction that follows another one waits so long when the brokers are not done with that one.
    "retry.backoff.ms": "10",
    # The ends of partitions are asked for with open transactions in them.
    "isolation.level": "read_uncommitted",
}

_HARMLESS_KIND = re.compile(
    r"(acks|allow|api|auto|background|batch|broker|check|client|compression|connections|consume|coordinator|debug"
    r"|delivery|dr|enable|fetch|group|heartbeat|internal|linger|log|max|message|metadata|offset|partition|partitioner"
    r"|produce|queue|queued|queuing|receive|reconnect|request|retries|retry|security|session|socket|statistics|sticky"
    r"|topic|transaction|transactional)(\.|$)"
)
"""How the names of options begin whose values anybody may see."""

_HARMLESS = re.compile(
    r"sasl\.(mechanisms?|username|kerberos\.(principal|service\.name|keytab|min\.time\.before\.relogin))"
    r"|sasl\.oauthbearer\.((client\.credentials\.)?client\.id|grant\.type|method|scope|assertion\.algorithm)"
    r"|ssl\.(ca|crl|certificate|key|keystore|engine)\.location|(https|ssl)\.ca\.(pem|location)"
    r"|ssl\.(certificate\.pem|ca\.certificate\.stores|cipher\.suites|curves\.list|sigalgs\.list|engine\.id|providers)"
    r"|ssl\.endpoint\.identification\.algorithm"
)
"""Of the options that say who a client is: those whose values anybody may see. An address may have a password in it."""

_SECRET_WORDS = ("pass", "pwd", "secret", "token", "credential", "private", "jaas", "auth")
"""In a name that is not listed, such as one that is misspelt, these hide the value."""


class ClientOptions:
    """Where the brokers are and how they are spoken to. What it shows of itself has no secrets.

    Args:
        servers: `host:port`, several with commas between, or a list of them.
        options: options of the client library (librdkafka), by their names there.

    Raises:
        ConfigurationError: an option is the engine's to set.

    Example:
        >>> options = ClientOptions(["a:9092", "b:9092"], {"sasl.password": "hunter2", "client.id": "me"})
        >>> options.servers
        'a:9092,b:9092'
        >>> options
        ClientOptions('a:9092,b:9092', {'sasl.password': '***', 'client.id': 'me'})
    """

    def __init__(self, servers: str | Iterable[str], options: Mapping[str, Any] | None = None) -> None:
        self.servers = _servers(servers)
        self.given = {name: _text(name, value) for name, value in (options or {}).items()}
        for name in self.given:
            if name in _SET_BY_ENGINE:
                raise _set_by_engine(name, _SET_BY_ENGINE[name])

    def for_reading(self, isolation: str) -> dict[str, str]:
        """Give all options of a client that reads ranges."""
        return {**_DEFAULTS, **_READING, **self.given, "bootstrap.servers": self.servers, "isolation.level": isolation}

    def for_watching(self, isolation: str, group_id: str | None) -> dict[str, str]:
        """Give all options of a client that asks for topics and offsets."""
        group = {} if group_id is None else {"group.id": group_id, "enable.auto.commit": "false"}
        # Why not the user's own: some are of reading alone, and the library refuses none of them.
        return {**_DEFAULTS, **self.given, **group, "bootstrap.servers": self.servers, "isolation.level": isolation}

    def for_group(self, isolation: str, group_id: str) -> dict[str, str]:
        """Give all options of a member of a consumer group."""
        engine = {
            "bootstrap.servers": self.servers,
            "group.id": group_id,
            "isolation.level": isolation,
            "enable.partition.eof": "false",
        }
        # With the newer protocol the brokers share the partitions, and the library refuses this option.
        own = {} if self.given.get("group.protocol") == "consumer" else _MEMBER
        return {**_DEFAULTS, **_READING, **own, **self.given, **engine}

    def check_for_writing(self) -> None:
        """Refuse options that are not the user's to set for a sink.

        Raises:
            ConfigurationError: one is given.
        """
        for name in self.given:
            if name in _SET_BY_SINK:
                raise _set_by_engine(name, _SET_BY_SINK[name])

    def for_writing(self, partitioner: str, write_timeout_s: float) -> dict[str, str]:
        """Give all options of a client that writes without transactions."""
        set_here = {"partitioner": partitioner, "message.timeout.ms": str(round(write_timeout_s * 1000))}
        return {**_DEFAULTS, **_WRITING, **self.given, **set_here, "bootstrap.servers": self.servers}

    def for_transactions(self, partitioner: str, transactional_id: str, timeout_s: float) -> dict[str, str]:
        """Give all options of a client that writes in transactions, each at most as long as the timeout."""
        set_here = {
            "partitioner": partitioner,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": str(round(timeout_s * 1000)),
        }
        return {**_DEFAULTS, **_WRITING, **self.given, **set_here, "bootstrap.servers": self.servers}

    def __repr__(self) -> str:
        shown_options = {name: value if _is_harmless(name) else "***" for name, value in self.given.items()}
        return f"ClientOptions({self.servers!r}, {shown_options!r})"


def _set_by_engine(name: str, by: str) -> ConfigurationError:
    return ConfigurationError(
        f"The Kafka option {name} cannot be given.", detail="The engine sets it.", hint=f"What says it is {by}."
    )


def _is_harmless(name: str) -> bool:
    # Why not the secrets by name: a newer library has some that are not known here.
    if _HARMLESS.fullmatch(name):
        return True
    return _HARMLESS_KIND.match(name) is not None and not any(word in name for word in _SECRET_WORDS)


def _servers(servers: str | Iterable[str]) -> str:
    parts = servers.split(",") if isinstance(servers, str) else list(servers)
    if not all(isinstance(part, str) for part in parts):
        raise ArgumentTypeError(
            "Kafka's servers are text.", detail=f"servers={shown(servers)}.", hint='Give "host:port" or a list of them.'
        )
    found = [part.strip() for part in parts if part.strip()]
    if not found:
        raise ConfigurationError(
            "Kafka's servers are missing.",
            detail=f"servers={shown(servers)}.",
            hint='Give "host:port", such as "localhost:9092".',
        )
    return ",".join(found)


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ArgumentTypeError(
        f"The Kafka option {name} has a value of a type that cannot work.",
        detail=f"It is of type {type(value).__name__}.",
        hint="Give text, a number or a bool.",
    )

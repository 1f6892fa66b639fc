from __future__ import annotations

import datetime
import pickle
from typing import Any

import pytest

from millstream.errors import ConfigurationError, InvalidError
from millstream.model.kafka_client_options import ClientOptions
from millstream.sources.kafka.kafka_source import KafkaSource


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"topics": ["a"], "pattern": "b"},
        {"topics": []},
        {"pattern": "("},
        {"partitions": [("a", -1)]},
        {"partitions": []},
        {"topics": ["a"], "start": "now"},
        {"topics": ["a"], "start": datetime.datetime(2024, 1, 1)},
        {"topics": ["a"], "start": "committed"},
        {"topics": ["a"], "isolation": "serializable"},
        {"topics": ["a"], "on_offset_out_of_range": "ignore"},
        {"topics": ["a"], "on_topic_change": "ignore"},
        {"topics": ["a"], "on_undecodable": "ignore"},
        {"topics": ["a"], "value_decoder": "avro"},
        {"topics": ["a"], "max_records_per_task": 0},
        {"topics": ["a"], "read_timeout": -1},
        {"topics": ["a"], "options": {"group.id": "mine"}},
        {"topics": ["a"], "options": {"client.id": object()}},
    ],
)
def test_arguments_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidError) as refused:
        KafkaSource("localhost:9092", **wrong)
    assert refused.value.hint


def test_servers_are_needed() -> None:
    without: tuple[Any, ...] = ("", " , ", [])
    for servers in without:
        with pytest.raises(ConfigurationError, match="servers are missing"):
            ClientOptions(servers)


def test_an_option_that_the_library_refuses_is_named_and_its_value_is_not() -> None:
    for name, value in (("no.such.option", "hunter2"), ("socket.timeout.ms", "hunter2")):
        source = KafkaSource("127.0.0.1:1", topics=["t"], options={name: value})
        with pytest.raises(ConfigurationError) as refused:
            source.open(None)
        assert name in str(refused.value)
        assert "hunter2" not in f"{refused.value}{refused.value.__cause__}"


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "sasl.kerberos.kinit.cmd",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.extensions",
        "sasl.oauthbearer.token.endpoint.url",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
        "sasl.jaas.config",
        "sasl.aws.session.token",
        "client.passwd",
        "group.credential",
        "paswword",
    ],
)
def test_secrets_are_not_shown(name: str) -> None:
    options = ClientOptions("localhost:9092", {name: "hunter2"})
    assert repr(options) == f"ClientOptions('localhost:9092', {{{name!r}: '***'}})"
    assert options.for_reading("read_committed")[name] == "hunter2"


@pytest.mark.parametrize(
    "name",
    [
        "client.id",
        "compression.codec",
        "linger.ms",
        "sasl.mechanism",
        "sasl.oauthbearer.client.id",
        "sasl.username",
        "security.protocol",
        "ssl.ca.location",
        "ssl.certificate.pem",
        "ssl.key.location",
    ],
)
def test_what_is_no_secret_is_shown(name: str) -> None:
    assert f"{name!r}: 'seen'" in repr(ClientOptions("localhost:9092", {name: "seen"}))


def test_a_source_goes_to_executors() -> None:
    source = KafkaSource("localhost:9092", topics=["a"])
    copy = pickle.loads(pickle.dumps(source))
    assert repr(copy) == repr(source) == "<KafkaSource a at localhost:9092>"

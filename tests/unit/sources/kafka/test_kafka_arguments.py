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


def test_secrets_are_not_shown() -> None:
    secrets = {"sasl.password": "hunter2", "ssl.key.password": "hunter2", "ssl.key.pem": "hunter2"}
    options = ClientOptions("localhost:9092", {**secrets, "sasl.username": "alice"})
    assert "hunter2" not in repr(options)
    assert "alice" in repr(options)
    assert options.for_reading("read_committed")["sasl.password"] == "hunter2"


def test_a_source_goes_to_executors() -> None:
    source = KafkaSource("localhost:9092", topics=["a"])
    copy = pickle.loads(pickle.dumps(source))
    assert repr(copy) == repr(source) == "<KafkaSource a at localhost:9092>"

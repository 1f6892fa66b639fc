"""Avro, Protobuf and the wire format of registries; what Confluent's own serializers write is what is read."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.timestamp_pb2 import Timestamp
from tests.servers.kafka.schema_registry import Registry, schema_registry

import millstream as ms
from millstream.errors import ArgumentTypeError, ConfigurationError, SourceUnavailableError

ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [{"name": "id", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": None}],
}
NEWER = {**ORDER, "fields": [*ORDER["fields"], {"name": "sum", "type": "double", "default": 1.5}]}
VALUE = SerializationContext("orders", MessageField.VALUE)
QUICK = {"max.retries": 0, "timeout": 1}


@pytest.fixture
def registry() -> Iterator[Registry]:
    with schema_registry() as running:
        yield running


def any_of(serializer: Any) -> Any:
    """Give a class whose constructor no type checker sees through."""
    return serializer


def client_of(registry: Registry) -> Any:
    return SchemaRegistryClient({"url": registry.url})


def avro(registry: Registry, schema: Any, value: Any) -> bytes:
    written: Any = any_of(AvroSerializer)(client_of(registry), json.dumps(schema))(value, VALUE)
    return bytes(written)


def test_avro_with_the_writers_schema_and_a_readers() -> None:
    data = bytes([2, 2, 4]) + b"hi"
    assert ms.AvroDecoder(ORDER)(data) == {"id": 1, "note": "hi"}
    assert ms.AvroDecoder(json.dumps(ORDER), NEWER)(data) == {"id": 1, "note": "hi", "sum": 1.5}
    assert ms.AvroDecoder("string")(b"\x04hi") == "hi"
    assert pickle.loads(pickle.dumps(ms.AvroDecoder(ORDER)))(data) == {"id": 1, "note": "hi"}


@pytest.mark.parametrize("data", [b"", bytes([2, 2, 4]) + b"hi!", bytes([2, 6])])
def test_bytes_that_are_not_of_the_schema(data: bytes) -> None:
    with pytest.raises((ValueError, EOFError, IndexError)):
        ms.AvroDecoder(ORDER)(data)


@pytest.mark.parametrize("schema", ["{", {"type": "record"}, "no.such.Type"])
def test_what_is_no_avro_schema_is_refused_at_once(schema: Any) -> None:
    with pytest.raises(ConfigurationError, match="no Avro schema"):
        ms.AvroDecoder(schema)


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("fastavro", "google.protobuf.message", "confluent_kafka.schema_registry"):
        monkeypatch.setitem(sys.modules, module, None)
    for make in (
        lambda: ms.AvroDecoder(ORDER),
        lambda: ms.ProtobufDecoder(Timestamp),
        lambda: ms.SchemaRegistryDecoder("http://localhost"),
    ):
        with pytest.raises(ConfigurationError) as missing:
            make()
        assert missing.value.hint == 'pip install "millstream[kafka-schemas]"'


def test_protobuf_messages_of_a_class() -> None:
    decode = pickle.loads(pickle.dumps(ms.ProtobufDecoder(Timestamp)))
    assert decode(Timestamp(seconds=7).SerializeToString()).seconds == 7
    wrong: Any = dict
    with pytest.raises(ArgumentTypeError, match="class of the messages"):
        ms.ProtobufDecoder(wrong)


def test_avro_of_a_registry_is_read_by_the_schema_that_it_was_written_with(registry: Registry) -> None:
    old = [avro(registry, ORDER, {"id": number, "note": None}) for number in range(3)]
    new = avro(registry, NEWER, {"id": 9, "note": "n", "sum": 2.0})
    registry.asked.clear()
    decode = ms.SchemaRegistryDecoder(registry.url)
    assert [decode(data) for data in old] == [{"id": number, "note": None} for number in range(3)]
    assert decode(new) == {"id": 9, "note": "n", "sum": 2.0}
    assert len(registry.asked) == 2, "each schema is asked for once"
    alike = ms.SchemaRegistryDecoder(registry.url, reader_schema=NEWER)
    assert [decode["sum"] for decode in map(alike, [old[0], new])] == [1.5, 2.0]
    assert pickle.loads(pickle.dumps(decode))(new)["id"] == 9


def test_avro_that_refers_to_another_schema(registry: Registry) -> None:
    client = client_of(registry)
    client.register_schema("order", Schema(json.dumps(ORDER), "AVRO"))
    pair = {"type": "record", "name": "Two", "fields": [{"name": n, "type": "shop.Order"} for n in ("a", "b")]}
    schema = Schema(json.dumps(pair), "AVRO", [SchemaReference("shop.Order", "order", 1)])
    value = {"a": {"id": 1, "note": None}, "b": {"id": 2, "note": "x"}}
    data = any_of(AvroSerializer)(client, schema)(value, VALUE)
    assert ms.SchemaRegistryDecoder(registry.url)(data) == value


def test_json_of_a_registry(registry: Registry) -> None:
    number = registry.register("s", {"schema": "{}", "schemaType": "JSON"})["id"]
    data = bytes([0]) + number.to_bytes(4, "big") + b'{"a": [1]}'
    assert ms.SchemaRegistryDecoder(registry.url)(data) == {"a": [1]}


def message_types() -> tuple[Any, Any]:
    """Make the classes of `Order` and of `Order.Line`, which is nested in it."""
    file = descriptor_pb2.FileDescriptorProto(
        name="shop.proto", package="shop", syntax="proto3", dependency=["google/protobuf/timestamp.proto"]
    )
    order = file.message_type.add(name="Order")
    line = order.nested_type.add(name="Line")
    line.field.add(name="what", number=1, type=9, label=1)
    kinds = order.enum_type.add(name="Kind")
    kinds.value.add(name="NEW", number=0)
    kinds.value.add(name="PAID", number=1)
    counts = order.nested_type.add(name="CountsEntry")
    counts.options.map_entry = True
    counts.field.add(name="key", number=1, type=9, label=1)
    counts.field.add(name="value", number=2, type=3, label=1)
    order.field.add(name="id", number=1, type=3, label=1)
    order.field.add(name="lines", number=2, type=11, label=3, type_name=".shop.Order.Line")
    order.field.add(name="kind", number=3, type=14, label=1, type_name=".shop.Order.Kind")
    order.field.add(name="at", number=4, type=11, label=1, type_name=".google.protobuf.Timestamp")
    order.field.add(name="counts", number=5, type=11, label=3, type_name=".shop.Order.CountsEntry")
    order.field.add(name="raw", number=6, type=12, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(Timestamp.DESCRIPTOR.file.serialized_pb))
    pool.Add(file)
    found = pool.FindMessageTypeByName("shop.Order")
    return (
        message_factory.GetMessageClass(found),
        message_factory.GetMessageClass(found.nested_types_by_name["Line"]),
    )


def protobuf(registry: Registry, message: Any) -> bytes:
    serializer = any_of(ProtobufSerializer)(type(message), client_of(registry), {"use.deprecated.format": False})
    return bytes(serializer(message, VALUE))


def test_protobuf_of_a_registry(registry: Registry) -> None:
    order, line = message_types()
    message = order(id=2**62, lines=[line(what="tea")], kind=1, counts={"a": 3}, raw=b"\xff")
    data = protobuf(registry, message)
    decode = ms.SchemaRegistryDecoder(registry.url)
    told = {"id": 2**62, "lines": [{"what": "tea"}], "kind": "PAID", "at": None, "counts": {"a": 3}, "raw": b"\xff"}
    assert decode(data) == told
    message.at.seconds = 5
    assert decode(protobuf(registry, message)) == {**told, "at": {"seconds": 5, "nanos": 0}}
    assert decode(protobuf(registry, line(what="nested"))) == {"what": "nested"}
    by_class = ms.SchemaRegistryDecoder(registry.url, message=order)
    assert by_class(data).lines[0].what == "tea"


@pytest.mark.parametrize("data", [b"", b"plain", b"\0\0\0", b'{"json": 1}'])
def test_what_has_no_number_of_a_schema_cannot_be_decoded(registry: Registry, data: bytes) -> None:
    with pytest.raises(ValueError, match="does not begin with a zero byte"):
        ms.SchemaRegistryDecoder(registry.url)(data)


def test_a_number_that_the_registry_does_not_know_is_asked_for_once(registry: Registry) -> None:
    decode = ms.SchemaRegistryDecoder(registry.url)
    for _ in range(3):
        with pytest.raises(LookupError, match="does not know the schema 77"):
            decode(bytes([0, 0, 0, 0, 77, 1]))
    assert len(registry.asked) == 1


def test_credentials_are_given_and_never_shown(registry: Registry) -> None:
    data = avro(registry, ORDER, {"id": 1, "note": None})
    registry.user = "alice:hunter2"
    for decode in (
        ms.SchemaRegistryDecoder(registry.url, options={"basic.auth.user.info": "alice:hunter2"}),
        ms.SchemaRegistryDecoder(registry.url.replace("//", "//alice:hunter2@")),
    ):
        assert decode(data)["id"] == 1
        assert "hunter2" not in repr(decode)
        assert "alice" not in repr(decode)
    wrong = ms.SchemaRegistryDecoder(registry.url.replace("//", "//alice:hunter3@"), options=QUICK)
    with pytest.raises(ConfigurationError, match="refused the credentials") as refused:
        wrong(data)
    assert "hunter3" not in str(refused.value)
    assert refused.value.__cause__ is None
    with pytest.raises(ConfigurationError) as unusable:
        ms.SchemaRegistryDecoder("localhost:1", options={"basic.auth.user.info": "hunter4"})
    assert "hunter4" not in str(unusable.value)


def test_a_registry_that_does_not_answer_may_answer_later(registry: Registry) -> None:
    data = avro(registry, ORDER, {"id": 1, "note": None})
    decode = ms.SchemaRegistryDecoder(registry.url, options=QUICK)
    registry.status = 503
    with pytest.raises(SourceUnavailableError, match="does not answer"):
        decode(data)
    registry.status = None
    assert decode(data)["id"] == 1
    with pytest.raises(SourceUnavailableError, match="does not answer"):
        ms.SchemaRegistryDecoder("http://127.0.0.1:1", options=QUICK)(data)


def test_a_server_that_is_no_registry(registry: Registry) -> None:
    decode = ms.SchemaRegistryDecoder(f"{registry.url}/elsewhere", options=QUICK)
    with pytest.raises(ConfigurationError, match="does not answer as one"):
        decode(bytes([0, 0, 0, 0, 1, 1]))

"""Keys and values in the wire format of Confluent's serializers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from millstream.sources.kafka.schemas.avro_decoder import AvroSchema, parsed_avro, read_avro
from millstream.sources.kafka.schemas.protobuf_decoder import message_class
from millstream.sources.kafka.schemas.protobuf_schema import ProtobufSchema
from millstream.sources.kafka.schemas.registry import RegisteredSchema, SchemaRegistry, serialized

if TYPE_CHECKING:
    from google.protobuf.message import Message

MAGIC = 0
_HEAD_BYTES = 5
_UNKNOWN_MAX = 1_000
_VARINT_BITS_MAX = 35

_Reads: TypeAlias = Callable[[io.BytesIO], Any]


class SchemaRegistryDecoder:
    """Decodes keys or values that begin with the number of their schema in a registry.

    Confluent's serializers write them so, and those that work with Karapace, Apicurio and Redpanda: a zero byte, the
    number in four bytes, for Protobuf the index of the message type, then the data. Avro becomes what `AvroDecoder`
    gives, JSON what it says (it is not validated), Protobuf a dict, or a message of your class. Each schema is fetched
    once in each process.

    A record with no such beginning, or with a number that the registry does not know, cannot be decoded; while the
    registry does not answer the batch waits and is tried again.

    Args:
        url: of the registry; several with commas between.
        options: of Confluent's client of registries, such as `basic.auth.user.info` or `ssl.ca.location`; never shown.
        reader_schema: of Avro: how the data is seen, whatever it was written with.
        message: of Protobuf: the class that `protoc` made.

    Raises:
        ConfigurationError: an argument cannot work, or a package is missing (extra `kafka-schemas`).

    Example:
        >>> SchemaRegistryDecoder("http://user:hunter2@localhost:8081")
        SchemaRegistryDecoder('http://localhost:8081')
    """

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        reader_schema: AvroSchema | None = None,
        message: type[Message] | None = None,
    ) -> None:
        self._registry = SchemaRegistry(url, options)
        self._reader_schema = None if reader_schema is None else parsed_avro(reader_schema)
        self._message = None if message is None else message_class(message)
        self._readers: dict[int, _Reads] = {}
        self._unknown: dict[int, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": {}, "_unknown": {}}

    def __repr__(self) -> str:
        return f"SchemaRegistryDecoder({self._registry.shown_url!r})"

    def __call__(self, data: bytes) -> Any:
        if len(data) < _HEAD_BYTES or data[0] != MAGIC:
            raise ValueError("it does not begin with a zero byte and the number of a schema")
        number = int.from_bytes(data[1:_HEAD_BYTES], "big")
        read = self._readers.get(number) or self._learn(number)
        stream = io.BytesIO(data)
        stream.seek(_HEAD_BYTES)
        return read(stream)

    def _learn(self, number: int) -> _Reads:
        if number in self._unknown:
            raise LookupError(self._unknown[number])
        try:
            read = self._reader(self._registry.schema(number))
        except LookupError as error:
            if len(self._unknown) < _UNKNOWN_MAX:
                self._unknown[number] = str(error)
            raise
        self._readers[number] = read
        return read

    def _reader(self, schema: RegisteredSchema) -> _Reads:
        match schema.kind:
            case "AVRO":
                named: dict[str, Any] = {}
                for text in schema.imports.values():
                    parsed_avro(text, named)
                parsed = parsed_avro(schema.text, named)
                return partial(read_avro, schema=parsed, reader_schema=self._reader_schema)
            case "JSON":
                return _read_json
            case "PROTOBUF" if self._message is not None:
                return partial(_read_message, message=self._message)
            case "PROTOBUF":
                imports = {name: serialized(text) for name, text in schema.imports.items()}
                return partial(_read_plain, schema=ProtobufSchema(serialized(schema.text), imports))
            case _:
                raise LookupError(f"schemas of the kind {schema.kind} are not known")


def _read_json(stream: io.BytesIO) -> Any:
    return json.loads(stream.read())


def _read_message(stream: io.BytesIO, message: type[Message]) -> Any:
    _indexes(stream)
    return message.FromString(stream.read())


def _read_plain(stream: io.BytesIO, schema: ProtobufSchema) -> Any:
    return schema.read(_indexes(stream), stream.read())


def _indexes(stream: io.BytesIO) -> list[int]:
    """Read which message type it is; the first one of the file is written as a single zero."""
    count = _zigzag(stream)
    return [_zigzag(stream) for _ in range(count)] or [0]


def _zigzag(stream: io.BytesIO) -> int:
    value = shift = 0
    while True:
        byte = stream.read(1)
        if not byte or shift >= _VARINT_BITS_MAX:
            raise ValueError("the index of the message type is cut off or too long")
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            return value >> 1 ^ -(value & 1)

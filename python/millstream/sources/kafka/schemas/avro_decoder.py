"""Avro without a file around it: one datum a key or value."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from millstream.environment.optional_package import optional_package
from millstream.errors import ConfigurationError, shown

AvroSchema: TypeAlias = str | Mapping[str, Any] | Sequence[Any]
"""A schema as JSON text, or as what that text says."""


class AvroDecoder:
    """Decodes keys or values that are Avro data, written with one schema.

    Records become dicts, enums text, logical types (`timestamp-millis`, `decimal`) what Python has for them. Bytes
    that the schema leaves over are an error: they were written with another one.

    Args:
        schema: the schema with which they were written.
        reader_schema: the one by which they are seen, resolved by Avro's rules; None: the same.

    Raises:
        ConfigurationError: no such schema can be, or the package fastavro is missing (extra `kafka-schemas`).

    Example:
        >>> decode = AvroDecoder({"type": "record", "name": "Point", "fields": [{"name": "x", "type": "int"}]})
        >>> decode(bytes([84]))
        {'x': 42}
    """

    def __init__(self, schema: AvroSchema, reader_schema: AvroSchema | None = None) -> None:
        self._schema = parsed_avro(schema)
        self._reader_schema = None if reader_schema is None else parsed_avro(reader_schema)

    def __call__(self, data: bytes) -> Any:
        return read_avro(io.BytesIO(data), self._schema, self._reader_schema)

    def __repr__(self) -> str:
        return f"AvroDecoder({shown(self._schema)})"


def parsed_avro(schema: AvroSchema, named: dict[str, Any] | None = None) -> Any:
    """Parse a schema.

    Args:
        schema: text or what it says.
        named: schemas that it may refer to by name; its own are added.

    Raises:
        ConfigurationError: it is none, or fastavro is missing.
    """
    fastavro = optional_package("fastavro", extra="kafka-schemas", needed_by="AvroDecoder")
    try:
        said = _said(schema) if isinstance(schema, str) else schema
        return fastavro.parse_schema(said, named_schemas=named if named is not None else {})
    except Exception as error:
        # Why any: what a schema that cannot be raises depends on where it is wrong.
        raise ConfigurationError(
            "This is no Avro schema.",
            detail=f"{type(error).__name__}: {error}; schema={shown(schema)}.",
            hint='Give its JSON, as text or as dicts and lists: {"type": "record", "name": ..., "fields": [...]}.',
        ) from error


def read_avro(stream: io.BytesIO, schema: Any, reader_schema: Any) -> Any:
    """Read one datum that takes all that is left of a stream.

    Raises:
        ValueError: bytes are left.
    """
    import fastavro

    found = fastavro.schemaless_reader(stream, schema, reader_schema)
    if left := len(stream.read()):
        raise ValueError(f"{left} bytes are left after what the Avro schema describes")
    return found


def _said(text: str) -> Any:
    stripped = text.strip()
    # A primitive type may stand without quotes, as registries give it.
    return json.loads(stripped) if stripped[:1] in ("{", "[", '"') else stripped

"""Protobuf messages whose class nobody has: read by the schema that a registry gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_ENUM, _MESSAGE_TYPES = 14, (10, 11)


class ProtobufSchema:
    """Reads messages of a schema as dicts.

    A dict has all fields of its message by their names: numbers, text, bytes, lists, dicts, enums by the name of the
    value (its number where the schema knows none); a field that may be absent and is becomes None.

    Args:
        file: the schema's `FileDescriptorProto`, serialized.
        imports: those of the files that it imports, by the names under which it does; each after its own imports.
    """

    def __init__(self, file: bytes, imports: Mapping[str, bytes]) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool

        pool = descriptor_pool.DescriptorPool()
        for name, data in imports.items():
            _add(pool, data, name)
        own = descriptor_pb2.FileDescriptorProto.FromString(file)
        own.name = own.name or "schema.proto"
        _add(pool, own.SerializeToString(), own.name)
        self._file = pool.FindFileByName(own.name)

    def read(self, indexes: Sequence[int], data: bytes) -> dict[str, Any]:
        """Read a message.

        Args:
            indexes: which message type: its number in the file, then that of the type nested in it, and so on.
            data: the message.

        Raises:
            ValueError: there is no such type, or the bytes are no such message.
        """
        from google.protobuf import message_factory

        types = list(self._file.message_types_by_name.values())
        try:
            kind = types[indexes[0]]
            for index in indexes[1:]:
                kind = kind.nested_types[index]
        except IndexError:
            raise ValueError(f"the schema has no message type {list(indexes)}") from None
        return _plain(message_factory.GetMessageClass(kind).FromString(data))


def _add(pool: Any, data: bytes, name: str) -> None:
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto.FromString(data)
    file.name = name
    for dependency in file.dependency:
        if dependency.startswith("google/protobuf/") and not _has(pool, dependency):
            # Those that come with the library; a registry does not keep them.
            _import(dependency)
            known = descriptor_pool.Default().FindFileByName(dependency)
            _add(pool, known.serialized_pb, dependency)
    pool.Add(file)


def _has(pool: Any, name: str) -> bool:
    try:
        pool.FindFileByName(name)
    except KeyError:
        return False
    return True


def _import(name: str) -> None:
    from importlib import import_module

    import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")


def _plain(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            found[field.name] = None
        else:
            found[field.name] = _value(field, getattr(message, field.name))
    return found


def _value(field: Any, value: Any) -> Any:
    if field.is_repeated:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            of = entry.fields_by_name["value"]
            return {key: _single(of, value[key]) for key in value}
        return [_single(field, one) for one in value]
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if field.type in _MESSAGE_TYPES:
        return _plain(value)
    if field.type == _ENUM:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    return value

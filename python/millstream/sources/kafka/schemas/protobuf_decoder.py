"""Protobuf: one message a key or value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from millstream.environment.optional_package import optional_package
from millstream.errors import ArgumentTypeError, shown

if TYPE_CHECKING:
    from google.protobuf.message import Message

M = TypeVar("M", bound="Message")


class ProtobufDecoder:
    """Decodes keys or values that are messages of one class.

    What a message cannot hold is no error in Protobuf: fields that the class does not know are kept unseen.

    Args:
        message: the class that `protoc` made.

    Raises:
        ArgumentTypeError: it is no such class.
        ConfigurationError: the package protobuf is missing (extra `kafka-schemas`).

    Example:
        >>> from google.protobuf.wrappers_pb2 import StringValue
        >>> ProtobufDecoder(StringValue)(bytes([10, 2]) + b"hi").value
        'hi'
    """

    def __init__(self, message: type[Message]) -> None:
        self._message = message_class(message)

    def __call__(self, data: bytes) -> Any:
        return self._message.FromString(data)

    def __repr__(self) -> str:
        return f"ProtobufDecoder({self._message.__name__})"


def message_class(message: type[M]) -> type[M]:
    """Give a class back if it is one of Protobuf's messages.

    Raises:
        ArgumentTypeError: it is not.
    """
    base = optional_package("google.protobuf.message", extra="kafka-schemas", needed_by="ProtobufDecoder").Message
    if isinstance(message, type) and issubclass(message, base):
        return message
    raise ArgumentTypeError(
        "A Protobuf decoder needs the class of the messages.",
        detail=f"{shown(message)} is of type {type(message).__name__}.",
        hint="Give the class that protoc made: from orders_pb2 import Order; value_decoder=ms.ProtobufDecoder(Order).",
    )

"""Types that users taught the encoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakSet

from millstream.errors import ArgumentTypeError, ConfigurationError, IncompatibleCheckpointError

T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class RegisteredType:
    """A type with the functions that write and read its values.

    Attributes:
        kind: the exact type.
        name: what a checkpoint keeps of it.
        encode: gives something plain for a value.
        decode: makes a value of what `encode` gave.
    """

    kind: type
    name: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_by_type: dict[type, RegisteredType] = {}
_by_name: dict[str, RegisteredType] = {}
forgetting: WeakSet[Any] = WeakSet()
"""Encoders and decoders, which must look again after a registration."""


def register_type(cls: type[T], *, name: str, encode: Callable[[T], P], decode: Callable[[P], T]) -> None:
    """Teach checkpoints a type of your own or of a library, so that it can be in state.

    Call it at the top of the program, before the stream starts; worker processes learn it from the program. Only
    values of exactly this type are meant, not of its subclasses.

    Args:
        cls: the type.
        name: what a checkpoint keeps of it; it stays the same for ever, wherever the class moves.
        encode: gives something plain for a value: what a checkpoint can keep, such as a tuple of numbers.
        decode: makes an equal value of what `encode` gave, now or in an earlier version of the program.

    Raises:
        ConfigurationError: the name or the type is registered already, for something else.
        ArgumentTypeError: `cls` is no class, or a function cannot be called.

    Example:
        >>> from pathlib import PurePosixPath
        >>> register_type(PurePosixPath, name="path", encode=str, decode=PurePosixPath)
        >>> from millstream.encoding.codec import decode, encode
        >>> decode(encode({"log": PurePosixPath("/var/log")}))
        {'log': PurePosixPath('/var/log')}
    """
    if not isinstance(cls, type) or not callable(encode) or not callable(decode):
        raise ArgumentTypeError(
            "A type was registered with something of the wrong type.",
            detail=f"cls is {cls!r}, encode is {encode!r}, decode is {decode!r}.",
            hint="Give a class and two functions.",
        )
    add(RegisteredType(cls, name, encode, decode))


def add(registered: RegisteredType) -> None:
    """Take a type in; the same one again is fine.

    Raises:
        ConfigurationError: the name or the type means something else already.
    """
    for held in (_by_type.get(registered.kind), _by_name.get(registered.name)):
        if held is not None and not _same(held, registered):
            raise ConfigurationError(
                "A type is registered twice.",
                detail=f"{held.kind.__qualname__} is registered as {held.name!r}, and now "
                f"{registered.kind.__qualname__} as {registered.name!r}.",
                hint="Use another name, or register the type once.",
            )
    _by_type[registered.kind] = _by_name[registered.name] = registered
    for encoder in forgetting:
        encoder.forget()


def _same(one: RegisteredType, other: RegisteredType) -> bool:
    # A module that is loaded again, as in a notebook, defines its class and functions anew.
    return one.name == other.name and one.kind.__qualname__ == other.kind.__qualname__


def registered_types() -> tuple[RegisteredType, ...]:
    """Give all of them, for another process."""
    return tuple(_by_type.values())


def of_type(kind: type) -> RegisteredType | None:
    """Find the registration of a type."""
    return _by_type.get(kind)


def to_registered(content: Any) -> Any:
    """Make a value of a registered type.

    Raises:
        IncompatibleCheckpointError: nobody registered the name, or its function raised.
    """
    name, plain = content
    registered = _by_name.get(name)
    if registered is None:
        raise IncompatibleCheckpointError(
            "A checkpoint holds a registered type that is not registered.",
            detail=f"Values are stored as {name!r}.",
            hint=f"Call millstream.register_type(..., name={name!r}, ...) before the stream starts.",
        )
    try:
        return registered.decode(plain)
    except Exception as error:
        raise IncompatibleCheckpointError(
            "A value of a registered type could not be made again.",
            detail=f"decode of {name!r} raised {type(error).__name__}: {error}",
            hint="Let decode accept all that encode ever gave.",
        ) from error

"""The encoding of checkpoints: values as bytes that say of themselves what they are."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from enum import Enum
from typing import Any, Literal

import cloudpickle

from millstream._core import Decoder, Encoder, MalformedError, UnencodableError
from millstream.encoding import arrays, plain_forms, registered_types
from millstream.encoding import extensions as code
from millstream.encoding.class_names import ClassNames
from millstream.encoding.key_identity import identity_of
from millstream.encoding.records import is_named_tuple, reading_form, rebuilt, record_form
from millstream.encoding.rows import Frame
from millstream.errors import (
    ConfigurationError,
    CorruptSegmentError,
    EncodingError,
    IncompatibleCheckpointError,
    MillstreamError,
)

_BUILTINS = (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset)


@dataclass(frozen=True, slots=True)
class Pickled:
    """A value that goes as a pickle."""

    data: bytes


@dataclass(frozen=True)
class Codec:
    """How values become bytes in a checkpoint, and bytes become values.

    Plain encoding is MessagePack with documented extensions. It holds None, bool, int, float, complex, str, bytes,
    bytearray, tuple, list, set, frozenset, dict, date and time, Decimal, Fraction, UUID, members of enumerations,
    deque, Counter, OrderedDict, defaultdict, dataclasses and named tuples by the names of their fields, arrays and
    scalars of NumPy, tables and arrays of Arrow, and types of `register_type`. All come back as exactly what they
    were, equal values of one type and order give equal bytes in every process, and reading runs no code of the
    checkpoint's choice. Everything else is refused, subclasses of builtin types too.

    A codec goes to worker processes together with the types that `register_type` knows.

    Args:
        kind: `plain`, or `pickle`: values (not keys) go through pickle, where necessary with their classes by value.
            Such a checkpoint may be unreadable after a change of the program or of a library, and reading it runs
            what it says; a plain codec does not read it.
        types: classes that stored class names may mean: by the full name, or, for a class that moved, by its own.
        renamed: a stored name, `"module:qualname"`, and the class that it means now.

    Example:
        >>> codec = Codec()
        >>> codec.decode(codec.encode({"a": (1, 2.5, None)}))
        {'a': (1, 2.5, None)}
        >>> codec.encode({"lock": [print]})
        Traceback (most recent call last):
        millstream.errors.EncodingError: A value cannot be kept in a checkpoint.
        Detail: `value['lock'][0]` is a builtin_function_or_method, which has no encoding.
        Hint: Keep plain data or a dataclass, teach the type with millstream.register_type, or choose codec="pickle".
    """

    kind: Literal["plain", "pickle"] = "plain"
    types: tuple[type, ...] = ()
    renamed: Mapping[str, type] = field(default_factory=dict)
    _encoder: Encoder = field(init=False, repr=False, compare=False)
    _decoder: Decoder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in ("plain", "pickle"):
            raise ConfigurationError(
                "There is no such codec.", detail=f"kind is {self.kind!r}.", hint="plain or pickle."
            )
        object.__setattr__(self, "types", tuple(self.types))
        forms = _Forms(ClassNames(self.types, self.renamed), unpickles=self.kind == "pickle")
        object.__setattr__(self, "_encoder", Encoder(forms.writing, identity_of))
        object.__setattr__(self, "_decoder", Decoder(forms.makers(), _unknown, forms.reading, rebuilt))
        registered_types.forgetting.update((self._encoder, self._decoder))

    def __hash__(self) -> int:
        return hash((self.kind, self.types, frozenset(self.renamed.items())))

    def __reduce__(self) -> tuple[Any, ...]:
        return _codec_with_types, (self.kind, self.types, dict(self.renamed), registered_types.registered_types())

    @property
    def encoder(self) -> Encoder:
        """What writes keys and values; values go through `prepared` first."""
        return self._encoder

    @property
    def decoder(self) -> Decoder:
        """What reads them."""
        return self._decoder

    def prepared(self, value: Any) -> Any:
        """Give what is written for a value: the value itself, or its pickle.

        Raises:
            EncodingError: it cannot be pickled.
        """
        return Pickled(_pickled(value)) if self.kind == "pickle" else value

    def encode(self, value: Any, name: str = "value") -> bytes:
        """Write a value.

        Args:
            value: what to write; it must not change meanwhile.
            name: what errors call it.

        Raises:
            EncodingError: a part of it has no encoding; names the part and its type.
        """
        value = self.prepared(value)
        try:
            return self._encoder.encode(value)
        except UnencodableError as error:
            raise refusal(error, name) from error.__cause__

    def decode(self, data: Frame) -> Any:
        """Read a value.

        Raises:
            IncompatibleCheckpointError: it needs a class that is not there or has other fields, is a pickle, or was
                written by a newer version.
            CorruptSegmentError: the bytes are not what `encode` gives.
        """
        try:
            return self._decoder.decode(data)
        except Exception as error:
            raise reading_error(error) from error


def refusal(error: UnencodableError, name: str) -> EncodingError:
    """Make the error for a value that is refused: which part, and why."""
    reason, path, *_ = error.args
    return EncodingError(
        "A value cannot be kept in a checkpoint.",
        detail=f"`{name}{path}` {reason}.",
        hint='Keep plain data or a dataclass, teach the type with millstream.register_type, or choose codec="pickle".',
    )


def reading_error(error: Exception) -> Exception:
    """Make the error for bytes that could not be read."""
    if isinstance(error, (MillstreamError, MemoryError)):
        return error
    what = str(error) if isinstance(error, MalformedError) else f"{type(error).__name__}: {error}"
    return CorruptSegmentError(
        "A stored value is damaged.",
        detail=f"It cannot be read: {what}.",
        hint="Restore the checkpoint from a copy, or start from an older one.",
    )


class _Forms:
    """How classes are written and read under one codec."""

    def __init__(self, names: ClassNames, *, unpickles: bool) -> None:
        self.names = names
        self.unpickles = unpickles
        self._enumerations: dict[str, type[Enum]] = {}

    def writing(self, kind: type) -> tuple[Any, ...]:
        """Say how values of a class are written; asked once a class."""
        registered = registered_types.of_type(kind)
        if registered is not None:
            name, encode = registered.name, registered.encode
            return code.REGISTERED, lambda value: (name, encode(value)), 1
        if kind in plain_forms.WRITTEN:
            return plain_forms.WRITTEN[kind]
        if kind is Pickled:
            return code.PICKLE, lambda value: value.data, 0
        if issubclass(kind, Enum):
            name = self.names.name_of(kind)
            return code.MEMBER, lambda value: plain_forms.from_member(name, value), 0
        if is_dataclass(kind) or is_named_tuple(kind):
            return record_form(kind, self.names.name_of(kind))
        form = arrays.array_form(kind)
        if form is None:
            raise UnencodableError(_why_refused(kind))
        return form

    def reading(self, expected: int, name: str) -> tuple[type, tuple[str, ...], Any]:
        """Say how values of a dataclass or a named tuple are made; asked once a class."""
        return reading_form(expected, self.names.class_of(name))

    def makers(self) -> dict[int, Any]:
        """Give for each code what makes a value of its content."""
        return {
            **plain_forms.READ,
            **arrays.READ,
            code.MEMBER: self._member,
            code.REGISTERED: registered_types.to_registered,
            code.PICKLE: self._unpickled,
        }

    def _member(self, content: Any) -> Enum:
        name, member = content
        kind = self._enumerations.get(name)
        if kind is None:
            kind = self._enumerations[name] = self._enumeration(name)
        return plain_forms.to_member(kind, member)

    def _enumeration(self, name: str) -> type[Enum]:
        kind = self.names.class_of(name)
        if not issubclass(kind, Enum):
            raise IncompatibleCheckpointError(
                "A class is no longer what its values in a checkpoint are.",
                detail=f"Members of the enumeration {name} were stored; {kind.__qualname__} is none now.",
                hint="Keep the enumeration, or name another: Codec(renamed={...}).",
            )
        return kind

    def _unpickled(self, data: Any) -> Any:
        if not self.unpickles:
            raise IncompatibleCheckpointError(
                "A checkpoint holds a pickle, which is not read unless that is asked for.",
                detail="The value was written with codec='pickle'.",
                hint="Read it with the option codec='pickle', if you trust whoever wrote the checkpoint.",
            )
        try:
            return pickle.loads(data)
        except Exception as error:
            raise IncompatibleCheckpointError(
                "A pickle of a checkpoint cannot be loaded.",
                detail=f"{type(error).__name__}: {error}",
                hint="Pickles need the classes and modules of the program that wrote them; "
                "run that version once more and change to plain data there.",
            ) from error


def _why_refused(kind: type) -> str:
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    article = "an" if name[0].lower() in "aeiou" else "a"
    base = next((base.__name__ for base in _BUILTINS if issubclass(kind, base)), None)
    if base is not None:
        return f"is {article} {name}, a subclass of {base}, which would come back as no more than that"
    return f"is {article} {name}, which has no encoding"


def _unknown(extension: int) -> Any:
    raise IncompatibleCheckpointError(
        "A stored value is of a kind that this version does not know.",
        detail=f"The extension {extension} is none of those of docs/checkpoint-format.md.",
        hint="Read the checkpoint with the version of millstream that wrote it, or a newer one.",
    )


def _pickled(value: Any) -> bytes:
    # By reference where that is enough: a class that goes by value comes back as a second class of its name.
    try:
        return pickle.dumps(value, 5)
    except Exception:  # Why not narrower: what plain pickle refuses may still go by value.
        pass
    try:
        data: bytes = cloudpickle.dumps(value, 5)
    except Exception as error:
        raise EncodingError(
            "A value cannot be kept in a checkpoint.",
            detail=f"It is a {type(value).__module__}.{type(value).__qualname__}, and pickling it raised "
            f"{type(error).__name__}: {error}",
            hint="Keep plain data or a dataclass as state.",
        ) from error
    return data


def _codec_with_types(
    kind: Literal["plain", "pickle"],
    types: tuple[type, ...],
    renamed: dict[str, type],
    registered: Iterable[registered_types.RegisteredType],
) -> Codec:
    for each in registered:
        registered_types.add(each)
    return Codec(kind, types, renamed)


_PLAIN = Codec()


def encode(value: Any, name: str = "value") -> bytes:
    """Write a value with the plain codec; see `Codec.encode`."""
    return _PLAIN.encode(value, name)


def decode(data: Frame, *, types: Iterable[type] = (), renamed: Mapping[str, type] | None = None) -> Any:
    """Read a value that the plain codec wrote; see `Codec.decode`.

    Args:
        data: what `encode` gave.
        types: classes that stored class names may mean.
        renamed: stored names of classes, and what they mean now.
    """
    codec = Codec(types=tuple(types), renamed=renamed or {}) if types or renamed else _PLAIN
    return codec.decode(data)

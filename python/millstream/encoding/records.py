"""Dataclasses and named tuples: written by field names, and made again without a call of their own code."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final

from millstream._core import UnencodableError
from millstream.encoding import extensions as code
from millstream.encoding.class_names import full_name
from millstream.errors import IncompatibleCheckpointError, shown

UPGRADE: Final = "__upgrade_fields__"
"""The class method that gets the stored fields where they are not those of the class, and gives those of today."""

_ALLOWED_SLOTS = {"__dict__", "__weakref__"}


def is_named_tuple(kind: type) -> bool:
    """Say whether a class is a named tuple, made by `collections.namedtuple` or `typing.NamedTuple`."""
    names = getattr(kind, "_fields", None)
    return issubclass(kind, tuple) and isinstance(names, tuple) and hasattr(kind, "_field_defaults")


def field_names(kind: type) -> tuple[str, ...]:
    """Give the names of the fields of a dataclass or a named tuple."""
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    names: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
    return names


def record_form(kind: type, name: str) -> tuple[int, str, tuple[str, ...], frozenset[str] | None]:
    """Say how values of a dataclass or a named tuple are written.

    Returns:
        Code, name of the class, fields, and attributes that are left out; None where values have no others.

    Raises:
        UnencodableError: the class keeps something beside its fields.
    """
    names = field_names(kind)
    if is_dataclass(kind):
        check_makeable(kind)
        slots = (_slots(base) for base in kind.__mro__)
        beside = set().union(*slots) - set(names) - _ALLOWED_SLOTS
        if beside:
            raise UnencodableError(f"is a {kind.__qualname__}, whose slot {min(beside)} is no field of the dataclass")
    if not kind.__dictoffset__:
        return _code_of(kind), name, names, None
    computed = {
        attribute
        for base in kind.__mro__
        for attribute, value in vars(base).items()
        if isinstance(value, functools.cached_property)
    }
    # typing leaves the parameters of a generic class on each instance.
    return _code_of(kind), name, names, frozenset(computed | {"__orig_class__"})


def _slots(kind: type) -> set[str]:
    slots = vars(kind).get("__slots__", ())
    return {slots} if isinstance(slots, str) else set(slots)


def _code_of(kind: type) -> int:
    return code.RECORD if is_dataclass(kind) else code.NAMED_TUPLE


def check_makeable(kind: type) -> None:
    """Refuse dataclasses that are also something else, such as an int or an exception, with a content of its own.

    Raises:
        UnencodableError: it is one.
    """
    try:
        object.__new__(kind)
    except TypeError as error:
        raise UnencodableError(f"is a {kind.__qualname__}, which is more than its fields: {error}") from error


def reading_form(expected: int, kind: type) -> tuple[type, tuple[str, ...], Any]:
    """Say how values of a class are made: the class, its fields, and what makes an instance of it.

    Raises:
        IncompatibleCheckpointError: the class is of another sort now.
    """
    if expected == code.RECORD and is_dataclass(kind):
        try:
            check_makeable(kind)
        except UnencodableError as error:
            raise _other_sort(kind, "dataclass", str(error)) from error
        return kind, field_names(kind), object.__new__
    if expected == code.NAMED_TUPLE and is_named_tuple(kind):
        return kind, field_names(kind), tuple.__new__
    raise _other_sort(kind, "dataclass" if expected == code.RECORD else "named tuple", "it is none now")


def _other_sort(kind: type, sort: str, why: str) -> IncompatibleCheckpointError:
    return IncompatibleCheckpointError(
        "A class is no longer what its values in a checkpoint are.",
        detail=f"Values of {full_name(kind)} were stored as those of a {sort}: {why}.",
        hint=f"Keep the class a {sort}, or name another class for these values: Codec(renamed={{...}}).",
    )


def rebuilt(_code: int, kind: type, stored: dict[str, Any]) -> Any:
    """Make a value of fields that are not, or not in this order, those of its class.

    Raises:
        IncompatibleCheckpointError: a stored field is unknown, or one without a default is not stored.
    """
    names = field_names(kind)
    present = stored
    upgrade = getattr(kind, UPGRADE, None)
    if upgrade is not None and present.keys() != set(names):
        present = _upgraded(kind, upgrade, stored)
    unknown = [name for name in present if name not in names]
    if unknown:
        raise _wrong_fields(kind, stored, f"the class has no field {', '.join(map(repr, unknown))}")
    values = {**_defaults(kind, present), **present}
    missing = [name for name in names if name not in values]
    if missing:
        raise _wrong_fields(kind, stored, f"the field {', '.join(map(repr, missing))} is new and has no default")
    if not is_dataclass(kind):
        return tuple.__new__(kind, (values[name] for name in names))
    value = object.__new__(kind)
    for name in names:
        object.__setattr__(value, name, values[name])
    return value


def _defaults(kind: type, present: Mapping[str, Any]) -> dict[str, Any]:
    if not is_dataclass(kind):
        return dict(kind._field_defaults)  # type: ignore[attr-defined]
    defaults = {}
    for field in fields(kind):
        if field.name in present:
            continue
        if field.default is not MISSING:
            defaults[field.name] = field.default
        elif field.default_factory is not MISSING:
            defaults[field.name] = field.default_factory()
    return defaults


def _upgraded(kind: type, upgrade: Any, stored: dict[str, Any]) -> dict[str, Any]:
    try:
        given = upgrade(dict(stored))
    except Exception as error:
        raise IncompatibleCheckpointError(
            "The fields of a stored value could not be brought up to date.",
            detail=f"{full_name(kind)}.{UPGRADE} raised {type(error).__name__} for {shown(stored)}: {error}",
            hint="Fix the method; it gets the stored fields by name and gives those that the class has now.",
        ) from error
    if not isinstance(given, dict):
        raise IncompatibleCheckpointError(
            "The fields of a stored value could not be brought up to date.",
            detail=f"{full_name(kind)}.{UPGRADE} gave {shown(given)}, which is no dict.",
            hint="Return the fields by name.",
        )
    return given


def _wrong_fields(kind: type, stored: Mapping[str, Any], what: str) -> IncompatibleCheckpointError:
    return IncompatibleCheckpointError(
        "A stored value has other fields than its class.",
        detail=f"A {full_name(kind)} was stored with {', '.join(stored)}; {what}.",
        hint=f"Give new fields a default. For fields that are gone, renamed or computed, add a static method "
        f"{UPGRADE}(fields) to the class that gives the fields of today.",
    )

"""How values of the standard library are written and read: each as a smaller plain value."""

from __future__ import annotations

import functools
import operator
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from millstream._core import UnencodableError
from millstream.encoding import extensions as code
from millstream.errors import IncompatibleCheckpointError

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_US = 86_400_000_000

_FACTORIES: Final[dict[str, Callable[[], Any]]] = {
    kind.__name__: kind
    for kind in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)
}
_FACTORIES.update(Counter=Counter, Decimal=Decimal, OrderedDict=OrderedDict, deque=deque)


def _from_datetime(value: datetime) -> Any:
    zone, fold = value.tzinfo, value.fold
    if zone is UTC and not fold:
        return (value - _EPOCH_UTC) // _MICROSECOND, 0, 0
    if zone is None and not fold:
        return (value - _EPOCH) // _MICROSECOND
    local = value.replace(tzinfo=None, fold=0)
    return (local - _EPOCH) // _MICROSECOND, fold, _from_zone(zone)


def _to_datetime(content: Any) -> datetime:
    if type(content) is int:
        return _EPOCH + timedelta(microseconds=content)
    local_us, fold, zone = content
    if zone == 0 and not fold:
        return _EPOCH_UTC + timedelta(microseconds=local_us)
    return (_EPOCH + timedelta(microseconds=local_us)).replace(tzinfo=_to_zone(zone), fold=fold)


def _from_time(value: time) -> Any:
    local_us = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if value.tzinfo is None and not value.fold:
        return local_us
    return local_us, value.fold, _from_zone(value.tzinfo)


def _to_time(content: Any) -> time:
    local_us, fold, zone = (content, 0, None) if type(content) is int else content
    if not 0 <= local_us < _DAY_US:
        raise ValueError("a time of day is out of range")
    return (_EPOCH + timedelta(microseconds=local_us)).time().replace(tzinfo=_to_zone(zone), fold=fold)


def _from_zone(zone: tzinfo | None) -> Any:
    """Give nil, the offset in microseconds, (offset, name), or the key of the zone."""
    if zone is None:
        return None
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        offset_us = offset // _MICROSECOND
        named = zone.tzname(None) != timezone(offset).tzname(None)
        return (offset_us, zone.tzname(None)) if named else offset_us
    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    kind = f"{type(zone).__module__}.{type(zone).__qualname__}"
    raise UnencodableError(f"has the time zone {zone!r}, a {kind}; use zoneinfo.ZoneInfo or datetime.timezone")


def _to_zone(content: Any) -> tzinfo | None:
    if content is None:
        return None
    if type(content) is str:
        try:
            return ZoneInfo(content)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise IncompatibleCheckpointError(
                "A time zone of the checkpoint is not known here.",
                detail=f"The zone {content!r}: {error}",
                hint="Install the package tzdata, or the time zones of the operating system.",
            ) from error
    if type(content) is int:
        return timezone(timedelta(microseconds=content)) if content else UTC
    offset_us, name = content
    return timezone(timedelta(microseconds=offset_us), name)


def _to_date(content: Any) -> date:
    return date.fromordinal(content + _EPOCH_DAY)


def _to_timedelta(content: Any) -> timedelta:
    days, seconds, microseconds = content
    return timedelta(days, seconds, microseconds)


def _from_uuid(value: UUID) -> bytes:
    return value.bytes


def _to_uuid(content: Any) -> UUID:
    return UUID(bytes=content)


def _to_decimal(content: Any) -> Decimal:
    if type(content) is not str:
        raise ValueError("a Decimal is not given as text")
    return Decimal(content)


def _to_fraction(content: Any) -> Fraction:
    numerator, denominator = content
    return Fraction(numerator, denominator)


def _to_complex(content: Any) -> complex:
    real, imaginary = content
    return complex(real, imaginary)


def _from_deque(value: deque[Any]) -> Any:
    return value.maxlen, tuple(value)


def _to_deque(content: Any) -> deque[Any]:
    maxlen, items = content
    return deque(items, maxlen)


def _from_defaultdict(value: defaultdict[Any, Any]) -> Any:
    factory = value.default_factory
    if factory is None:
        return None, dict(value)
    name = next((name for name, kind in _FACTORIES.items() if kind is factory), None)
    if name is None:
        raise UnencodableError(
            f"has the default factory {factory!r}; only {', '.join(sorted(_FACTORIES))} can be named in a checkpoint"
        )
    return name, dict(value)


def _to_defaultdict(content: Any) -> defaultdict[Any, Any]:
    name, items = content
    items = _mapping(items)
    if name is not None and name not in _FACTORIES:
        raise ValueError(f"the default factory {name!r} is unknown")
    return defaultdict(None if name is None else _FACTORIES[name], items)


def _mapping(content: Any) -> dict[Any, Any]:
    if type(content) is not dict:
        raise ValueError("a mapping is not given as a map")
    return content


def from_member(name: str, value: Enum) -> Any:
    """Give the class and the name of a member; of a flag that is none, the names that make it up."""
    kind = type(value)
    if value._name_ in kind.__members__:
        return name, value._name_
    if isinstance(value, Flag):
        names = [member._name_ for member in value]
        if functools.reduce(operator.or_, (kind[part].value for part in names if part), 0) == value.value:
            return name, tuple(names)
    raise UnencodableError(f"is {value!r}, which is made of no named members")


def to_member(kind: type[Enum], name: Any) -> Enum:
    """Find the member of an enumeration.

    Raises:
        IncompatibleCheckpointError: the class has it no longer.
    """
    try:
        if type(name) is str:
            return kind[name]
        parts = [kind[part] for part in name]
    except KeyError as error:
        raise IncompatibleCheckpointError(
            "A checkpoint holds a member that its enumeration does not have.",
            detail=f"{kind.__module__}.{kind.__qualname__} has no member {error}, but {', '.join(kind.__members__)}.",
            hint="Keep the member, or an alias of that name.",
        ) from error
    zero: Any = kind(0)
    return functools.reduce(operator.or_, parts, zero)  # type: ignore[no-any-return]


WRITTEN: Final[dict[type, tuple[int, Callable[[Any], Any], int]]] = {
    datetime: (code.DATETIME, _from_datetime, 0),
    date: (code.DATE, lambda value: value.toordinal() - _EPOCH_DAY, 0),
    time: (code.TIME, _from_time, 0),
    timedelta: (code.TIMEDELTA, lambda value: (value.days, value.seconds, value.microseconds), 0),
    Decimal: (code.DECIMAL, str, 0),
    Fraction: (code.FRACTION, lambda value: (value.numerator, value.denominator), 0),
    complex: (code.COMPLEX, lambda value: (value.real, value.imag), 0),
    UUID: (code.UUID, _from_uuid, 0),
    deque: (code.DEQUE, _from_deque, 1),
    Counter: (code.COUNTER, dict, 0),
    OrderedDict: (code.ORDERED_DICT, dict, 0),
    defaultdict: (code.DEFAULTDICT, _from_defaultdict, 1),
}
"""Exact type: code, what the value is written as, and how many levels of that no path to a value shows."""

READ: Final[dict[int, Callable[[Any], Any]]] = {
    code.DATETIME: _to_datetime,
    code.DATE: _to_date,
    code.TIME: _to_time,
    code.TIMEDELTA: _to_timedelta,
    code.DECIMAL: _to_decimal,
    code.FRACTION: _to_fraction,
    code.COMPLEX: _to_complex,
    code.UUID: _to_uuid,
    code.DEQUE: _to_deque,
    code.COUNTER: lambda content: Counter(_mapping(content)),
    code.ORDERED_DICT: lambda content: OrderedDict(_mapping(content)),
    code.DEFAULTDICT: _to_defaultdict,
}

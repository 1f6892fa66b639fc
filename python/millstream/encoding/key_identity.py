"""What keys are equal to, where the core has to ask: numbers, dates and times, scalars of Arrow."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from millstream._core import UnencodableError
from millstream.encoding import extensions as code

INSTANT: Final = 122
"""Only in identities: a moment on the UTC line, microseconds since the epoch."""

OFFSET_TIME: Final = 123
"""Only in identities: a time of day with an offset, microseconds after midnight in UTC."""

ARROW: Final = 124
"""Only in identities: a scalar of Arrow, which equals scalars of its own type only."""

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EXPONENT_MAX = 10_000


def identity_of(key: Any) -> tuple[int | None, Any]:
    """Give what stands for all keys that are equal to this one: the code of an extension, or None, and its content.

    Raises:
        UnencodableError: the key is NaN, or a number that equals an integer of more than 10,000 digits.

    Example:
        >>> identity_of(Decimal("2.0")), identity_of(Fraction(1, 2)), identity_of(Decimal("0.1"))
        ((None, 2), (None, 0.5), (31, (1, 10)))
    """
    if isinstance(key, datetime):
        return _of_datetime(key)
    if isinstance(key, date):
        return code.DATE, key.toordinal() - _EPOCH_DAY
    if isinstance(key, time):
        return _of_time(key)
    if isinstance(key, timedelta):
        return code.TIMEDELTA, (key.days, key.seconds, key.microseconds)
    if isinstance(key, Decimal | Fraction):
        return _of_number(key)
    if isinstance(key, complex):
        return _of_complex(key)
    if type(key).__module__.partition(".")[0] == "pyarrow":
        return ARROW, (str(key.type), key.as_py())
    return _of_extended(key)


def _of_datetime(key: datetime) -> tuple[int, Any]:
    zone = key.tzinfo
    if type(zone) is timezone:
        return INSTANT, (key - _EPOCH_UTC) // _MICROSECOND
    local_us = (key.replace(tzinfo=None, fold=0) - _EPOCH) // _MICROSECOND
    offset = key.replace(fold=0).utcoffset()
    if offset is None:
        return code.DATETIME, local_us
    if key.replace(fold=1).utcoffset() != offset:
        # A clock shows this moment twice, or never: it equals only those of its own zone (PEP 495).
        return code.DATETIME, (local_us, 0, str(key.tzinfo))
    return INSTANT, local_us - offset // _MICROSECOND


def _of_time(key: time) -> tuple[int, int]:
    local_us = ((key.hour * 60 + key.minute) * 60 + key.second) * 1_000_000 + key.microsecond
    offset = key.replace(fold=0).utcoffset()
    return (code.TIME, local_us) if offset is None else (OFFSET_TIME, local_us - offset // _MICROSECOND)


def _of_number(key: Decimal | Fraction) -> tuple[int | None, Any]:
    if isinstance(key, Decimal):
        if key.is_nan():
            raise UnencodableError("is NaN, which equals nothing")
        if key.is_infinite():
            return None, float(key)
        if key and abs(key.adjusted()) > _EXPONENT_MAX:
            raise UnencodableError(f"cannot be a key: its exponent is beyond {_EXPONENT_MAX}")
    numerator, denominator = key.as_integer_ratio()
    if denominator == 1:
        return None, numerator
    try:
        number = numerator / denominator
    except OverflowError:
        return code.FRACTION, (numerator, denominator)
    return (None, number) if key == number else (code.FRACTION, (numerator, denominator))


def _of_complex(key: complex) -> tuple[int | None, Any]:
    if key != key:
        raise UnencodableError("is NaN, which equals nothing")
    if key.imag:
        return code.COMPLEX, (key.real + 0.0, key.imag + 0.0)
    return None, int(key.real) if key.real.is_integer() else key.real


def _of_extended(key: Any) -> tuple[int | None, Any]:
    """Give the identity of a number of NumPy that is wider than those of Python, or of a float that is NaN."""
    if key != key:
        raise UnencodableError("is NaN, which equals nothing")
    numerator, denominator = key.as_integer_ratio()
    return _of_number(Fraction(numerator, denominator))

"""Instants: aware datetimes or seconds since the epoch in the public API, milliseconds inside."""

from __future__ import annotations

from datetime import datetime

from millstream.errors import ArgumentTypeError, ConfigurationError


def instant_ms(value: datetime | float, argument: str) -> int:
    """Turn an instant of the public API into milliseconds since the epoch.

    Raises:
        ArgumentTypeError: neither a number nor a datetime.
        ConfigurationError: a datetime without time zone, which would be ambiguous.

    Example:
        >>> from datetime import UTC, datetime
        >>> instant_ms(1.5, "begin"), instant_ms(datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC), "begin")
        (1500, 2000)
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ConfigurationError(
                f"{argument} has no time zone.",
                detail=f"{argument}={value!r}.",
                hint="Give an aware datetime, such as datetime(2030, 1, 1, tzinfo=UTC), or seconds since the epoch.",
            )
        return round(value.timestamp() * 1000)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return round(value * 1000)
    raise ArgumentTypeError(
        f"{argument} is not an instant.",
        detail=f"{argument}={value!r} is of type {type(value).__name__}.",
        hint="Give an aware datetime, or seconds since the epoch.",
    )

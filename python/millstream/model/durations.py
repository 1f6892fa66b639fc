"""Durations: seconds or timedelta in the public API, integer milliseconds inside."""

from __future__ import annotations

import math
from datetime import timedelta

from millstream.errors import ArgumentTypeError, ConfigurationError

Duration = float | int | timedelta
"""Seconds as a number, or a timedelta."""


def duration_ms(value: Duration, argument: str) -> int:
    """Turn a duration of the public API into milliseconds.

    Args:
        value: seconds (int or float) or a timedelta; at least one millisecond.
        argument: the name of the argument, for the error.

    Returns:
        Milliseconds, rounded to the nearest whole one, at least 1.

    Raises:
        ArgumentTypeError: neither a number nor a timedelta.
        ConfigurationError: not finite, not positive, or below one millisecond.

    Example:
        >>> duration_ms(0.002, "batch_interval"), duration_ms(timedelta(minutes=1), "window")
        (2, 60000)
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise ArgumentTypeError(
            f"{argument} is not a duration.",
            detail=f"{argument}={value!r} is of type {type(value).__name__}.",
            hint="Give seconds as a number, such as 0.5, or a datetime.timedelta.",
        )
    if not math.isfinite(seconds) or seconds <= 0:
        raise ConfigurationError(
            f"{argument} must be positive.", detail=f"{argument}={value!r}.", hint="Give a duration above zero."
        )
    milliseconds = round(seconds * 1000)
    if milliseconds < 1:
        raise ConfigurationError(
            f"{argument} is shorter than a millisecond.",
            detail=f"{argument}={value!r}; time is counted in whole milliseconds.",
            hint="Give at least 0.001 seconds.",
        )
    return milliseconds


def multiple_ms(value: Duration, argument: str, *, of_ms: int, of_name: str) -> int:
    """Turn a duration into milliseconds and require that it is a multiple of another.

    Example:
        >>> multiple_ms(6, "window", of_ms=2_000, of_name="batch interval")
        6000
    """
    milliseconds = duration_ms(value, argument)
    if milliseconds % of_ms:
        raise ConfigurationError(
            f"{argument} is not a multiple of the {of_name}.",
            detail=f"{argument} is {milliseconds} ms, the {of_name} {of_ms} ms.",
            hint=f"Give a multiple of {of_ms / 1000:g} seconds.",
        )
    return milliseconds

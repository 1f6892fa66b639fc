"""Checking arguments that can have only some values: one of a few words, a number above zero."""

from __future__ import annotations

from typing import Any, get_args

from millstream.errors import ConfigurationError, shown


def one_of(name: str, value: object, choices: Any) -> None:
    """Check an argument that is one of a few words.

    Args:
        name: of the argument.
        value: what was given.
        choices: the words; or a `Literal` of them.

    Raises:
        ConfigurationError: it is another one.

    Example:
        >>> one_of("on_full", "wait", ("block", "raise"))
        Traceback (most recent call last):
            ...
        millstream.errors.ConfigurationError: on_full has a value that it cannot have.
        Detail: on_full='wait'.
        Hint: Give "block" or "raise".
    """
    words = choices if isinstance(choices, tuple) else get_args(choices)
    # Why not `in` alone: it would raise for an array, or take 1 for True.
    if isinstance(value, str) and value in words:
        return
    *some, last = (f'"{word}"' for word in words)
    raise ConfigurationError(
        f"{name} has a value that it cannot have.",
        detail=f"{name}={shown(value)}.",
        hint=f"Give {', '.join(some)} or {last}.",
    )


def above_zero(name: str, value: object) -> None:
    """Check an argument that is a number above zero.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ConfigurationError(
            f"{name} must be above zero.", detail=f"{name}={shown(value)}.", hint="Give a number above zero."
        )

"""Arguments of Kafka streams that can have only some values."""

from __future__ import annotations

from millstream.errors import ConfigurationError, shown


def one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Check an argument that is one of a few words.

    Raises:
        ConfigurationError: it is another one.
    """
    if value not in choices:
        raise ConfigurationError(
            f"{name} has a value that it cannot have.",
            detail=f"{name}={shown(value)}.",
            hint=f"Give one of {', '.join(map(repr, choices))}.",
        )


def above_zero(name: str, value: float) -> None:
    """Check an argument that is a number above zero.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ConfigurationError(
            f"{name} must be above zero.", detail=f"{name}={shown(value)}.", hint="Give a number above zero."
        )

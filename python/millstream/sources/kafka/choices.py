"""Arguments of Kafka streams that are numbers."""

from __future__ import annotations

from millstream.errors import ConfigurationError, shown


def above_zero(name: str, value: float) -> None:
    """Check an argument that is a number above zero.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ConfigurationError(
            f"{name} must be above zero.", detail=f"{name}={shown(value)}.", hint="Give a number above zero."
        )

"""Checking names of columns that a user gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from millstream.errors import ConfigurationError, shown


def checked_column_names(names: Any, what: str, *, argument: str = "columns", otherwise: str = "") -> list[str]:
    """Give names of columns as a list.

    Args:
        names: what was given: a sequence of different names, at least one.
        what: what the names are of, such as `the columns of CSV files`.
        argument: the argument's name.
        otherwise: what to give instead, for the hint.

    Raises:
        ConfigurationError: they are something else.

    Example:
        >>> checked_column_names(("id", "price"), "the columns of CSV files")
        ['id', 'price']
        >>> checked_column_names("id", "the columns of CSV files")
        Traceback (most recent call last):
            ...
        millstream.errors.ConfigurationError: The columns of CSV files are not a list of different names.
        Detail: columns='id'.
        Hint: Give a list such as columns=["id", "price"].
    """
    if (
        isinstance(names, str)
        or not isinstance(names, Sequence)
        or not names
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) < len(names)
    ):
        raise ConfigurationError(
            f"{what[0].upper()}{what[1:]} are not a list of different names.",
            detail=f"{argument}={shown(names)}.",
            hint=f'Give a list such as {argument}=["id", "price"]{otherwise}.',
        )
    return list(names)

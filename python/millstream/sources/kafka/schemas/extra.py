"""Packages that only those need whose records have schemas."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from millstream.errors import ConfigurationError


def needed(module: str, what: str) -> Any:
    """Import a module of the extra `kafka-schemas`.

    Args:
        module: its name.
        what: what needs it, for the error.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{what} needs a package that is not installed.",
            detail=f"{error}.",
            hint="pip install 'millstream[kafka-schemas]'",
        ) from error

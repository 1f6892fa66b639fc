"""Packages that only some programs need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from millstream.errors import ConfigurationError


def optional_package(module: str, *, extra: str, needed_by: str) -> ModuleType:
    """Import a module of an optional dependency.

    Args:
        module: its full name.
        extra: the extra of millstream that installs it.
        needed_by: what cannot do without it, such as `http_stream`.

    Raises:
        ConfigurationError: it is not installed; the hint has the command.

    Example:
        >>> optional_package("json", extra="http", needed_by="http_stream").__name__
        'json'
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{needed_by} needs the package {module.partition('.')[0]}, which is not installed.",
            detail=f"import {module}: {error}",
            hint=f'pip install "millstream[{extra}]"',
        ) from error

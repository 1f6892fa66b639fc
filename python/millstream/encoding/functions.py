"""Functions of the user's as bytes, for workers in other processes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle

from millstream.encoding.by_value import PROTOCOL
from millstream.encoding.unshippable import unshippable_part
from millstream.errors import MillstreamError, ShippingError
from millstream.model.label import Label


def ship_function(function: object, label: Label) -> bytes:
    """Encode a function, or a step that holds one, with all that it needs.

    Functions and classes of `__main__`, lambdas and local functions go by value with the globals and the
    variables that they use; those of importable modules go by name.

    Args:
        function: any callable, or an object that holds callables.
        label: the operator that it was given to, for the error.

    Returns:
        Bytes for `load_function`. Two calls may give different bytes for one function.

    Raises:
        ShippingError: a variable, a global or an attribute cannot be sent; the error names it.

    Example:
        >>> factor = 3
        >>> load_function(ship_function(lambda x: x * factor, Label("map")), Label("map"))(2)
        6
    """
    try:
        data: bytes = cloudpickle.dumps(function, PROTOCOL)
    except Exception as error:
        raise _cannot_ship(function, label, error) from error
    return data


def load_function(data: bytes, label: Label) -> Any:
    """Decode what `ship_function` gave.

    Raises:
        ShippingError: this process cannot import a module that the function needs.
    """
    try:
        return pickle.loads(data)
    except (ImportError, AttributeError) as error:
        raise ShippingError(
            f"A function given to {label.operator} cannot be loaded in a worker process{_at(label)}.",
            detail=f"{type(error).__name__}: {error}",
            hint="Put the module that it needs where every worker finds it, such as an installed package.",
        ) from error


def _cannot_ship(function: object, label: Label, error: Exception) -> ShippingError:
    part = unshippable_part(function, _encoded)
    reason = error.message if isinstance(error, MillstreamError) else f"{type(error).__name__}: {error}"
    return ShippingError(
        f"A function given to {label.operator} cannot be sent to a worker process{_at(label)}.",
        detail=f"{_name(function)} uses {part}, which cannot be encoded: {reason}",
        hint=(error.hint if isinstance(error, ShippingError) else None)
        or "Make it inside the function, or in map_partitions, so that every worker makes its own.",
    )


def _encoded(value: Callable[..., Any]) -> object:
    return cloudpickle.dumps(value, PROTOCOL)


def _name(function: object) -> str:
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def _at(label: Label) -> str:
    return f" ({label.site})" if label.site else ""

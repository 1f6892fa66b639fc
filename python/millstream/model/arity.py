"""What a user's function asks for: the record alone, or the record and the batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from millstream.errors import ArgumentTypeError, GraphError


def wants_batch(f: Callable[..., Any], normal: int) -> bool:
    """Say whether a function asks for the batch as one more argument.

    It does if, and only if, it requires exactly one positional argument more than the operation normally
    gives. Arguments with a default do not count, nor does the `self` of a bound method, nor what a
    `functools.partial` has filled in. A function whose signature cannot be known, such as some builtins, does not ask.

    Args:
        f: any callable.
        normal: how many positional arguments the operation gives, the batch not counted, >= 0.

    Example:
        >>> wants_batch(lambda x: x, 1), wants_batch(lambda x, batch: x, 1), wants_batch(lambda x, n=2: x, 1)
        (False, True, False)
        >>> wants_batch(str.split, 1), wants_batch("a b".split, 1)
        (False, False)
    """
    return required_positionals(f) == normal + 1


def required_positionals(f: Callable[..., Any]) -> int | None:
    """Count the positional arguments that a call must give, or None where the signature cannot be known.

    Example:
        >>> import functools
        >>> required_positionals(functools.partial(pow, 2)), required_positionals(lambda a, b, *rest: a)
        (1, 2)
        >>> required_positionals(dict)
    """
    if type(f) is FunctionType and not hasattr(f, "__wrapped__"):
        return max(0, f.__code__.co_argcount - len(f.__defaults__ or ()))
    signature = _known_signature(f)
    if signature is None:
        return None
    return sum(
        parameter.default is inspect.Parameter.empty
        and parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for parameter in signature.parameters.values()
    )


def refuse_arguments(f: Callable[..., Any], operator: str, normal: int, *, batch: bool) -> None:
    """Refuse a function that cannot be called with the arguments that an operator gives.

    A function whose signature cannot be known is not refused.

    Args:
        f: any callable.
        operator: the operator that would call it, for the error.
        normal: how many positional arguments the operation gives.
        batch: whether it gives the batch as one more to a function that requires it.

    Raises:
        ArgumentTypeError: it requires more or takes fewer.

    Example:
        >>> refuse_arguments(lambda x, batch: x, "map", 1, batch=True)
        >>> refuse_arguments(max, "reduce_by_key", 2, batch=False)
    """
    signature = _known_signature(f)
    if signature is None:
        return
    for count in (normal, normal + 1) if batch else (normal,):
        try:
            signature.bind(*(None,) * count)
        except TypeError:
            continue
        return
    raise ArgumentTypeError(
        f"{operator} was given a function that it cannot call.",
        detail=f"{getattr(f, '__name__', _named(f))}{signature} is called with {normal} "
        f"positional argument{'s' * (normal != 1)}.",
        hint=f"Give one that takes {normal}{f', or {normal + 1} to get the Batch as the last' if batch else ''}.",
    )


def refuse_coroutine(f: Callable[..., Any], operator: str) -> None:
    """Refuse a function made by `async def` where nothing awaits it.

    Args:
        f: any callable; partials, methods and objects with an async `__call__` are seen through.
        operator: the operator that would call it, for the error.

    Raises:
        GraphError: the function is a coroutine function or an async generator. Use `map_async`, or a plain function.

    Example:
        >>> refuse_coroutine(len, "map")
    """
    for candidate in (f, inspect.getattr_static(type(f), "__call__", None)):
        if inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise GraphError(
                f"{operator} was given a coroutine function, which nothing would await.",
                detail=f"{_named(f)} is defined with async def.",
                hint="Use map_async, which awaits it, or give a plain function.",
            )


def _takes_any(signature: inspect.Signature) -> bool:
    return any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in signature.parameters.values())


def _known_signature(f: Callable[..., Any]) -> inspect.Signature | None:
    signature = _signature(f, follow=False)
    if hasattr(f, "__wrapped__") and (signature is None or _takes_any(signature)):
        # Why only then: a decorator's (*args) passes on what the wrapped function takes, but one that names its
        # parameters takes these, whatever functools.wraps copied.
        signature = _signature(f, follow=True)
    return signature


def _signature(f: Callable[..., Any], *, follow: bool) -> inspect.Signature | None:
    try:
        return inspect.signature(f, follow_wrapped=follow)
    except (ValueError, TypeError):  # Some builtins have no signature; not callable is for the call to say.
        return None


def _named(f: Callable[..., Any]) -> str:
    return str(getattr(f, "__qualname__", None) or type(f).__qualname__)

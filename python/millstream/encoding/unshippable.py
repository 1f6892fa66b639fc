"""Finding the part of a value or of a function that cannot be encoded, to name it in an error."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

from millstream.errors import MillstreamError, ShippingError

_DEPTH_MAX = 30
_PARTS_MAX = 2_000
"""Parts that are tried before the search gives what it has; a value may hold millions of them."""


def unshippable_part(value: object, encode: Callable[[Any], object]) -> str:
    """Describe the innermost part of a value that an encoder refuses.

    Args:
        value: what was refused, or a function that holds it.
        encode: raises when it cannot encode what it is given.

    Returns:
        Words for an error, such as "the variable `client.session.lock` (a _thread.lock)".

    Example:
        >>> import pickle, threading
        >>> unshippable_part({"a": [1, threading.Lock()]}, pickle.dumps)
        "the item `['a'][1]` (a _thread.lock)"
    """
    path, kind, part = "", "", value
    search = _Search(encode, value)
    for _ in range(_DEPTH_MAX):
        found = search.refused_part(part)
        if found is None:
            break
        inner_kind, step, part = found
        if step[0] in ".[" and path:
            path += step
        else:  # A variable of a function stands for itself, however the function was reached.
            kind, path = inner_kind, step
    return _described(kind, path, part)


class _Search:
    def __init__(self, encode: Callable[[Any], object], value: object) -> None:
        self.encode = encode
        self.seen = {id(value)}
        self.budget = _PARTS_MAX

    def refused_part(self, whole: object) -> tuple[str, str, Any] | None:
        """Find the first part of a value that the encoder refuses, if it is a part that is to blame."""
        for found in _parts(whole):
            self.budget -= 1
            if self.budget < 0:
                return None
            part = found[2]
            if id(part) not in self.seen and _refused(part, self.encode):
                self.seen.add(id(part))
                return found
        return None


def _described(kind: str, path: str, part: object) -> str:
    room = type(part).__module__
    name = f"{'millstream' if room.startswith('millstream.') else room}.{type(part).__qualname__}"
    name = name.removeprefix("builtins.")
    article = "an" if name[0].lower() in "aeiou" else "a"
    if not path:
        return f"the value ({article} {name})"
    return f"the {kind} `{path.removeprefix('.')}` ({article} {name})"


def _refused(value: object, encode: Callable[[Any], object]) -> bool:
    try:
        encode(value)
    except Exception:  # Any error is a refusal: a class may raise what it likes from its own __reduce__.
        return True
    return False


def _parts(value: Any) -> Iterator[tuple[str, str, Any]]:
    """List what a value is made of: what kind of part it is, how it is reached, the part."""
    if isinstance(value, types.FunctionType):
        yield from _parts_of_function(value)
    elif isinstance(value, types.MethodType):
        yield "object", f"{type(value.__self__).__name__}", value.__self__
        yield "function", value.__func__.__name__, value.__func__
    elif isinstance(value, functools.partial):
        yield "function", getattr(value.func, "__name__", "func"), value.func
        yield from (("argument", f"argument {index}", item) for index, item in enumerate(value.args))
        yield from (("argument", name, item) for name, item in value.keywords.items())
    elif isinstance(value, dict):
        yield from (("item", f"[{_short(key)}]", item) for key, item in value.items())
        yield from (("key", f"[{_short(key)}]", key) for key in value)
    elif isinstance(value, (list, tuple)):
        yield from (("item", f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from (("item", f"[{_short(item)}]", item) for item in value)
    elif isinstance(value, type):
        yield from (("attribute", f".{name}", item) for name, item in vars(value).items() if name[:2] != "__")
    else:
        yield from _attributes(value)


def _parts_of_function(function: types.FunctionType) -> Iterator[tuple[str, str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield "variable", name, cell.cell_contents
        except ValueError:  # A cell that is still empty.
            continue
    for name in _global_names(function.__code__):
        if name in function.__globals__:
            yield "global variable", name, function.__globals__[name]
    yield from (("default of argument", str(i), item) for i, item in enumerate(function.__defaults__ or ()))
    yield from (("default of argument", name, item) for name, item in (function.__kwdefaults__ or {}).items())
    yield from (("attribute", f".{name}", item) for name, item in vars(function).items())


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _attributes(value: Any) -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, MillstreamError) or _refuses_itself(value):
        return
    names = dict.fromkeys(getattr(value, "__dict__", ()))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names.update(dict.fromkeys((slots,) if isinstance(slots, str) else slots))
    for name in names:
        try:
            yield "attribute", f".{name}", getattr(value, name)
        except Exception:  # An attribute that cannot be read is no part that could be named.
            continue


def _refuses_itself(value: Any) -> bool:
    """Say whether a value says of itself that it cannot be sent, whatever it is made of."""
    if not any("__reduce__" in kind.__dict__ for kind in type(value).__mro__[:-1]):
        return False
    try:
        value.__reduce__()
    except ShippingError:
        return True
    except Exception:  # Another refusal may be that of a part.
        return False
    return False


def _short(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 40 else text[:39] + "…"

"""Classes by name: what a checkpoint keeps of a class, and how the class is found again."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from cloudpickle import cloudpickle as internals

from millstream._core import UnencodableError
from millstream.errors import ConfigurationError, IncompatibleCheckpointError


def full_name(kind: type) -> str:
    """Give the name by which a checkpoint knows a class.

    Example:
        >>> from decimal import Decimal
        >>> full_name(Decimal)
        'decimal:Decimal'
    """
    return f"{kind.__module__}:{kind.__qualname__}"


class ClassNames:
    """Names of classes, and the classes of names.

    A class is looked for, in this order: in `renamed` by its stored name; among `types` by its stored name, then by
    the last part of it alone, as for a class that moved; in its module, if that is loaded, or is part of a package
    that is loaded; among the classes that came to this process by value. Nothing else is imported, and no more is done
    with what a name finds than to make dataclasses, named tuples and members of enumerations.

    Args:
        types: classes that stored names may mean.
        renamed: stored name, `module:qualname`, to the class that it is now.

    Raises:
        ConfigurationError: an argument is no class.
    """

    def __init__(self, types: Iterable[type] = (), renamed: Mapping[str, type] | None = None) -> None:
        self._types = tuple(types)
        self._renamed = dict(renamed or {})
        for kind in (*self._types, *self._renamed.values()):
            if not isinstance(kind, type):
                raise ConfigurationError(
                    "What a stored name may mean is no class.",
                    detail=f"It is {kind!r}.",
                    hint="Give classes: types=[Session], renamed={'module:Name': Session}.",
                )

    def name_of(self, kind: type) -> str:
        """Give the name of a class.

        Raises:
            UnencodableError: the class would not be found by it.
        """
        if kind not in self._types:
            if "<locals>" in kind.__qualname__:
                raise UnencodableError(
                    f"is of the class {kind.__qualname__}, which a function defines, so that no name finds it again; "
                    "move the class to the top of its module, or name it in the codec's types"
                )
            found = _at(kind.__module__, kind.__qualname__)
            # A class of __main__, or of a module that is not here, came to this process by value.
            if found is not kind and kind.__module__ != "__main__" and kind.__module__ in sys.modules:
                raise UnencodableError(
                    f"is of a class that is not the one that {full_name(kind)} finds; "
                    "give the class a name of its own, or name it in the codec's types"
                )
        return full_name(kind)

    def class_of(self, name: str) -> type:
        """Find the class of a stored name.

        Raises:
            IncompatibleCheckpointError: there is none, or more than one.
        """
        if name in self._renamed:
            return self._renamed[name]
        module, _, qualname = name.partition(":")
        found = self._among_types(name, qualname) or _at(module, qualname) or _by_value(module, qualname)
        if isinstance(found, type):
            return found
        raise IncompatibleCheckpointError(
            "A class that a checkpoint names is not there.",
            detail=f"Values of {name} are stored, and {_why_not(module, qualname)}.",
            hint=f"Import the module that defines the class before the program starts, or, if the class moved or has "
            f"another name now, say so: Codec(types=[...]) or Codec(renamed={{{name!r}: ...}}).",
        )

    def _among_types(self, name: str, qualname: str) -> type | None:
        last = qualname.rpartition(".")[2]
        same = [kind for kind in self._types if full_name(kind) == name]
        found = same or [kind for kind in self._types if kind.__qualname__.rpartition(".")[2] == last]
        if len(found) > 1:
            raise IncompatibleCheckpointError(
                "A class that a checkpoint names can be one of several.",
                detail=f"{name} matches {', '.join(full_name(kind) for kind in found)} by its last part.",
                hint=f"Say which one: Codec(renamed={{{name!r}: ...}}).",
            )
        return found[0] if found else None


def _at(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    if found is None and module.partition(".")[0] in sys.modules:
        found = _part_of_package(module)
    for part in qualname.split("."):
        # What is there already: no attribute that is computed when it is asked for.
        found = getattr(found, "__dict__", {}).get(part)
    return found


def _part_of_package(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        return None
    except Exception as error:
        raise IncompatibleCheckpointError(
            "A module that a checkpoint names cannot be loaded.",
            detail=f"Importing {module} raised {type(error).__name__}: {error}",
            hint="Repair the module, or say where its classes are now: Codec(types=[...]).",
        ) from error


def _by_value(module: str, qualname: str) -> type | None:
    # Classes of __main__ reach a worker inside of functions, and have no place in its own __main__.
    for kind in list(internals._DYNAMIC_CLASS_TRACKER_BY_ID.values()):
        if kind.__module__ == module and kind.__qualname__ == qualname:
            found: type = kind
            return found
    return None


def _why_not(module: str, qualname: str) -> str:
    if _at(module, qualname) is not None:
        return "that is no class"
    if module in sys.modules:
        return f"the module {module} has no {qualname}"
    return f"no module {module} is loaded"

"""How an operator keeps its state in a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from millstream.encoding.codec import Codec
from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.model.arity import required_positionals
from millstream.model.label import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class StateOptions:
    """How an operator keeps its state in a checkpoint, and how it takes over what an earlier program left.

    Args:
        codec: how values are written. "plain": a documented format for builtin values, dates, numbers, NumPy and
            Arrow data, enums, dataclasses by the names of their fields, and types of `register_type`; later programs
            can read it. "pickle": anything that pickles, readable only while classes and libraries stay as they are.
            Or a `Codec`.
        unpickle: values that were stored as pickles are read although the codec is "plain", which leads away from
            pickles: what is written from then on is plain. Reading a pickle runs what it says.
        version: the version of the values; count it up when a program keeps other values than the one before.
        migrate: `migrate(old value)` gives the new value of each key when a checkpoint of a lower version is loaded;
            when it requires two arguments it gets the stored version as second. None drops the key. For windows it
            is called for the value of each pair or, where there are no keys, for each record; None drops nothing there.
        renamed_from: the name= that the operator had in the program that wrote the checkpoint.
        types: classes of values that moved to another module since they were stored; a class that has another
            name too goes into `Codec(renamed={...})`.

    Raises:
        ConfigurationError: a value is not one of those above.
        ArgumentTypeError: a value has another type.

    Example:
        >>> import millstream as ms
        >>> options = ms.StateOptions(version=2, migrate=lambda count: {"count": count})
        >>> options.codec, options.version
        ('plain', 2)
    """

    codec: Literal["plain", "pickle"] | Codec = "plain"
    version: int = 1
    migrate: Callable[..., Any] | None = None
    renamed_from: str | None = None
    types: Sequence[type] = ()
    unpickle: bool = False

    def __post_init__(self) -> None:
        if self.codec not in ("plain", "pickle") and not isinstance(self.codec, Codec):
            raise ConfigurationError(
                "StateOptions has no such codec.",
                detail=f"codec={shown(self.codec)}.",
                hint='Choose "plain" or "pickle", or give an ms.Codec.',
            )
        if not isinstance(self.version, int) or isinstance(self.version, bool) or self.version < 1:
            raise ConfigurationError(
                "The version of state must be a whole number above zero.",
                detail=f"version={shown(self.version)}.",
                hint="The first version is 1.",
            )
        if self.renamed_from is not None and not isinstance(self.renamed_from, str):
            raise ArgumentTypeError(
                "renamed_from is the name that an operator had.",
                detail=f"renamed_from={shown(self.renamed_from)} is of type {type(self.renamed_from).__name__}.",
                hint="Give a str.",
            )
        if self.types and isinstance(self.codec, Codec):
            raise ConfigurationError(
                "types= belongs to the codec.",
                detail="A Codec was given, and types= beside it.",
                hint="Give Codec(types=...).",
            )
        for kind in self.types:
            if not isinstance(kind, type):
                raise ArgumentTypeError(
                    "types= takes classes.", detail=f"It holds {shown(kind)}.", hint="Give the classes themselves."
                )
        self._check_migrate()

    def _check_migrate(self) -> None:
        if self.migrate is None:
            return
        if not callable(self.migrate) or (required_positionals(self.migrate) or 1) > 2:
            raise ArgumentTypeError(
                "migrate must be a function of the old value, or of the old value and its version.",
                detail=f"migrate={shown(self.migrate)}.",
                hint="Give f(old) or f(old, version).",
            )
        if self.version == 1:
            raise ConfigurationError(
                "A migrate function needs a version.",
                detail="version=1 is the first: there is no earlier one to migrate from.",
                hint="Count version= up with every change of the values, beginning with 2.",
            )

    def value_codec(self) -> Codec:
        """Give the codec that the options ask for."""
        return self.codec if isinstance(self.codec, Codec) else Codec(self.codec, tuple(self.types))

    def reading_codec(self) -> Codec:
        """Give the codec for what is stored: like the other one, but it reads pickles where that was asked for."""
        codec = self.value_codec()
        return Codec("pickle", codec.types, codec.renamed) if self.unpickle else codec


DEFAULT_OPTIONS: Final = StateOptions()


def checked_options(options: StateOptions | None, label: Label) -> StateOptions:
    """Check what an operator was given as `state=`; None gives the defaults.

    Raises:
        ArgumentTypeError: it is no `StateOptions`.
        ConfigurationError: it says what the operator was called before, and the operator has no name now.
    """
    if options is None:
        return DEFAULT_OPTIONS
    if not isinstance(options, StateOptions):
        raise ArgumentTypeError(
            f"{label.operator} was given a state= that is no StateOptions.",
            detail=f"state={shown(options)} is of type {type(options).__name__}.",
            hint='Write state=ms.StateOptions(codec="pickle"), for instance.',
        )
    if options.renamed_from is not None and label.name is None:
        raise ConfigurationError(
            f"{label.operator} was renamed, but has no name.",
            detail=f"renamed_from={options.renamed_from!r} without name=; it is called at {label.site}.",
            hint="Give the operator its new name=, by which its state is kept from now on.",
        )
    return options

"""Functions whose errors become records: what `try_map` and `try_flat_map` put in place of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from millstream.errors import ArgumentTypeError, UnavailableError, shown
from millstream.model.arity import wants_batch
from millstream.model.batch import Batch
from millstream.model.refused import Refused

ERROR_CHARACTERS = 1_000

ErrorTypes: TypeAlias = type[Exception] | tuple[type[Exception], ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """Stands for a record that was refused among those that were not, which may be anything but this."""

    refused: Refused[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Try:
    """Calls a function, and gives what it raised as a value.

    Attributes:
        f: the user's function.
        with_batch: it gets the batch too.
        errors: what a record is refused by; everything else fails the batch.
        operator: named in what is refused.
    """

    f: Callable[..., Any]
    with_batch: bool
    errors: ErrorTypes
    operator: str

    def __call__(self, record: Any, batch: Batch) -> Any:
        """Give what the function gives, or a `Failed`."""
        try:
            return self.f(record, batch) if self.with_batch else self.f(record)
        except UnavailableError:
            raise  # It may pass, and then the record is as good as any.
        except self.errors as error:
            return Failed(self.refused(record, error, batch))

    def refused(self, record: Any, error: Exception, batch: Batch) -> Refused[Any]:
        """Describe a record that was refused."""
        try:
            text = f"{type(error).__name__}: {error}"
        except Exception:  # Why not let it pass: the error's text must not hide that the record is bad.
            text = type(error).__name__
        return Refused(record, text[:ERROR_CHARACTERS], self.operator, batch.time_ms)


class TryAll(Try):
    """The same for a function that gives many records for one; all of them count, or none."""

    __slots__ = ()

    def __call__(self, record: Any, batch: Batch) -> Iterable[Any]:
        """Give all that the function gives, or one `Failed`."""
        try:
            return list(self.f(record, batch) if self.with_batch else self.f(record))
        except UnavailableError:
            raise
        except self.errors as error:
            return (Failed(self.refused(record, error, batch)),)


def tried(kind: type[Try], f: Callable[..., Any], errors: Any, operator: str) -> Try:
    """Make the function that stands for a user's.

    Raises:
        ArgumentTypeError: `errors` is no exception class and no tuple of them.
    """
    kinds = errors if isinstance(errors, tuple) else (errors,)
    if not kinds or not all(isinstance(error, type) and issubclass(error, Exception) for error in kinds):
        raise ArgumentTypeError(
            "errors= names no exceptions.",
            detail=f"errors={shown(errors)}.",
            hint="Give a class such as ValueError, or a tuple of such classes.",
        )
    return kind(f, wants_batch(f, 1), errors, operator)


def is_taken(value: Any) -> bool:
    """Tell what a function gave from what it refused."""
    return type(value) is not Failed


def refused_of(value: Any) -> tuple[Refused[Any], ...]:
    """Give what was refused, as no record or one."""
    return (value.refused,) if type(value) is Failed else ()

"""An upgrade: values of an earlier version of a program become values of this one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from millstream.errors import UserCodeError, shown
from millstream.model.arity import wants_batch
from millstream.model.label import Label


@dataclass(frozen=True, slots=True, eq=False)
class Upgrade:
    """The migrate function of a user, for values of one stored version.

    Attributes:
        migrate: `migrate(old value)`, or `migrate(old value, version)` when it requires two arguments.
        from_version: the version of the stored values.
        label: the operator, for errors.
    """

    migrate: Callable[..., Any]
    from_version: int
    label: Label

    def of(self, key: Any) -> Callable[[Any], Any]:
        """Give the function for the value of a key, which names the key when it raises."""
        migrate, from_version = self.migrate, self.from_version
        with_version = wants_batch(migrate, 1)

        def upgraded(value: Any) -> Any:
            try:
                return migrate(value, from_version) if with_version else migrate(value)
            except Exception as error:
                raise self._failure(key, value, error) from error

        return upgraded

    def _failure(self, key: Any, value: Any, error: Exception) -> UserCodeError:
        label = self.label
        operator = f"{label.operator} {label.name!r}" if label.name else label.operator
        return UserCodeError(
            f"The migrate function of {operator} raised {type(error).__name__}: {error}",
            operator=label.operator,
            site=label.site,
            record=shown((key, value)),
            detail=f"The key is {shown(key)}, its old value {shown(value)}, of version {self.from_version}; "
            f"{label.operator} was added at {label.site}.",
            hint="The traceback of the cause shows the line. The checkpoint is as it was: correct the function and "
            "start again.",
        )

"""The state of one key, as a function given to `map_with_state` sees it."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar, overload

from millstream.encoding.copies import ATOMS, copied
from millstream.errors import ArgumentTypeError, LifecycleError, shown
from millstream.state.version import ABSENT

S = TypeVar("S")
D = TypeVar("D")

_REQUIRED: Final[Any] = object()

UNCHANGED: Final = 0
UPDATED: Final = 1
REMOVED: Final = 2
CLOSED: Final = 3


class State(Generic[S]):
    """The state of the key that is worked on; valid only during the call that got it.

    The value that `get` gives may be mutated in place, with or without calling `update` after; a batch that
    fails and runs again sees it as it was before.

    Example:
        >>> def count(key, value, state):
        ...     state.update(state.get(0) + value)
        ...     return key, state.get()
    """

    __slots__ = ("_change", "_key", "_shared", "_timing_out", "_value")

    def __init__(self) -> None:
        self._key: Any = None
        self._value: Any = ABSENT
        self._shared = False
        self._change = UNCHANGED
        self._timing_out = False

    def exists(self) -> bool:
        """Say whether the key has a state."""
        return self._value is not ABSENT

    @overload
    def get(self) -> S: ...
    @overload
    def get(self, default: D) -> S | D: ...
    def get(self, default: Any = _REQUIRED) -> Any:
        """Give the state.

        Args:
            default: what to give when the key has no state.

        Raises:
            LifecycleError: the key has no state, and there is no default.
        """
        value = self._value
        if self._shared and type(value) not in ATOMS and value is not ABSENT:
            return self._made_own(value)
        if value is not ABSENT:
            return value
        if default is not _REQUIRED:
            return default
        raise LifecycleError(
            "A key has no state to get.",
            detail=f"The key is {shown(self._key)}.",
            hint="Ask exists() first, or give a default: get(0).",
        )

    def get_option(self) -> S | None:
        """Give the state, or None when the key has none."""
        return self.get(None)

    def update(self, value: S) -> None:
        """Set the state.

        Args:
            value: the new state, not None.

        Raises:
            LifecycleError: the state was removed in this call, or is timing out.
            ArgumentTypeError: the value is None.
        """
        if self._change >= REMOVED or self._timing_out:
            raise self._too_late("updated")
        if value is None:
            raise ArgumentTypeError(
                "A state cannot be None.",
                detail=f"update(None) was called for the key {shown(self._key)}.",
                hint="Call remove() to drop the state.",
            )
        self._value = value
        self._shared = False
        self._change = UPDATED

    def remove(self) -> None:
        """Drop the state; a key that has none is left alone.

        Raises:
            LifecycleError: the state was removed in this call before, or is timing out, and so goes by itself.
        """
        if self._change >= REMOVED or self._timing_out:
            raise self._too_late("removed")
        self._value = ABSENT
        self._change = REMOVED

    def is_timing_out(self) -> bool:
        """Say whether this is the last call for a key that was idle for longer than the timeout."""
        return self._timing_out

    def __repr__(self) -> str:
        return f"State({shown(self._value)})" if self.exists() else "State()"

    def _made_own(self, value: Any) -> Any:
        """Copy a mutable value that an older version still holds."""
        own = copied(value)
        self._shared = False
        if own is not value:
            self._value = own
            self._change = UPDATED
        return own

    def _too_late(self, what: str) -> LifecycleError:
        if self._change == CLOSED:
            why, hint = "the call that it was given to has ended", "Keep what state.get() gives, not the State."
        elif self._timing_out:
            why, hint = "it is timing out and will be gone after this call", "Ask is_timing_out() first."
        else:
            why, hint = "it was removed earlier in this call", "Call either update() or remove() last, once."
        return LifecycleError(f"A state cannot be {what}: {why}.", detail=f"The key is {shown(self._key)}.", hint=hint)

    def _close(self) -> None:
        self._value = ABSENT
        self._timing_out = False
        self._change = CLOSED

"""What rate controllers have learnt, from one driver to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from millstream.errors import UserCodeError
from millstream.model.ports.rate_controller import RateController

KEEP_MS = 1_000
"""How much batch time lies between two notes: what is learnt changes slowly, and short batches should not pay."""


class RateMemory:
    """Takes down what the controllers have learnt, and has those of the next driver go on from it.

    Args:
        controllers: by input.
        kept: what the controllers of earlier drivers had learnt, by input, as `newest` gave it.

    Raises:
        UserCodeError: a controller raised.

    Example:
        >>> class Last(RateController):
        ...     rate = 5.0
        ...     def first_rate(self, interval_ms): return self.rate
        ...     def next_rate(self, batch): return self.rate
        ...     def learnt(self): return self.rate
        ...     def go_on(self, learnt): self.rate = learnt
        >>> before = Last(); before.rate = 70.0
        >>> kept = RateMemory({"lines": before}, {}).newest(1_000)
        >>> after = Last(); memory = RateMemory({"lines": after}, kept); after.first_rate(1_000)
        70.0
    """

    def __init__(self, controllers: Mapping[str, RateController], kept: Mapping[str, Any]) -> None:
        self._controllers = dict(controllers)
        self._kept_ms: int | None = None
        for name, controller in self._controllers.items():
            entry = kept.get(name)
            # One of another class would not understand it.
            if entry is not None and entry["controller"] == _kind(controller):
                _asked(name, controller, partial(controller.go_on, entry["learnt"]))

    def newest(self, time_ms: int) -> dict[str, Any]:
        """Give what is to be kept with a batch that is done, by input: plain data; {} where it was just kept.

        Raises:
            UserCodeError: a controller raised.
        """
        if not self._controllers or (self._kept_ms is not None and time_ms - self._kept_ms < KEEP_MS):
            return {}
        self._kept_ms = time_ms
        found = {name: _asked(name, one, one.learnt) for name, one in self._controllers.items()}
        return {
            name: {"controller": _kind(self._controllers[name]), "learnt": learnt}
            for name, learnt in found.items()
            if learnt is not None
        }


def _kind(controller: RateController) -> str:
    return f"{type(controller).__module__}:{type(controller).__qualname__}"


def _asked(name: str, controller: RateController, ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception as error:
        raise UserCodeError(
            f"The rate controller of {name} raised {type(error).__name__}: {error}",
            operator="rate_controller",
            detail=f"It is a {type(controller).__name__}, asked to keep what it has learnt or to go on from that.",
            hint="The traceback of the cause shows the line.",
        ) from error

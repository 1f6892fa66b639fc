"""The limits of the inputs, as their controllers decide them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from millstream.control.instructions import SetRate
from millstream.errors import UserCodeError
from millstream.model.ports.rate_controller import BatchMeasured, RateController

CHANGE_LEAST = 0.02
"""A limit that changes by less is not worth telling: batches differ more than that by chance."""


class Rates:
    """Asks the controller of each input, and tells of limits that have changed.

    Args:
        controllers: by input, in order of registration.
        unhurried: inputs that are not limited before something was measured.

    Example:
        >>> class Steady(RateController):
        ...     def next_rate(self, batch: BatchMeasured) -> float:
        ...         return 50.0
        >>> rates = Rates({"lines": Steady()}, frozenset())
        >>> rates.start(1_000), rates.measure(BatchMeasured(1_000, 1_000, {"lines": 7}, 20.0, 0.0))
        ((), (SetRate(input='lines', records_per_s=50.0, span_ms=0.0),))
        >>> rates.measure(BatchMeasured(2_000, 1_000, {"lines": 7}, 20.0, 0.0))
        ()
    """

    __slots__ = ("_controllers", "_given", "_unhurried")

    def __init__(self, controllers: Mapping[str, RateController], unhurried: frozenset[str]) -> None:
        self._controllers = dict(controllers)
        self._unhurried = set(unhurried)
        self._given: dict[str, SetRate] = {}

    def start(self, interval_ms: int) -> tuple[SetRate, ...]:
        """Give the first limits.

        Raises:
            UserCodeError: a controller raised, or gave what is no rate.
        """
        return self._changes(lambda controller: controller.first_rate(interval_ms))

    def measure(self, batch: BatchMeasured) -> tuple[SetRate, ...]:
        """Give the limits that a batch changes.

        Raises:
            UserCodeError: a controller raised, or gave what is no rate.
        """
        if not self._controllers:
            return ()
        if self._unhurried and batch.processing_ms > 0.0:
            self._unhurried -= {name for name, count in batch.records.items() if count}
        return self._changes(lambda controller: controller.next_rate(batch))

    def _changes(self, ask: Callable[[RateController], float | None]) -> tuple[SetRate, ...]:
        changes: list[SetRate] = []
        for name, controller in self._controllers.items():
            limit = SetRate(name, _asked(name, controller, ask), controller.span_ms)
            if name not in self._unhurried and _differs(limit, self._given.get(name)):
                self._given[name] = limit
                changes.append(limit)
        return tuple(changes)


def _differs(limit: SetRate, given: SetRate | None) -> bool:
    if given is None or given.records_per_s is None or limit.records_per_s is None:
        return limit.records_per_s != (None if given is None else given.records_per_s)
    by_rate = abs(limit.records_per_s - given.records_per_s) > CHANGE_LEAST * given.records_per_s
    return by_rate or abs(limit.span_ms - given.span_ms) > CHANGE_LEAST * given.span_ms


def _asked(name: str, controller: RateController, ask: Callable[[RateController], float | None]) -> float | None:
    try:
        rate = ask(controller)
    except Exception as error:
        raise UserCodeError(
            f"The rate controller of {name} raised {type(error).__name__}: {error}",
            operator="rate_controller",
            detail=f"It is a {type(controller).__name__}.",
            hint="The traceback of the cause shows the line.",
        ) from error
    if rate is None or (isinstance(rate, (int, float)) and math.isfinite(rate) and rate > 0):
        return rate
    raise UserCodeError(
        f"The rate controller of {name} gave what is no rate.",
        operator="rate_controller",
        detail=f"{rate!r}, by a {type(controller).__name__}.",
        hint="Give records a second, above zero, or None for no limit.",
    )

"""Values from outside that streams are joined with, and that are loaded again now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, NoReturn, TypeAlias, TypeVar

from millstream.environment.logger import logger
from millstream.errors import ConfigurationError, MillstreamError, ShippingError, UserCodeError, shown
from millstream.model.arity import wants_batch
from millstream.model.batch import Batch
from millstream.model.broadcast import Broadcast
from millstream.model.choices import one_of
from millstream.model.label import Label

V = TypeVar("V")

OnLoadError: TypeAlias = Literal["fail", "keep"]
"""What happens when a value cannot be loaded again."""


class Refreshed(Generic[V]):
    """A value that is loaded on the driver, and sent to each executor once for each time that it is loaded.

    Made by `ssc.refreshed`. It is loaded when a batch first asks for it, and again in the first batch that asks after
    a multiple of `every` batches on the grid of batch times. So all attempts at a batch, and all operators in it, see
    the same value. What is loaded is not kept in checkpoints: a batch that is run again after a crash loads anew.

    Args:
        load: gives the value; gets the `Batch` if it requires an argument.
        every: after how many batch intervals it is loaded again, or None for never.
        on_error: `fail` makes the batch fail when loading raises; `keep` goes on with the value before, with a
            warning, and tries again in the next batch.
        interval_ms: the batch interval.
        label: where it was made.
    """

    def __init__(
        self, load: Callable[..., V], every: int | None, on_error: OnLoadError, interval_ms: int, label: Label
    ) -> None:
        if every is not None and (not isinstance(every, int) or isinstance(every, bool) or every < 1):
            raise ConfigurationError(
                "refreshed needs a number of batches.",
                detail=f"every={shown(every)}.",
                hint="Give a whole number from 1 on, or None to load once.",
            )
        one_of("on_error", on_error, OnLoadError)
        self._load = load
        self._with_batch = wants_batch(load, 0)
        self._every_ms = None if every is None else every * interval_ms
        self._on_error = on_error
        self._label = label
        self._period: int | None = None
        self._held: Broadcast[V] | None = None
        self._derived: dict[Any, tuple[int, Any]] = {}

    def at(self, batch: Batch) -> Broadcast[V]:
        """Give the value of a batch, for functions of `transform` and `foreach_rdd`; on the driver.

        Raises:
            UserCodeError: loading raised, and there is no value before, or `on_error` is `fail`.

        Example:
            >>> import millstream as ms
            >>> from millstream.testing import run_batches
            >>> def build(ssc, s):
            ...     rate = ssc.refreshed(lambda batch: batch.time_ms // 1000, every=2)
            ...     def scaled(rdd, batch):
            ...         held = rate.at(batch)
            ...         return rdd.map(lambda x: x * held.value)
            ...     return s.transform(scaled)
            >>> run_batches(build, [[1], [1], [1]])
            [[1], [2], [2]]
        """
        period = 0 if self._every_ms is None else batch.time_ms // self._every_ms
        if self._held is None or period != self._period:
            try:
                value = self._load(batch) if self._with_batch else self._load()
                # Why: each operator reads it, and in every batch.
                self._held = Broadcast(list(value) if isinstance(value, Iterator) else value)  # type: ignore[arg-type]
            except Exception as error:
                if self._held is None or self._on_error == "fail":
                    if isinstance(error, MillstreamError):
                        raise
                    raise self._failed(batch, error) from error
                logger.warning("%s kept its value: loading raised %s: %s", self, type(error).__name__, error)
                return self._held
            self._period = period
        return self._held

    def derived(self, batch: Batch, key: Any, make: Callable[[V], Any]) -> Any:
        """Give what an operator makes of the value, made once for each time that the value is loaded.

        Args:
            batch: the batch.
            key: an object of the operator's own.
            make: makes it.
        """
        held = self.at(batch)
        number, made = self._derived.get(key, (None, None))
        if number != held.number:
            made = make(held.value)
            self._derived[key] = (held.number, made)
        return made

    def _failed(self, batch: Batch, error: Exception) -> UserCodeError:
        return UserCodeError(
            f"The function of refreshed raised {type(error).__name__}: {error}",
            operator="refreshed",
            site=self._label.site,
            batch_time_ms=batch.time_ms,
            detail=f"The value was made at {self._label.site}.",
            hint='The traceback of the cause shows the line. on_error="keep" goes on with the value before.',
        )

    def __reduce__(self) -> NoReturn:
        raise ShippingError(
            "A refreshed value cannot be sent to an executor.",
            detail="A function that runs in tasks refers to it.",
            hint="Take the value of the batch first, in transform(f): held = value.at(batch); held.value in tasks.",
        )

    def __repr__(self) -> str:
        return f"<refreshed value of {self._label.site}>"

"""The rate controller that is used where nothing else is said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from millstream.control.rate.cost_model import CostModel
from millstream.errors import ConfigurationError
from millstream.model.ports.rate_controller import BatchMeasured, RateController

OVERHEAD_LIKELY = 0.1
"""Overhead that is thought likely before anything was measured, as a share of the batch interval."""

TELLING_TIME = 0.25
"""A batch that takes less than this share of its time, with few records, tells nothing about their cost."""

TELLING_RECORDS = 0.1
"""Few records: less than this share of the largest batch that is known to be possible."""

GROWTH_LEAST, GROWTH_MOST = 2.0, 10.0
"""How much more than before may come in, by how little of its time the last batch took: both the largest batch so far
and the last limit bound the next."""

RATE_SHARE_LEAST = 0.25
"""The share of what is possible that is let in while a backlog is worked off, however long it is: what comes in must
go on telling how fast the program is. And the share of the last limit that stays after a batch that was in time: a slow
first batch of few records says little."""

TURN_MOST = 0.1
"""How much more than its part an input gets at most in its turn. Where several inputs give as much as they may, batch
after batch, nothing else would tell what the records of each cost."""

TURN_BY_UNCERTAINTY = 0.5
"""The same by how uncertain the cost of its records is: where it is known, turns come to little."""

LIMITED = 0.9
"""An input that gave this share of its limit may have had more to give."""

SMOOTHING = 0.3
"""Weight of the newest batch in the mean number of records of the other inputs."""


class PidRateController(RateController):
    """Lets in what the program can process, as learnt from the batches so far.

    Proportional to what is possible: `CostModel` says how many records fill the share `utilization` of a batch's
    time, and by `proportional` of the difference the limit moves there. Integral over what was let in too much: when
    the records that wait already will take longer than a batch should, the limit is so much lower meanwhile that the
    batch after them takes its proper time (with `integral=1`; with 0.5 half as much lower).

    Where batches tell little, the limit is generous and bounded all the same: `initial_rate` at first and after
    it, as long as batches take a small part of their time; then up to ten times the largest batch so far. From one
    batch to the next it grows to between twice and ten times what it was.

    Several inputs share the time of a batch: each gets what the others leave, or an equal part if that is more. Two
    that give as much as they may, batch after batch, would never show which of them is the dearer: so they take turns
    in getting a little more, until that is known.

    Where overhead alone takes more than half of the interval, a batch takes as much longer as is needed for half
    of its time to be left for records: a slow sink costs delay, not throughput.

    Args:
        input: the input's name.
        initial_rate: records a second before anything is known, > 0; None: no limit then.
        utilization: share of a batch's time that records and overhead may fill, above 0, at most 1. The rest is for
            what varies, and for catching up.
        proportional: 0 to 1: by how much of the way the limit moves to what is possible, with each batch.
        integral: 0 to 1: how strongly records that wait lower the limit.
        min_rate: records a second that are always let in, > 0.

    Raises:
        ConfigurationError: an argument is outside its range.

    Source:
        `PIDRateEstimator` of Spark Streaming (SPARK-7398), whose limit is the speed of the last batch, records
        divided by time, less a share of the backlog. It knows no overhead, so small batches look slow and the limit
        falls to its minimum after a quiet spell; it has no limit before the second batch, no smoothing, and takes
        the whole batch for each input's own. Its derivative term, 0 by default, is not here.

    Example:
        >>> controller = PidRateController("lines", utilization=1.0)
        >>> controller.first_rate(1_000)
        10000.0
        >>> for time_ms, records in ((1_000, 10_000), (2_000, 40_000), (3_000, 20_000)):
        ...     took_ms = 50.0 + 0.01 * records
        ...     rate = controller.next_rate(BatchMeasured(time_ms, 1_000, {"lines": records}, took_ms, 0.0))
        >>> round(rate, -3)
        89000.0
    """

    def __init__(
        self,
        input: str,
        *,
        initial_rate: float | None = 10_000.0,
        utilization: float = 0.95,
        proportional: float = 1.0,
        integral: float = 1.0,
        min_rate: float = 1.0,
    ) -> None:
        self._input = input
        self._initial_rate = None if initial_rate is None else _within("initial_rate", initial_rate, above=0.0)
        self._utilization = _within("utilization", utilization, above=0.0, most=1.0)
        self._proportional = _within("proportional", proportional, above=0.0, most=1.0)
        self._integral = _within("integral", integral, least=0.0, most=1.0)
        self._min_rate = _within("min_rate", min_rate, above=0.0)
        self._model: CostModel | None = None
        self._means: dict[str, float] = {}
        self._largest = 0
        self._batch_max = 0.0
        self._rate: float | None = None
        self._given: float | None = None
        self._time_ms: int | None = None
        self._interval_ms = 0
        self._turns = 0
        self._kept: Mapping[str, Any] | None = None

    def learnt(self) -> Any:
        """Give the limit and the costs."""
        if self._model is None:
            return None
        return {
            "interval_ms": self._interval_ms,
            "rate": self._rate,
            "largest": self._largest,
            "batch_max": self._batch_max,
            "means": dict(self._means),
            "model": self._model.plain(),
        }

    def go_on(self, learnt: Any) -> None:
        """Begin with the limit that held before."""
        self._kept = learnt

    def first_rate(self, interval_ms: int) -> float | None:
        """Give `initial_rate`; after a restart the limit that held before, where there was one."""
        self._rate, self._interval_ms = self._initial_rate, interval_ms
        if self._kept is not None:
            self._take_up(self._kept, interval_ms)
        self._given = self._rate
        return self._given

    def _take_up(self, kept: Mapping[str, Any], interval_ms: int) -> None:
        # What is counted by the batch is another number where batches are longer now.
        longer = interval_ms / kept["interval_ms"]
        self._model = model = CostModel.restored(kept["model"])
        self._means = {name: mean * longer for name, mean in kept["means"].items()}
        self._largest = round(kept["largest"] * longer)
        self._batch_max = kept["batch_max"] * longer
        self._rate = self._rate if kept["rate"] is None else max(self._min_rate, kept["rate"])
        self.span_ms = max(float(interval_ms), 2.0 * model.overhead_ms / self._utilization)

    def next_rate(self, batch: BatchMeasured) -> float | None:
        """Give the limit after a batch."""
        total = sum(batch.records.values())
        covered_ms = batch.interval_ms if self._time_ms is None else batch.time_ms - self._time_ms
        self._time_ms = batch.time_ms
        if self._kept is not None:
            # An input that the program has no more takes no time from the others.
            self._means = {name: mean for name, mean in self._means.items() if name in batch.records}
            self._kept = None
        if not total:
            self._given = self._rate
            return self._given
        model = self._learn(batch, total)
        self.span_ms = span_ms = max(float(batch.interval_ms), 2.0 * model.overhead_ms / self._utilization)
        possible = self._possible(model, span_ms, self._turn(model, batch, covered_ms))
        if possible is None:
            self._rate = self._given = None
            return None
        self._rate = rate = self._moved(possible * 1000.0 / span_ms, batch, span_ms)
        coming_ms = self._coming_ms(model, batch, covered_ms)
        share = max(RATE_SHARE_LEAST, 1.0 / (1.0 + self._integral * max(0.0, coming_ms / span_ms - 1.0)))
        self._given = max(self._min_rate, rate * share)
        return self._given

    def _moved(self, target: float, batch: BatchMeasured, span_ms: float) -> float:
        """Move the limit towards what is possible, no further than one batch justifies."""
        rate = self._rate
        if rate is None:
            return max(self._min_rate, target)
        moved = rate + self._proportional * (target - rate)
        least = RATE_SHARE_LEAST * rate if batch.processing_ms <= span_ms else 0.0
        return max(self._min_rate, min(max(moved, least), rate * self._growth(batch, span_ms)))

    def _coming_ms(self, model: CostModel, batch: BatchMeasured, covered_ms: int) -> float:
        """Expect how long the next batch takes by the records that wait for it already."""
        batches = batch.total_delay_ms / covered_ms
        waiting = {name: count * batches for name, count in batch.records.items()}
        if self._given is not None and self._input in waiting:
            waiting[self._input] = min(waiting[self._input], self._given * batch.total_delay_ms / 1000.0)
        return model.expected_ms(waiting)

    def _learn(self, batch: BatchMeasured, total: int) -> CostModel:
        model = self._model
        if model is None:
            model = self._model = CostModel(overhead_ms=OVERHEAD_LIKELY * batch.interval_ms)
        for name, count in batch.records.items():
            mean = self._means.get(name, float(count))
            self._means[name] = mean + SMOOTHING * (count - mean)
        if batch.attempts == 1:
            span_ms = max(float(batch.interval_ms), self.span_ms)
            model.learn(
                batch.records,
                batch.processing_ms,
                overhead_only=self._tells_nothing(model, batch, total, span_ms),
                at_once=batch.processing_ms > span_ms,
            )
            mine = batch.records.get(self._input, 0)
            self._largest = max(self._largest, mine)
            self._batch_max = max(self._batch_max, mine * self._growth(batch, span_ms))
        return model

    def _tells_nothing(self, model: CostModel, batch: BatchMeasured, total: int, span_ms: float) -> bool:
        """Tell whether a batch has too few records, and took too little time, for saying what a record costs."""
        first = 0.0 if self._initial_rate is None else self._initial_rate * batch.interval_ms / 1000.0
        return (
            batch.processing_ms < TELLING_TIME * span_ms
            and total < TELLING_RECORDS * max(first, float(self._largest))
            # Less time than its records should have taken alone tells that they cost less.
            and model.expected_ms(batch.records) - model.overhead_ms <= batch.processing_ms
        )

    def _growth(self, batch: BatchMeasured, span_ms: float) -> float:
        """Give how much larger than before the next batch may be, after this one."""
        if batch.processing_ms <= 0.0:
            return GROWTH_MOST
        return min(GROWTH_MOST, max(GROWTH_LEAST, self._utilization * span_ms / batch.processing_ms))

    def _turn(self, model: CostModel, batch: BatchMeasured, covered_ms: int) -> float:
        """Give what share of its part the input gets: inputs take turns in getting more, the others less meanwhile.

        All controllers see the same batches, so they agree on whose turn it is.
        """
        sharing = sorted(name for name, mean in self._means.items() if mean >= 1.0)
        self._turns += 1
        if len(sharing) < 2 or self._input not in sharing or self._given is None:
            return 1.0
        limit = self._given * max(covered_ms, batch.interval_ms) / 1000.0
        if batch.records.get(self._input, 0) < LIMITED * limit:
            return 1.0
        share = min(TURN_MOST, TURN_BY_UNCERTAINTY * model.uncertainty(self._input))
        is_its_turn = sharing[self._turns % len(sharing)] == self._input
        return 1.0 + share if is_its_turn else 1.0 - share / (len(sharing) - 1)

    def _possible(self, model: CostModel, span_ms: float, share: float) -> float | None:
        """Give how many records of the input a batch may have; None: nothing limits it."""
        budget_ms = self._utilization * span_ms - model.overhead_ms
        others_ms = sum(model.cost_ms(name) * mean for name, mean in self._means.items() if name != self._input)
        mine_ms = share * max(budget_ms - others_ms, budget_ms / max(1, len(self._means)))
        cost_ms = model.cost_ms(self._input)
        by_cost = mine_ms / cost_ms if cost_ms > 0.0 else math.inf
        if self._initial_rate is None and not self._batch_max:
            return by_cost if math.isfinite(by_cost) else None
        first = 0.0 if self._initial_rate is None else self._initial_rate * span_ms / 1000.0
        return min(by_cost, max(first, self._batch_max))


def _within(
    name: str, value: float, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> float:
    if math.isfinite(value) and above < value <= most and value >= least:
        return float(value)
    lower = f"above {above:g}" if math.isfinite(above) else f"at least {least:g}"
    raise ConfigurationError(
        f"{name} of a rate controller is outside its range.",
        detail=f"{name}={value!r}.",
        hint=f"Give a number {lower}{f' and at most {most:g}' if math.isfinite(most) else ''}.",
    )

"""What a batch costs by itself, and what each of its records costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DRIFT = 0.05
"""How much the true costs are thought to change from batch to batch, as a share of them."""

NOISE, NOISE_LEAST = 0.15, 0.03
"""How much two equal batches are thought to differ before it is known, and at least, as a share of their time."""

NOISE_WEIGHT = 0.1
"""Weight of the newest batch in the noise: about the last ten batches count."""

NOISE_LEAST_MS = 0.2
"""How much two equal batches differ however short they are: the scheduler of the operating system."""

OUTLIER = 3.0
"""Deviations, in standard deviations, that are taken for chance at first and for a change the second time."""

UNCERTAIN_MOST = 0.5
"""How uncertain costs may become by time alone, as a share of them: the next large batch sets them right at once."""

BLAMED_LEAST = 0.3
"""The least share of what is unexplained for which each of the costs is thought possible."""


class CostModel:
    """Estimates, batch by batch, `time = overhead + sum(cost of a record * records)` over the inputs.

    A Kalman filter whose state is the overhead and the cost of a record of each input. Unlike a fit over the last
    batches it forgets nothing while nothing is to be learnt: after hours of small batches the cost of a record is
    what it was, only less certain, and one large batch sets it right.

    How strongly a batch counts follows from how much batches differ from what was expected of them. One that deviates
    more than three standard deviations counts only for three. When the next one deviates to the same side the costs
    have changed, and it counts fully.

    At first nothing is known, and one batch cannot tell: a time around `overhead_ms` is believed to be overhead, a much
    longer one to be due to the records.

    Args:
        overhead_ms: how much overhead is thought likely before anything was measured.

    Source:
        Kalman, "A New Approach to Linear Filtering and Prediction Problems", 1960, with a random walk as process.

    Example:
        >>> model = CostModel(overhead_ms=100.0)
        >>> for records in (100, 1_000, 400, 2_000, 50):
        ...     model.learn({"lines": records}, 20.0 + 0.3 * records)
        >>> round(model.overhead_ms), round(model.cost_ms("lines"), 2)
        (20, 0.3)
    """

    __slots__ = ("_noise", "_places", "_side", "_spread", "_values")

    def __init__(self, *, overhead_ms: float) -> None:
        self._places: dict[str, int] = {}
        self._values: list[float] = [0.0]
        self._spread: list[list[float]] = [[overhead_ms**2]]
        self._side = 0
        self._noise = NOISE

    @classmethod
    def restored(cls, learnt: Mapping[str, Any]) -> CostModel:
        """Make the model that `plain` was asked for, as uncertain as after a long time: the program may be another."""
        model = cls(overhead_ms=0.0)
        model._places = {name: place for place, name in enumerate(learnt["inputs"], 1)}
        model._values = list(learnt["values"])
        model._spread = [list(row) for row in learnt["spread"]]
        model._noise = learnt["noise"]
        for place, value in enumerate(model._values):
            model._spread[place][place] = max(model._spread[place][place], (UNCERTAIN_MOST * value) ** 2)
        return model

    def plain(self) -> dict[str, Any]:
        """Give what was learnt as plain data."""
        return {
            "inputs": list(self._places),
            "values": list(self._values),
            "spread": [list(row) for row in self._spread],
            "noise": self._noise,
        }

    @property
    def overhead_ms(self) -> float:
        """What a batch costs beside its records, milliseconds."""
        return self._values[0]

    def cost_ms(self, input: str) -> float:
        """Give what one record of an input costs, milliseconds; 0.0 while nothing is known."""
        place = self._places.get(input)
        return 0.0 if place is None else self._values[place]

    def uncertainty(self, input: str) -> float:
        """Give how uncertain the cost of a record is, as a share of it; 1.0 while nothing is known."""
        place = self._places.get(input)
        value = 0.0 if place is None else self._values[place]
        return min(1.0, self._spread[place][place] ** 0.5 / value) if place is not None and value > 0.0 else 1.0

    def expected_ms(self, records: Mapping[str, float]) -> float:
        """Give the time that a batch of so many records is expected to take."""
        return self._values[0] + sum(self.cost_ms(name) * count for name, count in records.items())

    def learn(
        self, records: Mapping[str, int], time_ms: float, *, overhead_only: bool = False, at_once: bool = False
    ) -> None:
        """Take in one batch.

        Args:
            records: by input.
            time_ms: how long the batch took.
            overhead_only: its records are too few to say anything about their cost: only the overhead is learnt.
            at_once: a deviation counts fully the first time, because to wait for a second one would cost too much.
        """
        if not overhead_only:
            self._meet(records, time_ms)
        values, places = self._values, self._places
        self._drift(1 if overhead_only else len(values))
        shares = [1.0] + [0.0] * len(places)
        for name, count in records.items():
            if name in places:
                shares[places[name]] = float(count)
        deviation_ms = time_ms - _product(shares, values)
        if overhead_only:
            shares = [1.0] + [0.0] * len(places)
        noise_ms = max(self._noise * time_ms, NOISE_LEAST_MS)
        leaning = [_product(row, shares) for row in self._spread]
        variance = _product(shares, leaning) + noise_ms * noise_ms
        if deviation_ms * deviation_ms > OUTLIER * OUTLIER * variance:
            side = 1 if deviation_ms > 0.0 else -1
            if at_once or side == self._side:
                self._doubt(shares, deviation_ms)
                leaning = [_product(row, shares) for row in self._spread]
                variance = _product(shares, leaning) + noise_ms * noise_ms
            else:
                deviation_ms = side * OUTLIER * variance**0.5
            self._side = side
        else:
            self._side = 0
        self._note_noise(deviation_ms, time_ms)
        for row, lean in enumerate(leaning):
            gain = lean / variance
            values[row] = max(0.0, values[row] + gain * deviation_ms)
            spread = self._spread[row]
            for column, other in enumerate(leaning):
                spread[column] -= gain * other

    def _meet(self, records: Mapping[str, int], time_ms: float) -> None:
        """Make room for inputs that have records for the first time.

        All that the batch took may be their cost. Of two inputs the smaller may have the dearer records, but not by as
        much as it is smaller: the geometric mean of both views.
        """
        total = sum(records.values())
        for name, count in records.items():
            if count and name not in self._places:
                self._places[name] = len(self._values)
                self._values.append(0.0)
                for row in self._spread:
                    row.append(0.0)
                self._spread.append([0.0] * len(self._values))
                self._spread[-1][-1] = time_ms / count * time_ms / total
                self._spread[0][0] = max(self._spread[0][0], (BLAMED_LEAST * time_ms) ** 2)

    def _drift(self, count: int) -> None:
        """Become less certain of the first `count` values, because costs change with time."""
        for place in range(count):
            value, spread = self._values[place], self._spread[place]
            before = spread[place]
            if before < (UNCERTAIN_MOST * value) ** 2:
                spread[place] = before + (DRIFT * value) ** 2

    def _doubt(self, shares: list[float], deviation_ms: float) -> None:
        """Become so uncertain that a deviation is possible, blaming each value by its part of the time."""
        whole = _product(shares, self._values)
        for place, share in enumerate(shares):
            if share:
                part = share * self._values[place] / whole if whole else 1.0
                possible = max(BLAMED_LEAST, part) * deviation_ms / share
                self._spread[place][place] = max(self._spread[place][place], possible * possible)

    def _note_noise(self, deviation_ms: float, time_ms: float) -> None:
        if time_ms > 0.0:
            differs = min(abs(deviation_ms) / time_ms, NOISE)
            noise = self._noise
            self._noise = max(NOISE_LEAST, (noise * noise + NOISE_WEIGHT * (differs * differs - noise * noise)) ** 0.5)


def _product(left: list[float], right: list[float]) -> float:
    total = 0.0
    for a, b in zip(left, right, strict=True):
        total += a * b
    return total

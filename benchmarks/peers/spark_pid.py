"""Spark Streaming's rate estimator, for comparison: its formula, step by step, behind millstream's port."""

from __future__ import annotations

from millstream.model.ports.rate_controller import BatchMeasured, RateController


class SparkPidController(RateController):
    """The limit is the speed of the last batch, less a share of the backlog.

    Source:
        `org.apache.spark.streaming.scheduler.rate.PIDRateEstimator`, with its defaults; as there, nothing limits the
        batches before the second estimate.
    """

    def __init__(
        self, *, proportional: float = 1.0, integral: float = 0.2, derived: float = 0.0, min_rate: float = 100.0
    ) -> None:
        self._proportional = proportional
        self._integral = integral
        self._derived = derived
        self._min_rate = min_rate
        self._is_first = True
        self._latest_ms = -1.0
        self._latest_rate = -1.0
        self._latest_error = -1.0
        self._given: float | None = None

    def next_rate(self, batch: BatchMeasured) -> float | None:
        """Give the limit after a batch; where Spark gives none the one before stays."""
        records = sum(batch.records.values())
        ended_ms = batch.time_ms + batch.total_delay_ms
        if ended_ms <= self._latest_ms or records <= 0 or batch.processing_ms <= 0.0:
            return self._given
        since_update_s = (ended_ms - self._latest_ms) / 1000.0
        processing_rate = records / batch.processing_ms * 1000.0
        error = self._latest_rate - processing_rate
        historical_error = batch.scheduling_delay_ms * processing_rate / batch.interval_ms
        change = (error - self._latest_error) / since_update_s
        rate = max(
            self._min_rate,
            self._latest_rate - self._proportional * error - self._integral * historical_error - self._derived * change,
        )
        self._latest_ms = ended_ms
        if self._is_first:
            self._is_first = False
            self._latest_rate = processing_rate
            self._latest_error = 0.0
            return None
        self._latest_rate = self._given = rate
        self._latest_error = error
        return rate

"""What the simulation beside Spark's estimator shows, as docs/back-pressure.md says it."""

from __future__ import annotations

import pytest
from benchmarks.back_pressure import ENGINES, SCENARIOS, Outcome, Scenario

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def ran(engine: str, scenario: Scenario) -> tuple[Outcome, float, float, float, float, float]:
    outcome = ENGINES[engine](scenario).run()
    return (outcome, *outcome.figures(scenario))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_most_of_what_is_possible_is_processed(scenario: Scenario) -> None:
    outcome, *_ = ran("pid", scenario)
    assert outcome.processed >= 0.85 * outcome.possible


@pytest.mark.parametrize("name", ["step load", "slow sink", "burst after idleness", "sawtooth", "backlog at the start"])
def test_delay_in_the_engine_stays_near_two_batches(name: str) -> None:
    _, peak_s, late_s, _, _, _ = ran("pid", BY_NAME[name])
    assert peak_s <= 3.0
    assert late_s == 0.0


def test_when_records_become_five_times_as_dear_delay_passes() -> None:
    _, peak_s, late_s, _, _, _ = ran("pid", BY_NAME["slower records"])
    assert (peak_s, late_s) < (20.0, 25.0)
    _, spark_s, spark_late_s, _, _, _ = ran("spark_pid", BY_NAME["slower records"])
    assert peak_s < spark_s
    assert late_s < spark_late_s


def test_a_burst_after_idleness_comes_in_while_sparks_limit_is_at_its_minimum() -> None:
    *_, wait_s, _ = ran("pid", BY_NAME["burst after idleness"])
    _, *_, spark_wait_s, spark_limit = ran("spark queue", BY_NAME["burst after idleness"])
    assert wait_s <= 3.0
    assert spark_wait_s > 2.0 * wait_s
    assert spark_limit == 100.0


def test_a_backlog_does_not_come_in_at_once() -> None:
    _, peak_s, *_ = ran("pid", BY_NAME["backlog at the start"])
    _, spark_s, *_ = ran("spark queue", BY_NAME["backlog at the start"])
    assert peak_s < 3.0 < 50.0 < spark_s


def test_the_same_seed_gives_the_same_course() -> None:
    scenario = BY_NAME["slow sink"]
    first, second = (ENGINES["pid"](scenario).run() for _ in range(2))
    assert first.limits == second.limits

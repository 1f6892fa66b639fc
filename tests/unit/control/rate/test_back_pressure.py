"""What the simulation beside Spark's estimator shows, as docs/back-pressure.md says it."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import pytest
from benchmarks.back_pressure import ENGINES, SCENARIOS, Outcome, Scenario

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


DOCUMENT = Path(__file__).parents[4] / "docs" / "back-pressure.md"
AS_DOCUMENTED = {"none": "none", "Spark": "spark queue", "millstream": "pid"}


@cache
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


def documented() -> list[tuple[str, str, list[str]]]:
    rows, name = [], ""
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 7 and cells[1] in AS_DOCUMENTED:
            name = cells[0].split(":")[0] or name
            rows.append((name, cells[1], cells[2:]))
    return rows


@pytest.mark.parametrize(("name", "controller", "cells"), documented(), ids=str)
def test_the_table_says_what_the_simulation_gives(name: str, controller: str, cells: list[str]) -> None:
    _, peak_s, late_s, share, wait_s, lowest = ran(AS_DOCUMENTED[controller], BY_NAME[name])
    assert [float(cell.split()[0]) for cell in cells[:4]] == [
        pytest.approx(peak_s, abs=0.06),
        pytest.approx(late_s, abs=0.6),
        pytest.approx(share * 100.0, abs=0.6),
        pytest.approx(wait_s, abs=0.06),
    ]
    assert cells[4] == ("" if math.isinf(lowest) else f"{lowest:,.0f}/s")


def test_every_scenario_but_the_last_is_in_the_table() -> None:
    assert {name for name, _, _ in documented()} == {scenario.name for scenario in SCENARIOS[:-1]}
    assert len(documented()) == 3 * (len(SCENARIOS) - 1)

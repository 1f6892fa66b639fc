"""Inputs whose records cost differently: each gets its part of a batch's time, as docs/back-pressure.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks.shared_batches import SCENARIOS, Shared, run

DOCUMENT = Path(__file__).parents[4] / "docs" / "back-pressure.md"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_each_input_gets_its_part_of_the_time(scenario: Shared) -> None:
    parts = run(scenario)
    wanted = scenario.offered * scenario.socket_ms / 1_000.0
    if wanted < 0.4:
        assert parts.socket == pytest.approx(scenario.offered, rel=0.01), "who wants less than its part gets all of it"
        assert parts.kafka_share > 0.9 - wanted
    else:
        assert 0.4 < parts.kafka_share < 0.55
        assert 0.4 < parts.socket_share < 0.55
    assert parts.late <= 1


def test_the_table_says_what_the_simulation_gives() -> None:
    rows = re.findall(r"^\| (.+?) \| ([\d,]+)/s \| ([\d,]+)/s \| (\d+) % \| (\d+) % \|$", DOCUMENT.read_text(), re.M)
    for (name, *cells), scenario in zip(rows, SCENARIOS, strict=True):
        parts = run(scenario)
        assert name.split(":")[0] == scenario.name
        figures = (parts.kafka, parts.socket, 100.0 * parts.kafka_share, 100.0 * parts.socket_share)
        assert [float(cell.replace(",", "")) for cell in cells] == [pytest.approx(one, rel=0.02) for one in figures]

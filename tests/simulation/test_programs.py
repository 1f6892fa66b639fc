"""Programs under crashes and failures: new seeds at every run, and all that once failed."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.changed_programs import CHANGED
from tests.simulation.programs import NUMBERS, PROGRAMS
from tests.simulation.runs import kept_seeds, run_points, run_seeds

NEW_SEEDS = int(os.environ.get("MILLSTREAM_SIMULATION_SEEDS", "12"))
"""How many new seeds each program gets."""

FIRST = int.from_bytes(os.urandom(4), "big")
"""Another one at every run: what no run has tried is where the next failure is."""

POINTS_EVERY = 11

OBJECT_POINTS_EVERY = 29
"""Fewer on an object store, where a run has three times as many places."""

STEADY = [name for name in PROGRAMS if name not in CHANGED]
"""Programs that are the same at every start."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_new_seeds(name: str) -> None:
    outcomes = run_seeds(name, range(FIRST, FIRST + NEW_SEEDS))
    assert sum(outcome.faults.total() for outcome in outcomes) > NEW_SEEDS


@pytest.mark.parametrize(("name", "times"), [("resent", {1, 2}), ("unanswered", {0, 1}), ("two_sinks", {1})])
def test_what_an_input_guarantees_is_used_to_the_full(name: str, times: set[int]) -> None:
    """Under these seeds some records are in two batches, or in none, exactly where that is allowed."""
    counts = set[int]()
    for outcome in run_seeds(name, range(12), faults=("crash",)):
        had = Counter(n for batch in outcome.batches for n in batch.inputs["numbers"])
        counts |= {had[n] for n in NUMBERS}
    assert counts == times


@pytest.mark.parametrize("name", PROGRAMS)
def test_new_seeds_on_an_object_store(name: str) -> None:
    """Old drivers are kept from the checkpoint by the lease and by conditional puts alone."""
    seeds = max(1, NEW_SEEDS // 4)
    outcomes = run_seeds(name, range(FIRST, FIRST + seeds), storage="objects")
    assert sum(outcome.faults.total() for outcome in outcomes) > 0


@pytest.mark.parametrize(("name", "seed"), kept_seeds("objects"))
def test_a_seed_that_once_failed_on_an_object_store(name: str, seed: int) -> None:
    run_seeds(name, [seed], storage="objects")


@pytest.mark.parametrize(("name", "seed"), kept_seeds())
def test_a_seed_that_once_failed(name: str, seed: int) -> None:
    run_seeds(name, [seed])


@pytest.mark.parametrize("name", STEADY)
def test_a_crash_at_places_all_over_a_run(name: str) -> None:
    quiet, *crashed = run_points(name, 1, every=POINTS_EVERY, first=FIRST % POINTS_EVERY)
    assert quiet.lives == 1
    assert all(outcome.lives > 1 for outcome in crashed)
    assert len(crashed) >= quiet.points // POINTS_EVERY


@pytest.mark.parametrize("name", ["two_sinks", "totals"])
def test_a_crash_at_places_all_over_a_run_on_an_object_store(name: str) -> None:
    first = FIRST % OBJECT_POINTS_EVERY
    quiet, *crashed = run_points(name, 1, every=OBJECT_POINTS_EVERY, first=first, storage="objects")
    assert quiet.lives == 1
    assert all(outcome.lives > 1 for outcome in crashed)
    assert len(crashed) >= quiet.points // OBJECT_POINTS_EVERY

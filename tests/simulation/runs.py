"""Running the simulated programs, with the line that brings a failure back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from millstream.testing.simulation.simulate import simulate
from millstream.testing.simulation.simulation import Outcome
from tests.simulation.programs import PROGRAMS

KEPT = Path(__file__).with_name("kept_seeds.txt")


def kept_seeds() -> list[tuple[str, int]]:
    """Give the seeds that once failed, each with its program."""
    lines = (line.split() for line in KEPT.read_text().splitlines() if line and not line.startswith("#"))
    return [(name, int(seed)) for name, seed in lines]


def run_seeds(name: str, seeds: Iterable[int], **options: Any) -> list[Outcome]:
    """Run a program under seeds."""
    given = PROGRAMS[name]
    again = f"python -m tests.simulation {name} {{seed}}"
    arguments = {**given.options, **options}
    return simulate(given.program, given.inputs, seeds=seeds, check=given.check, again=again, **arguments)


def run_points(name: str, seed: int, *, every: int = 1, first: int = 0, **options: Any) -> list[Outcome]:
    """Run a short course of a program, and crash at every n-th of the places where it can crash, from one on."""
    given = PROGRAMS[name]
    inputs = {input: records[:30] for input, records in given.inputs.items()}
    again = f"python -m tests.simulation {name} {{seed}} --point {{point}}"
    arguments = {**given.options, "batches": 6, "again": again, **options}
    return simulate(given.program, inputs, seeds=[seed], every_point=True, every=every, first=first, **arguments)

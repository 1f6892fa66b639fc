"""Running the simulated programs, with the line that brings a failure back."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from millstream.testing.simulation.simulate import simulate
from millstream.testing.simulation.simulation import Outcome
from tests.simulation.programs import PROGRAMS

KEPT = Path(__file__).with_name("kept_seeds.txt")


def kept_seeds(storage: str = "disk") -> list[tuple[str, int]]:
    """Give the seeds that once failed with checkpoints on a kind of storage, each with its program."""
    lines = (line.split() for line in KEPT.read_text().splitlines() if line and not line.startswith("#"))
    return [(name, int(seed)) for name, seed, *on in lines if (on or ["disk"]) == [storage]]


def run_seeds(name: str, seeds: Iterable[int], **options: Any) -> list[Outcome]:
    """Run a program under seeds."""
    given = PROGRAMS[name]
    again = f"python -m tests.simulation {name} {{seed}}{_flags(options)}"
    arguments = {**given.options, **options}
    return simulate(given.program, given.inputs, seeds=seeds, check=given.check, again=again, **arguments)


def run_points(name: str, seed: int, *, every: int = 1, first: int = 0, **options: Any) -> list[Outcome]:
    """Run a short course of a program, and crash at every n-th of the places where it can crash, from one on."""
    given = PROGRAMS[name]
    inputs = {input: records[:30] for input, records in given.inputs.items()}
    again = f"python -m tests.simulation {name} {{seed}} --point {{point}}{_flags(options)}"
    arguments = {**given.options, "batches": 6, "again": again, **options}
    return simulate(given.program, inputs, seeds=[seed], every_point=True, every=every, first=first, **arguments)


def _flags(options: Mapping[str, Any]) -> str:
    """Give what the command line needs to run with the same options."""
    flags = ""
    if "faults" in options:
        flags += f" --faults {shlex.quote(','.join(options['faults']))}"
    if "storage" in options:
        flags += f" --storage {options['storage']}"
    return flags
